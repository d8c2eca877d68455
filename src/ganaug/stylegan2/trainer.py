"""One step of StyleGAN2-ADA training, and all state that a step depends on.

The randomness of a step (order of the images, latents, noise, augmentation) is derived anew from the seed and the
number of images seen. So no generator's state is stored, and a resumed training goes on exactly as it would have.
"""

import contextlib
import copy
import ctypes
import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from ganaug.errors import NotFinite, UserError
from ganaug.seeding import derive_seed
from ganaug.stylegan2.ada import Augmentation
from ganaug.stylegan2.data import LabelledImages, Stream
from ganaug.stylegan2.discriminator import Discriminator
from ganaug.stylegan2.generator import Architecture, Generator, use_half
from ganaug.stylegan2.graphs import Recorder
from ganaug.stylegan2.layers import one_hot_classes
from ganaug.stylegan2.loss import discriminator_loss, generator_loss, path_lengths, r1_penalty
from ganaug.stylegan2.ops import kernels_work
from ganaug.stylegan2.parallel import Part
from ganaug.stylegan2.settings import TrainingSettings, batch_mistake

R1_INTERVAL = 16  # steps between regularisations (StyleGAN2, section 3.1)
PATH_INTERVAL = 4
PATH_DECAY = 0.01  # of the running mean of path lengths
PATH_SHRINK = 2  # path lengths on a batch smaller by this
ADA_INTERVAL = 4  # steps between adjustments of p
SNAPSHOT_BATCH = 32  # images at a time: 65 MiB each at 256 pixels
BETAS, EPSILON = (0.0, 0.99), 1e-8  # Adam

STATISTICS = ("loss_g", "loss_d", "r1", "path_length", "r_t", "real_score", "fake_score")


def lazy_adam(parameters: Iterable[nn.Parameter], learning_rate: float, interval: int | None) -> torch.optim.Adam:
    """Adam for a network that is regularised in a step of its own every `interval` steps (None: never).

    With interval k there are k + 1 steps where there would be k, so learning rate and betas are taken to what they
    would be over k / (k + 1) of a step (StyleGAN2, appendix B).
    """
    c = 1.0 if interval is None else interval / (interval + 1)
    parameters = list(parameters)
    return torch.optim.Adam(
        parameters,
        lr=learning_rate * c,
        betas=(BETAS[0] ** c, BETAS[1] ** c),
        eps=EPSILON,
        fused=True,
        capturable=parameters[0].is_cuda,  # as a CUDA graph
    )


def keep_freed_memory() -> None:
    """Has glibc keep what is freed for the next step, which would else fault the same pages in again (8 % of the time).

    Without effect where the C library is another.
    """
    trim_threshold, mmap_max = -1, -4  # names of mallopt's parameters in malloc.h
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(mmap_max, 0)
        libc.mallopt(trim_threshold, 2**31 - 1)


class Trainer:
    """Networks, optimisers and running values; `step` trains on one batch.

    part: which of the processes this one is, where several share the training; all hold the same state.
    """

    def __init__(
        self,
        data: LabelledImages,
        settings: TrainingSettings,
        seed: int,
        device: torch.device,
        part: Part | None = None,
    ):
        self.data, self.settings, self.seed, self.device = data, settings, seed, device
        self.part = part or Part()
        s = settings
        if mistake := batch_mistake(s.batch, self.part.count):
            raise UserError(f"GAN: batch {mistake}")
        architecture = Architecture(
            data.images.shape[1],
            data.channels,
            data.class_count,
            s.latent,
            s.mapping_layers,
            s.channel_base,
            s.channel_max,
        )
        torch.manual_seed(derive_seed(seed, "initialise"))
        self.generator = Generator(architecture).to(device)
        self.discriminator = Discriminator(architecture).to(device)
        self.average = copy.deepcopy(self.generator).requires_grad_(False).eval()
        if s.precision != "float32":  # the average, whose images are kept, stays in float32
            for network in (self.generator.synthesis, self.discriminator):
                use_half(network, getattr(torch, s.precision), s.half_resolutions)
        self.optimiser_g = lazy_adam(
            self.generator.parameters(), s.learning_rate, PATH_INTERVAL if s.path_length_weight else None
        )
        self.gamma = s.gamma(architecture.resolution)
        self.optimiser_d = lazy_adam(
            self.discriminator.parameters(), s.learning_rate, R1_INTERVAL if self.gamma else None
        )
        self.stream = Stream(data, seed, s.mirror, device)
        self.labels = torch.from_numpy(data.labels).to(device)
        # Not recorded: messages of processes that share a training, and PyTorch's operations in the kernels' place.
        alone = self.part.count == 1
        self.recorder = Recorder(device, alone and device.type == "cuda" and kernels_work(device))
        self.random = self.recorder.generator
        self.augment = Augmentation(pipeline=s.ada_pipeline, part=self.part)
        self.path_mean = torch.zeros((), device=device)
        self.signs = torch.zeros(2, device=device)  # sum and number of sign(D(real)) since ADA's last adjustment
        self.sums = {name: torch.zeros(2, device=device) for name in STATISTICS}  # likewise since the last log row
        self.images_seen = 0

    @property
    def kimg(self) -> float:
        return self.images_seen / 1000

    def step(self) -> None:
        """One batch: generator, its regularisation, discriminator, its regularisation, moving average, ADA."""
        s, step = self.settings, self.images_seen // self.settings.batch
        keep, number, run, augmented = self.recorder.keep, self.recorder.number, self.recorder.run, self.augment.p > 0
        with self.recorder.step():
            self.random.manual_seed(derive_seed(self.seed, "step", images=self.images_seen))
            real, labels = self.stream.batch(self.images_seen, s.batch)
            real = keep("real", self.part.of(real))
            real_c = keep("classes", self._classes(self.part.of(labels)))
            weight: float | Tensor = s.average_weight(self.images_seen)
            if self.recorder.active:
                weight = number("weight", s.average_weight(self.images_seen))
                self.augment.held = number("p", self.augment.p)

            run(("generator", augmented), self.train_generator)
            if s.path_length_weight and step % PATH_INTERVAL == 0:
                run("path length", self.regularise_path_length)
            run(("discriminator", augmented), lambda: self.train_discriminator(real, real_c))
            if self.gamma and step % R1_INTERVAL == 0:
                run(("r1", augmented), lambda: self.regularise_r1(real, real_c))
            run("average", lambda: self._update_average(weight))
        self.images_seen += s.batch
        if (step + 1) % ADA_INTERVAL == 0:
            self._adapt()

    def train_generator(self) -> None:
        self.discriminator.requires_grad_(False)
        fake, _, c = self._fake(self.settings.batch)
        logits = self.discriminator(self.augment(fake, self.random), c)
        loss = generator_loss(logits)
        self._descend(self.optimiser_g, loss)
        self.discriminator.requires_grad_(True)
        self._count("loss_g", loss)

    def regularise_path_length(self) -> None:
        """Pulls the lengths of J^T y to their running mean (StyleGAN2, eq. 4)."""
        n = self.settings.batch // PATH_SHRINK
        images, ws, _ = self._fake(n)
        noise = torch.randn(n, *images.shape[1:], generator=self.random, device=self.device)
        lengths = path_lengths(images, ws, self.part.of(noise))
        mean = self.path_mean.lerp(self.part.mean(lengths.mean()), PATH_DECAY)
        self.path_mean.copy_(mean.detach())
        loss = (lengths - mean).square().mean() * (self.settings.path_length_weight * PATH_INTERVAL)
        self._descend(self.optimiser_g, loss)
        self._count("path_length", lengths)

    def train_discriminator(self, real: Tensor, real_c: Tensor) -> None:
        with torch.no_grad():
            fake, _, fake_c = self._fake(self.settings.batch)
            fake = self.augment(fake, self.random)
        fake_logits = self.discriminator(fake, fake_c)
        real_logits = self.discriminator(self.augment(real, self.random), real_c)
        loss = discriminator_loss(real_logits, fake_logits)
        self._descend(self.optimiser_d, loss)
        signs = real_logits.detach().sign()
        self.signs += self.part.sum(torch.stack([signs.sum(), signs.new_full((), len(signs))]))
        self._count("loss_d", loss)
        self._count("r_t", signs)
        self._count("real_score", real_logits)
        self._count("fake_score", fake_logits)

    def regularise_r1(self, real: Tensor, real_c: Tensor) -> None:
        real = real.detach().requires_grad_()
        logits = self.discriminator(self.augment(real, self.random), real_c)
        penalty = r1_penalty(logits, real)
        self._descend(self.optimiser_d, penalty.mean() * (self.gamma / 2 * R1_INTERVAL))
        self._count("r1", penalty)

    def _latents(self, n: int) -> tuple[Tensor, Tensor]:
        """This process's share of n random latents, some mixed of two from a random layer on, and their classes.

        ws [n / processes, w_count, latent]; c [n / processes, class_count].
        """
        labels = self.labels[torch.randint(len(self.labels), (n,), generator=self.random, device=self.device)]
        z = torch.randn(2, n, self.settings.latent, generator=self.random, device=self.device)
        chance = torch.rand(2, n, generator=self.random, device=self.device)
        c = self._classes(self.part.of(labels))
        z, chance = (self.part.of(draws.transpose(0, 1)).transpose(0, 1) for draws in (z, chance))
        mapping, count = self.generator.mapping, self.generator.synthesis.w_count
        first, second = mapping(z.flatten(0, 1), c.repeat(2, 1)).chunk(2)
        mapping.update_average(self.part.mean(first.detach().mean(0)))
        crossover = 1 + (chance[0] * (count - 1)).long()
        crossover = torch.where(chance[1] < self.settings.style_mixing, crossover, torch.full_like(crossover, count))
        from_second = torch.arange(count, device=self.device) >= crossover[:, None]
        return torch.where(from_second[:, :, None], second[:, None], first[:, None]), c

    def _fake(self, n: int) -> tuple[Tensor, Tensor, Tensor]:
        """This process's share of n generated images, the ws they are made from, and their classes."""
        ws, c = self._latents(n)
        noise = [self.part.of(maps) for maps in self.generator.synthesis.draw_noise(n, self.random)]
        return self.generator.synthesis(ws, noise), ws, c

    def _classes(self, labels: Tensor) -> Tensor:
        return one_hot_classes(labels.to(self.device), self.data.class_count)

    def _descend(self, optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
        optimiser.zero_grad()
        loss.backward()
        parameters = [p for group in optimiser.param_groups for p in group["params"]]
        self.part.average_gradients(parameters)
        if self.settings.precision == "float16":  # overflow of a single value must not end the training
            for parameter in parameters:
                if parameter.grad is not None:
                    parameter.grad.nan_to_num_(nan=0, posinf=1e5, neginf=-1e5)
        optimiser.step()

    @torch.no_grad()
    def _update_average(self, weight: float | Tensor) -> None:
        """weight: by which the average moves towards the generator, in [0, 1]."""
        for average, current in zip(self.average.parameters(), self.generator.parameters(), strict=True):
            average.lerp_(current, weight.to(current.dtype) if isinstance(weight, Tensor) else weight)
        for stored, now in zip(self.average.buffers(), self.generator.buffers(), strict=True):
            stored.copy_(now)

    def _adapt(self) -> None:
        s = self.settings
        if s.ada_target is None:
            return
        total, number = self.signs.tolist()
        self.signs.zero_()
        self.augment.adapt(total / number, s.ada_target, s.batch * ADA_INTERVAL, s.ada_kimg)

    def _count(self, name: str, values: Tensor) -> None:
        values = values.detach()
        self.sums[name] += self.part.sum(torch.stack([values.sum(), values.new_full((), values.numel())]))

    def statistics(self) -> dict[str, float | None]:
        """Means since `clear_statistics`, None where nothing was counted. Raises NotFinite where one is."""
        sums = {name: total.tolist() for name, total in self.sums.items()}
        bad = [name for name, (total, _) in sums.items() if not math.isfinite(total)]
        if bad:
            raise NotFinite(self._gone_wrong(", ".join(bad)))
        return {name: total / number if number else None for name, (total, number) in sums.items()}

    def check_finite(self) -> None:
        """Raises NotFinite where a loss, a weight or an optimiser's moment is."""
        self.statistics()
        networks = {"generator": self.generator, "discriminator": self.discriminator, "moving average": self.average}
        tensors = {name: list(network.state_dict().values()) for name, network in networks.items()}
        for name, optimiser in (("generator", self.optimiser_g), ("discriminator", self.optimiser_d)):
            tensors[f"optimiser of the {name}"] = [v for state in optimiser.state.values() for v in state.values()]
        for name, values in tensors.items():
            if not all(torch.isfinite(value).all() for value in values):
                raise NotFinite(self._gone_wrong(name))

    def _gone_wrong(self, what: str) -> str:
        return (
            f"GAN training, step {self.images_seen // self.settings.batch}: {what} not finite at {self.kimg:g} kimg; "
            f"lower learning_rate ({self.settings.learning_rate:g}) or raise r1_gamma ({self.gamma:g})"
        )

    def clear_statistics(self) -> None:
        for total in self.sums.values():
            total.zero_()

    @torch.no_grad()
    def snapshot(self, z: Tensor, labels: Tensor) -> Tensor:
        """Images of the moving average, [n, C, H, H], for latents z [n, latent] and labels [n]; stored noise maps."""
        batches = zip(z.split(SNAPSHOT_BATCH), labels.split(SNAPSHOT_BATCH), strict=True)
        return torch.cat([self.average(a.to(self.device), self._classes(b)).cpu() for a, b in batches])

    def state(self) -> dict:
        """All that a later step depends on: tensors and plain values."""
        return {
            "generator": self.generator.state_dict(),
            "discriminator": self.discriminator.state_dict(),
            "average": self.average.state_dict(),
            "optimiser_g": self.optimiser_g.state_dict(),
            "optimiser_d": self.optimiser_d.state_dict(),
            "path_mean": self.path_mean,
            "signs": self.signs,
            "sums": self.sums,
            "ada_p": self.augment.p,
            "images_seen": self.images_seen,
        }

    def load_state(self, state: dict) -> None:
        """Takes over what `state` returned, loaded to any device."""
        self.generator.load_state_dict(state["generator"])
        self.discriminator.load_state_dict(state["discriminator"])
        self.average.load_state_dict(state["average"])
        self.optimiser_g.load_state_dict(state["optimiser_g"])
        self.optimiser_d.load_state_dict(state["optimiser_d"])
        self.recorder.forget()
        self.path_mean = state["path_mean"].to(self.device)
        self.signs = state["signs"].to(self.device)
        self.sums = {name: total.to(self.device) for name, total in state["sums"].items()}
        self.augment.p = state["ada_p"]
        self.images_seen = state["images_seen"]

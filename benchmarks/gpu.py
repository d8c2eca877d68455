"""Whether StyleGAN2-ADA is right on this GPU, how fast the card trains it, and what bounds it.

    python benchmarks/gpu.py                                  all parts, a table of their rows; --json FILE keeps them
    python benchmarks/gpu.py --parts right speed              some of them
    python benchmarks/gpu.py --parts speed --device cpu --tiny   a trial of the script, without a GPU

Each part runs in a process of its own, and its limit of seconds ends it without ending the others. Rows come as they
are measured.

right: a training that goes on from a checkpoint ends with the same bits; a recorded step gives the bits of the step
    itself; agreement with the reference values in float32, TF32, bfloat16 and float16; R1 and path lengths finite in 16
    bits; ADA's pipeline against the CPU's.
ceilings: what the card does at best: products in float32, TF32 and bfloat16, and a copy.
speed: seconds per kimg, memory, utilisation and power of trainings at 64, 128 and 256 pixels.
bounds: kernels of a 256-pixel step by time, and the share in which none runs.
many: several trainings of 64 pixels at once on the card, with and without NVIDIA's MPS where that is there.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))
from gan import CYCLE, gpu_memory, make_trainer, now

LIMITS = {"right": 90, "ceilings": 30, "speed": 200, "bounds": 60, "many": 120}
PARITY = Path(__file__).parents[1] / "tests" / "stylegan2" / "parity"
SMALL = {"resolution": 64, "channel_base": 4096, "channel_max": 512, "latent": 512, "batch": 32}
LARGE = {"resolution": 256, "channel_base": 16384, "channel_max": 512, "latent": 512, "batch": 32}
MIDDLE = {**LARGE, "resolution": 128}
TINY = {"resolution": 16, "channel_base": 256, "channel_max": 16, "latent": 16, "batch": 8}
PLAIN = {"mapping_layers": 2, "threads": 4, "precision": "float32", "tf32": False, "cudnn_benchmark": False, "p": 0.3}
TF32, BF16 = {"tf32": True}, {"tf32": True, "precision": "bfloat16"}
TRIAL = {"cudnn_benchmark": True}
# The most telling first: a part may be ended by its limit.
CASES = [
    LARGE | BF16,
    LARGE | BF16 | TRIAL,
    SMALL | TF32,
    SMALL | BF16,
    SMALL,
    MIDDLE | BF16,
    LARGE | TF32,
    LARGE | BF16 | {"p": 0.0},
    SMALL | TF32 | {"p": 0.0},
    SMALL | TF32 | {"batch": 64},
    MIDDLE | TF32,
    LARGE | BF16 | TRIAL | {"batch": 64},
    LARGE | BF16 | {"precision": "float16"},
    SMALL | TF32 | TRIAL,
    {**SMALL, "channel_base": 2048, "channel_max": 128, "latent": 128} | TF32,
    MIDDLE,
    LARGE,
]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=list(LIMITS), default=list(LIMITS))
    parser.add_argument("--device", default="cuda", choices=["cpu", "cuda"])
    parser.add_argument("--tiny", action="store_true", help="networks of 16 pixels, few steps")
    parser.add_argument("--cases", type=int, nargs="+", help="numbers of the speed cases to run, from 0")
    parser.add_argument("--short", action="store_true", help="of speed: one cycle, after two steps")
    parser.add_argument("--json", type=Path, help="file for the rows")
    parser.add_argument("--alone", action="store_true", help="the one part in this process")
    parser.add_argument("--seconds", type=float, help="in place of the part's limit")
    args = parser.parse_args()
    if args.alone:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        for row in globals()[args.parts[0]](args):
            print(json.dumps(row), flush=True)
        return
    rows: list[dict] = []
    for part in args.parts:
        rows += run_part(part, sys.argv[1:], args.seconds or LIMITS[part])
        if args.json:
            args.json.write_text(json.dumps(rows, indent=1))
    if wrong := [row for row in rows if "error" in row or row.get("ok") is False]:
        sys.exit(f"{len(wrong)} of {len(rows)} rows went wrong")


def run_part(part: str, arguments: list[str], limit: float) -> list[dict]:
    """The rows of a part, each shown when it comes."""
    kept, skip = [], False
    for argument in arguments:  # all but --parts and what follows it
        skip = argument == "--parts" or (skip and not argument.startswith("--"))
        kept += [] if skip else [argument]
    command = [sys.executable, __file__, *kept, "--parts", part, "--alone"]
    start, rows = time.time(), []
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    timer = threading.Timer(limit, process.kill)
    timer.start()
    for line in process.stdout:
        if line.startswith("{"):
            rows.append({"part": part} | json.loads(line))
            print("  ".join(f"{k}={v}" for k, v in rows[-1].items()), flush=True)
    timer.cancel()
    print(f"== {part}: {time.time() - start:.0f} s, exit {process.wait()}", flush=True)
    return rows


def tried(what: dict, function, *args):
    """A row, with the error where there is one: one failure ends no other measurement."""
    try:
        return what | function(*args)
    except Exception as error:
        traceback.print_exc()
        return what | {"error": f"{type(error).__name__}: {str(error)[:300]}"}


def right(args):
    import torch

    from ganaug.seeding import set_determinism

    set_determinism(4)
    for size in (TINY, {**SMALL, "channel_base": 1024, "channel_max": 64}):
        for mode in ({}, BF16):
            case = PLAIN | size | mode
            what = {"resolution": case["resolution"], "precision": case["precision"], "tf32": case["tf32"]}
            yield tried({"check": "resumed"} | what, resumed, case, args.device)
    for name in ("r32_gray_4class", "r64_rgb_uncond"):
        for mode in ("float32", "tf32", "bfloat16", "float16"):
            torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = mode == "tf32"
            yield tried({"check": "parity", "networks": name, "mode": mode}, parity, name, mode, args.device)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    for channels in (1, 3):
        yield tried({"check": "ADA against the CPU", "channels": channels}, ada, channels, args.device)


def parity(name: str, mode: str, device: str) -> dict:
    """Largest error of each output by its largest magnitude."""
    import torch
    from safetensors import safe_open

    from ganaug.stylegan2.discriminator import Discriminator
    from ganaug.stylegan2.generator import Architecture, Generator, use_half
    from ganaug.stylegan2.loss import path_lengths, r1_penalty

    with safe_open(PARITY / f"{name}.safetensors", "pt") as file:
        m, tensors = file.metadata(), {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118

    def part(prefix):
        return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}

    sizes = ("img_resolution", "img_channels", "c_dim", "z_dim", "mapping_layers", "channel_base", "channel_max")
    generator, discriminator = (
        network(Architecture(*(int(m[s]) for s in sizes))) for network in (Generator, Discriminator)
    )
    generator.load_state_dict(part("G."))
    discriminator.load_state_dict(part("D."))
    generator, discriminator = generator.to(device), discriminator.to(device)
    if mode in ("bfloat16", "float16"):
        use_half(generator.synthesis, getattr(torch, mode), 10)
        use_half(discriminator, getattr(torch, mode), 10)
    io = {k: v.to(device) for k, v in part("io.").items()}
    images = io["x"].requires_grad_()
    logits = discriminator(images, io["c"])
    ws = io["w"][: len(io["pl_y"])].clone().requires_grad_()
    found = {
        "w": generator.latents(io["z"], io["c"]),
        "img_noise_const": generator.synthesis(io["w"], "const"),
        "img_psi0.7_noise_none": generator.synthesis(io["w_psi0.7"], None),
        "logits": logits,
        "r1": r1_penalty(logits, images),
        "pl_lengths": path_lengths(generator.synthesis(ws, "const"), ws, io["pl_y"]),
    }
    errors = {k: ((v - io[k]).abs().max() / io[k].abs().max()).item() for k, v in found.items()}
    finite = all(bool(v.isfinite().all()) for v in found.values())
    fine = finite and (mode != "float32" or max(errors.values()) < 1e-4)
    return {"ok": fine, "finite": finite} | {k: float(f"{v:.2g}") for k, v in errors.items()}


def ada(channels: int, device: str) -> dict:
    """The whole pipeline, its gradient and the gradient of that, on the device and on the CPU, from the same draws."""
    import torch

    from ganaug.stylegan2 import ada as pipeline
    from ganaug.stylegan2.ada_geometry import geometry_matrix, warp

    g, n, size = torch.Generator().manual_seed(1), 8, 64
    geometry = pipeline.draw_geometry(n, size, 0.9, 0.9, g)
    colour = pipeline.draw_colour(n, channels, 0.9, g)
    bands, cut = pipeline.draw_filter(n, 0.9, g), pipeline.draw_cutout(n, 0.9, g)
    x, y, z = (torch.randn(n, channels, size, size, generator=g) for _ in range(3))

    def results(device):
        there = [{k: v.to(device) for k, v in draws.items()} for draws in (geometry, colour, bands, cut)]
        images = x.to(device).requires_grad_()
        warped = warp(images, geometry_matrix(**there[0]))
        out = pipeline.recolour(warped, pipeline.colour_matrix(**there[1]))
        out = pipeline.cut_out(pipeline.filter_bands(out, **there[2]), **there[3])
        weight = y.to(device).requires_grad_()
        (first,) = torch.autograd.grad(out, images, weight, create_graph=True)
        (second,) = torch.autograd.grad(first, weight, z.to(device))
        return {"images": out, "gradient": first, "second": second}

    here, expected = results(device), results("cpu")
    errors = {k: ((here[k].cpu() - v).abs().max() / v.abs().max()).item() for k, v in expected.items()}
    return {"ok": max(errors.values()) < 1e-4} | {k: float(f"{v:.2g}") for k, v in errors.items()}


def resumed(case: dict, device: str) -> dict:
    """40 steps in one go, as they are without recording, and with a new trainer from a checkpoint after every 9."""
    import torch

    from ganaug.checkpoint import Checkpoints

    def digest(trainer):
        return torch.cat([v.detach().double().flatten().cpu() for v in flat(trainer.state()) if torch.is_tensor(v)])

    def flat(value):
        if isinstance(value, dict):
            return [leaf for v in value.values() for leaf in flat(v)]
        return [leaf for v in value for leaf in flat(v)] if isinstance(value, (list, tuple)) else [value]

    def fresh():
        trainer = make_trainer(argparse.Namespace(**case, device=device))
        trainer.augment.p = 0.0
        return trainer

    def go(trainer, steps):
        for _ in range(steps):
            trainer.step()
            if trainer.images_seen == 20 * case["batch"]:
                trainer.augment.p = 0.5

    straight, plain = fresh(), fresh()
    go(straight, 40)
    plain.recorder.active = False
    go(plain, 40)
    with tempfile.TemporaryDirectory() as folder:
        checkpoints, trainer = Checkpoints(Path(folder)), fresh()
        for steps in (9, 9, 9, 9, 4):
            go(trainer, steps)
            checkpoints.save(trainer.images_seen, trainer.state())
            trainer = fresh()
            trainer.load_state(checkpoints.load_newest(10**9))
    a, b, c = digest(straight), digest(plain), digest(trainer)
    return {
        "ok": torch.equal(a, c) and torch.equal(a, b) and bool(a.isfinite().all()),
        "resumed_is_equal": torch.equal(a, c),
        "recorded_is_equal": torch.equal(a, b),
        "largest_difference": ((a - c).abs().max() + (a - b).abs().max()).item(),
        "values": len(a),
    }


def ceilings(args):
    import torch

    device, side = torch.device(args.device), 512 if args.tiny else 8192
    card = torch.cuda.get_device_name(device) if args.device == "cuda" else "cpu"
    yield {"card": card, "torch": torch.__version__, "cuda": torch.version.cuda}
    for mode in ("float32", "tf32", "bfloat16"):
        torch.backends.cuda.matmul.allow_tf32 = mode == "tf32"
        dtype = torch.bfloat16 if mode == "bfloat16" else torch.float32
        factors = [torch.randn(side, side, device=device, dtype=dtype) for _ in range(2)]
        seconds = median_seconds(device, torch.matmul, *factors)
        yield {"product": mode, "tflops": round(2 * side**3 / seconds / 1e12, 1)}
    values = torch.randn(2**22 if args.tiny else 2**30, device=device)
    seconds = median_seconds(device, torch.empty_like(values).copy_, values)
    yield {"copy": "float32", "tb_per_second": round(8 * values.numel() / seconds / 1e12, 2)}


def median_seconds(device, function, *arguments, times: int = 10) -> float:
    spent = []
    for _ in range(times + 3):
        start = now(device)
        function(*arguments)
        spent.append(now(device) - start)
    return sorted(spent[3:])[times // 2]


def speed(args):
    cases = [TINY, TINY | {"p": 0.0}] if args.tiny else CASES
    for number, case in enumerate(cases):
        if args.cases is None or number in args.cases:
            yield tried({"case": number} | named(case), speed_of, PLAIN | case, args)


def named(case: dict) -> dict:
    case = PLAIN | case
    return {k: case[k] for k in ("resolution", "channel_base", "batch", "precision", "tf32", "cudnn_benchmark", "p")}


def speed_of(case: dict, args) -> dict:
    """Whole cycles of steps, after one in which all phases are recorded; at least one, about four seconds."""
    import gc

    import torch

    gc.collect()
    cuda = args.device == "cuda"
    if cuda:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    trainer = make_trainer(argparse.Namespace(**case, device=args.device))
    start = now(trainer.device)
    for _ in range(2 if args.short else CYCLE + 1):
        trainer.step()
    warm = now(trainer.device) - start
    watch, cycles, start = Watch(cuda), 0, now(trainer.device)
    while cycles == 0 or (now(trainer.device) - start < 4 and not args.short):
        for _ in range(CYCLE):
            trainer.step()
        cycles += 1
    seconds = now(trainer.device) - start
    row = {
        "seconds_per_kimg": round(1000 * seconds / (cycles * CYCLE * case["batch"]), 3),
        "ms_per_step": round(1000 * seconds / (cycles * CYCLE), 2),
        "first_steps_seconds": round(warm, 1),
    }
    return row | ({"memory_gb": round(gpu_memory(), 2)} if cuda else {}) | watch.stop()


class Watch:
    """nvidia-smi's utilisation (share of time in which a kernel runs) and power, every fifth of a second."""

    def __init__(self, cuda: bool):
        query = ["nvidia-smi", "--query-gpu=utilization.gpu,power.draw", "--format=csv,noheader,nounits", "-lms", "200"]
        there = cuda and shutil.which("nvidia-smi")
        self.process = subprocess.Popen(query, stdout=subprocess.PIPE, text=True) if there else None

    def stop(self) -> dict:
        if self.process is None:
            return {}
        self.process.terminate()
        lines = [line.split(",") for line in self.process.communicate()[0].splitlines() if line.count(",") == 1]
        used, watts = (sorted(float(line[i]) for line in lines[1:]) or [float("nan")] for i in (0, 1))
        return {"utilisation": used[len(used) // 2], "watts": watts[len(watts) // 2]}


def bounds(args):
    import torch
    from torch.profiler import ProfilerActivity, profile

    for case in [TINY] if args.tiny else [LARGE | BF16, SMALL | TF32]:
        trainer = make_trainer(argparse.Namespace(**(PLAIN | case), device=args.device))
        for _ in range(CYCLE + 1):
            trainer.step()
        activity = ProfilerActivity.CUDA if args.device == "cuda" else ProfilerActivity.CPU
        for step, kind in enumerate(("step", "step", "step", "with path length")):
            now(trainer.device)
            with profile(activities=[activity]) as profiler:
                start = time.perf_counter()
                trainer.step()
                wall = now(trainer.device) - start
            if step in (2, 3):
                yield from kernels(profiler, kind, wall, case["resolution"])
        del trainer, profiler
        if args.device == "cuda":
            torch.cuda.empty_cache()


def kernels(profiler, kind: str, wall: float, resolution: int):
    """The twenty kernels that take longest in all, and what share of the step no kernel runs."""
    events = [e for e in profiler.events() if e.device_type.name == "CUDA"] or list(profiler.events())
    spans = sorted((e.time_range.start, e.time_range.end) for e in events)
    busy, until = 0.0, float("-inf")
    for begin, end in spans:
        busy += max(0.0, end - max(begin, until))
        until = max(until, end)
    length = until - spans[0][0]
    what = {"resolution": resolution, "kind": kind}
    yield what | {
        "wall_ms": round(wall * 1000, 2),
        "from_first_to_last_ms": round(length / 1000, 2),
        "kernels": len(events),
        "idle_share": round(1 - busy / length, 3),
    }
    totals: dict[str, list[float]] = {}
    for e in events:
        totals.setdefault(e.name, []).append(e.time_range.end - e.time_range.start)
    for name, spent in sorted(totals.items(), key=lambda item: -sum(item[1]))[:20]:
        yield what | {"ms": round(sum(spent) / 1000, 3), "calls": len(spent), "kernel": name[:110]}


def many(args):
    """Trainings at once, each in a process of its own; what all together train in the seconds in which all run."""
    mps = shutil.which("nvidia-cuda-mps-control") if args.device == "cuda" else None
    for with_mps in [True, False] if mps else [False]:
        with tempfile.TemporaryDirectory() as folder:
            environment = dict(os.environ)
            if with_mps:
                environment |= {"CUDA_MPS_PIPE_DIRECTORY": folder, "CUDA_MPS_LOG_DIRECTORY": folder}
                subprocess.run([mps, "-d"], env=environment, check=False)
            yield from at_once((1, 2) if args.tiny else (1, 4, 8, 16), with_mps, args, environment)
            if with_mps:
                subprocess.run([mps], input="quit\n", text=True, env=environment, check=False, timeout=20)


def at_once(counts: tuple[int, ...], with_mps: bool, args, environment: dict):
    """As many processes as the largest count needs; of them, each count's first train for the same seconds."""
    seconds = 2 if args.tiny else 4
    call = f"gpu.train_when_told({args.device!r}, {args.tiny}, {seconds})"
    command = [sys.executable, "-c", f"import sys; sys.path[:0] = [{str(Path(__file__).parent)!r}]; import gpu; {call}"]
    processes = [
        subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(max(counts))
    ]
    for process in processes:
        process.stdout.readline()
    for count in counts:
        watch = Watch(args.device == "cuda")
        for process in processes[:count]:
            process.stdin.write("go\n")
            process.stdin.flush()
        images = [int(process.stdout.readline() or 0) for process in processes[:count]]
        rate = {"kimg_per_minute": round(sum(images) * 0.06 / seconds, 1), "fewest": min(images), "most": max(images)}
        yield {"trainings": count, "mps": with_mps} | rate | watch.stop()
    for process in processes:
        process.stdin.close()
        process.wait()


def train_when_told(device: str, tiny: bool, seconds: float) -> None:
    """Readies a training; for every line it gets, trains for the seconds and prints the number of images."""
    case = PLAIN | {"threads": 1} | (TINY if tiny else SMALL | TF32)
    trainer = make_trainer(argparse.Namespace(**case, device=device))
    for _ in range(CYCLE + 1):
        trainer.step()
    now(trainer.device)
    print("ready", flush=True)
    for _ in sys.stdin:
        start, before = time.perf_counter(), trainer.images_seen
        while time.perf_counter() - start < seconds:
            for _ in range(4):
                trainer.step()
            now(trainer.device)
        print(trainer.images_seen - before, flush=True)


if __name__ == "__main__":
    main()

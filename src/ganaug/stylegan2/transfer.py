"""Starting a training from another's weights (Karras et al. 2020 ADA, section 4.3: transfer learning)."""

import logging
import math
from pathlib import Path

import torch
from torch import Tensor, nn

from ganaug.errors import UserError

log = logging.getLogger("ganaug")


def start_from(path: Path, networks: dict[str, nn.Module]) -> None:
    """Fills networks in place from a file of convert_stylegan2.

    networks: by their names in the file: G, D, G_ema. What is in the file in another form is adapted: colour to grey,
    and a mapping without classes to one with. What is not there in a fitting shape (a class embedding, the blocks of
    another resolution) keeps its fresh values, and is named in the log. Raises UserError where nothing fits.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            theirs = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except (SafetensorError, OSError) as error:
        raise UserError(f"gan.init_from: {path} can't be read ({error}); make it with convert_stylegan2") from None
    taken, fresh = 0, []
    for network, module in networks.items():
        state = module.state_dict()
        for name, own in state.items():
            found = theirs.get(f"{network}.{name}")
            value = None if found is None else _adapted(name, found, own)
            if value is None:
                fresh.append(f"{network}.{name}")
            else:
                state[name], taken = value, taken + 1
        module.load_state_dict(state)
    if not taken:
        raise UserError(f"gan.init_from: nothing in {path} fits these networks; compare resolution and channel_base")
    log.info("%d tensors from %s", taken, path)
    if fresh:
        log.info("not there, or of another shape, and left fresh: %s", ", ".join(fresh))


def _adapted(name: str, found: Tensor, own: Tensor) -> Tensor | None:
    """`found` in the shape of `own`, doing what it did; None where there is no such thing."""
    if found.shape == own.shape:
        return found
    if name.endswith(("torgb.weight", "torgb.bias")) and _is_colour(found, own, 0):
        return found.mean(0, keepdim=True)
    if name.endswith("fromrgb.weight") and _is_colour(found, own, 1):
        # Grey in all three channels; the layer divides by the root of their number.
        return found.sum(1, keepdim=True) / math.sqrt(found.shape[1])
    if name == "mapping.fc0.weight" and len(found) == len(own) and found.shape[1] < own.shape[1]:
        # Inputs are latent, then class embedding; the layer divides by the root of their number.
        columns = found.shape[1]
        return torch.cat([found * math.sqrt(own.shape[1] / columns), own[:, columns:].to(found)], 1)
    return None


def _is_colour(found: Tensor, own: Tensor, dimension: int) -> bool:
    """Whether the tensors differ just in having 3 colours instead of 1 grey along the dimension."""
    expected = list(own.shape)
    expected[dimension] = 3
    return own.shape[dimension] == 1 and list(found.shape) == expected

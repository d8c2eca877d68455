"""Starting a training from another's weights (Karras et al. 2020 ADA, section 4.3: transfer learning)."""

import logging
import math
from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor, nn

from ganaug.errors import UserError

log = logging.getLogger("ganaug")


def start_from(path: Path, networks: dict[str, nn.Module]) -> None:
    """Fills networks in place from a file of convert_stylegan2.

    networks: by their names in the file: G, D, G_ema. What is in the file in another form is adapted: colour to grey,
    and a mapping without classes to one with. What is not there in a fitting shape (a class embedding, the blocks of
    another resolution) keeps its fresh values, and is named in the log; so is what is in the file and has no place.
    Raises UserError where the mappings differ in depth, which would take a part of one for a whole, or where no weight
    of a network fits.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            theirs = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except (SafetensorError, OSError, ValueError, KeyError, AttributeError, TypeError) as error:  # kinds of no tensor
        raise UserError(f"gan.init_from: {path} can't be read ({error}); make it with convert_stylegan2") from None
    taken, fresh = set(), []
    for network, module in networks.items():
        state = module.state_dict()
        depths = [_mapping_layers(n.removeprefix(f"{network}.") for n in theirs if n.startswith(f"{network}."))]
        depths.append(_mapping_layers(state))
        if all(depths) and depths[0] != depths[1]:
            raise UserError(
                f"gan.init_from: {path} has {depths[0]} mapping layers, the study {depths[1]}; "
                f"write gan.mapping_layers: {depths[0]}"
            )
        for name, own in state.items():
            found = theirs.get(f"{network}.{name}")
            value = None if found is None else _adapted(name, found, own)
            if value is None:
                fresh.append(f"{network}.{name}")
            else:
                state[name] = value
                taken.add(f"{network}.{name}")
        # Filters, noise and its strengths have the same shapes in all networks: they say nothing.
        weights = {f"{network}.{name}" for name, parameter in module.named_parameters() if parameter.ndim >= 2}
        if not weights & taken:
            raise UserError(
                f"gan.init_from: no weight of {network} in {path} fits this study's; compare gan.latent, "
                "gan.channel_base and gan.channel_max with what convert_stylegan2 told of it"
            )
        module.load_state_dict(state)
    log.info("%d tensors from %s", len(taken), path)
    if fresh:
        log.info("not there, or of another shape, and left fresh: %s", ", ".join(fresh))
    unused = sorted(name for name in theirs.keys() - taken - set(fresh) if name.partition(".")[0] in networks)
    if unused:
        log.info("in the file, and without a place here: %s", ", ".join(unused))


def _mapping_layers(names: Iterable[str]) -> int:
    return sum(name.startswith("mapping.fc") and name.endswith(".weight") for name in names)


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
        # Inputs are latent, then class embedding; the layer divides by the root of their number. The embedding begins
        # without influence.
        columns = found.shape[1]
        return torch.cat([found * math.sqrt(own.shape[1] / columns), torch.zeros_like(own[:, columns:])], 1)
    return None


def _is_colour(found: Tensor, own: Tensor, dimension: int) -> bool:
    """Whether the tensors differ just in having 3 colours instead of 1 grey along the dimension."""
    expected = list(own.shape)
    expected[dimension] = 3
    return own.shape[dimension] == 1 and list(found.shape) == expected

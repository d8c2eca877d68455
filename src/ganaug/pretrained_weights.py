"""Whether a timm network has taken the weights of a file: timm skips names that it does not find, without a word."""

from pathlib import Path

import torch

from ganaug.errors import UserError
from ganaug.seeding import derive_seed


def check_taken(network: str, weights: Path, channels: int) -> None:
    """Raises UserError where a layer is left as timm draws it. The classification layer is not looked at.

    network: its name in timm. channels: of its images, 3 as in its pretraining or 1.
    """
    import timm

    def layers(pretrained: bool) -> dict[str, torch.Tensor]:
        torch.manual_seed(derive_seed(0, "weights that nobody has trained"))
        file = {"file": str(weights)} if pretrained else None
        model = timm.create_model(
            network, pretrained=pretrained, pretrained_cfg_overlay=file, in_chans=channels, num_classes=0
        )
        return {name: values for name, values in model.named_parameters() if values.ndim > 1}

    drawn, filled = layers(pretrained=False), layers(pretrained=True)
    telling = [name for name, values in drawn.items() if values.min() < values.max()]  # not drawn all alike
    left = [name for name in telling if torch.equal(drawn[name], filled[name])]
    if left:
        raise UserError(
            f"weights.{network}: {len(left)} of {len(telling)} layers of {network} are not among the weights "
            f"({left[0]}, say), and would start from chance; name a file with the weights of timm's {network}"
        )

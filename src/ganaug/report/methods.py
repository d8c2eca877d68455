"""The study's augmentations in the words of Methods."""

from ganaug.classify.augmentations import AUGMENTATIONS
from ganaug.errors import UserError

UNDESCRIBED = "not described in src/ganaug/classify/augmentations.py"


def augmentations_in_words(names: list[str], config: dict) -> list[dict]:
    """name and text of each augmentation: its description with the study's settings in place.

    Raises UserError where a description names a setting that the study has not.
    """
    return [{"name": name, "text": _described(name, config)} for name in names]


def _described(name: str, config: dict) -> str:
    augmentation = AUGMENTATIONS[name]
    try:
        text = augmentation.description.format(**config.get(augmentation.settings or "", {}))
    except (KeyError, IndexError, ValueError) as error:
        raise UserError(
            f"src/ganaug/classify/augmentations.py: the description of {name} can't be filled in "
            f"({type(error).__name__}: {error}); {{…}} stands for a setting of the block {augmentation.settings}"
        ) from error
    return text or UNDESCRIBED

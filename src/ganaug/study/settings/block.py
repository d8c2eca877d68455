"""What all blocks of settings share."""

from collections.abc import Iterator
from typing import Self

from pydantic import BaseModel, ConfigDict, model_validator


class Contradictions(ValueError):
    """Settings of a block that can't stand together. lines: one per mistake, each beginning with the setting's name."""

    def __init__(self, lines: list[str]):
        super().__init__("; ".join(lines))
        self.lines = lines


class Block(BaseModel):
    """A block of settings: a field per setting, with its type, limits, default and description."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    def contradictions(self) -> Iterator[str]:
        """Settings that are well-formed alone but can't stand together, as `setting: what is wrong; what to write`."""
        yield from ()

    @model_validator(mode="after")
    def _stands_together(self) -> Self:
        lines = list(self.contradictions())
        if lines:
            raise Contradictions(lines)
        return self

"""A study's settings from what the user wrote: checked, with every default filled in, contradictions refused."""

from typing import Any

from pydantic import ValidationError

from ganaug.errors import UserError
from ganaug.study.settings.hostile import unfit
from ganaug.study.settings.messages import explain
from ganaug.study.settings.schema import json_schema
from ganaug.study.settings.study import StudySettings


def resolve(config: Any) -> dict:
    """The checked study with every default filled in and its sizes in order.

    config: what the user wrote. A number in a list or block may be text, as Snakemake passes it on from the command
    line. Raises UserError with one line per mistake: the key's path, what is wrong and what to write.
    """
    mistakes = unfit(config)
    if not mistakes:
        try:
            return StudySettings.model_validate(config).model_dump(warnings=False)  # 5 stays 5 where 5.0 may stand
        except ValidationError as refused:
            mistakes = list(explain(refused.errors(include_url=False), config, json_schema()))
    lines = "\n".join(f"  {line}" for line in sorted(set(mistakes)))
    raise UserError(f"the study's configuration can't be used:\n{lines}")

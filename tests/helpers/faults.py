"""README's table of the faults after which the tests compare bytes, or the tensors of a checkpoint."""

import re

from helpers.running import ROOT


def stated() -> dict[str, int]:
    """Times by fault."""
    table = (ROOT / "README.md").read_text().partition("\n| fault ")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| (.+?) \| (\d+) \| 0 \|$", table, flags=re.MULTILINE)
    assert len(rows) == len(table.splitlines()) - 2 > 0
    return {fault: int(times) for fault, times in rows}

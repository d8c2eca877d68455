"""Writes envs/ganaug.yaml: the pins of requirements.txt as a conda environment.

Python comes from conda-forge, the packages from the same place as in a plain installation, so that both are the same
files. The hashes stay in requirements.txt: conda's pip section takes no hash per line.
"""

import re
from pathlib import Path

HERE = Path(__file__).parent


def pins(requirements: str) -> list[str]:
    """`name==version` lines of a requirements file, in its order."""
    return re.findall(r"^([A-Za-z0-9_.-]+==[^\s;\\]+)", requirements, flags=re.MULTILINE)


def conda_environment(requirements: str) -> str:
    lines = ["# Made from requirements.txt by envs/make_conda.py; do not edit.", "channels:", "  - conda-forge"]
    lines += ["  - nodefaults", "dependencies:", "  - python=3.11", "  - pip", "  - pip:"]
    return "\n".join([*lines, *(f"      - {pin}" for pin in pins(requirements))]) + "\n"


if __name__ == "__main__":
    (HERE / "ganaug.yaml").write_text(conda_environment((HERE / "requirements.txt").read_text()))

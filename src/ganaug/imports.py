"""Which source files a stage imports, read from the source, so that a change reruns just the stages it touches."""

import ast
import functools
from pathlib import Path

from ganaug.cli import STAGES

SOURCE = Path(__file__).parent.parent


def files_of_stage(stage: str) -> list[Path]:
    """The project's own files that a stage's module imports, directly or not, itself included; sorted.

    Imports inside functions count too. Empty files (package markers) are left out.
    """
    found: set[Path] = set()
    waiting = [STAGES[stage]]
    while waiting:
        path = _file_of(waiting.pop())
        if path is not None and path not in found:
            found.add(path)
            waiting += _imports(path)
    return sorted(path for path in found if path.stat().st_size)


def _file_of(module: str) -> Path | None:
    path = SOURCE.joinpath(*module.split("."))
    return next((p for p in (path.with_suffix(".py"), path / "__init__.py") if p.is_file()), None)


@functools.cache
def _imports(path: Path) -> tuple[str, ...]:
    """Names of the project's modules a file imports; `from package import module` counts as the module too."""
    names = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    parents = [".".join(name.split(".")[:i]) for name in names for i in range(2, name.count(".") + 1)]
    return tuple(sorted({n for n in [*names, *parents] if n.startswith("ganaug.")}))

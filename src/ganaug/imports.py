"""Which source files a stage imports, read from the source, so that a change reruns just the stages it touches."""

import ast
import functools
import hashlib
from collections.abc import Iterable
from pathlib import Path

from ganaug.cli import STAGES
from ganaug.files import sha256_of

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


def digest_of_stage(stage: str, others: Iterable[Path] = ()) -> str:
    """SHA-256 over names and contents of a stage's source files, and of `others` that it reads; not of their place."""
    digest = hashlib.sha256()
    for path in [*files_of_stage(stage), *sorted(others)]:
        digest.update(f"{path.relative_to(SOURCE)}\0{sha256_of(path)}\n".encode())
    return digest.hexdigest()


def digest_of_all_stages() -> dict[str, str]:
    """Of those that results come from: not of the report and of what only looks."""
    looking = ("show_", "list_", "print_", "convert_", "make_report")
    return {stage: digest_of_stage(stage) for stage in STAGES if not stage.startswith(looking)}


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

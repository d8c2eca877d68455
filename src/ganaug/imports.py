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
            waiting += _read(path)[0]
    return sorted(path for path in found if path.stat().st_size)


def digest_of_stage(stage: str, others: Iterable[Path] = ()) -> str:
    """SHA-256 over names and meaning of a stage's source files, and over `others` that it reads; not over their place.

    Comments, docstrings and the layout of lines have no influence, neither has the version of Python.
    """
    digest = hashlib.sha256()
    for path in files_of_stage(stage):
        digest.update(f"{path.relative_to(SOURCE)}\0{_read(path)[1]}\n".encode())
    for path in sorted(others):
        digest.update(f"{path.relative_to(SOURCE)}\0{sha256_of(path)}\n".encode())
    return digest.hexdigest()


def digest_of_all_stages() -> dict[str, str]:
    """Of those that results come from: not of the report and of what only looks."""
    looking = ("print_", "convert_", "make_report")
    return {stage: digest_of_stage(stage) for stage in STAGES if not stage.startswith(looking)}


def _file_of(module: str) -> Path | None:
    path = SOURCE.joinpath(*module.split("."))
    return next((p for p in (path.with_suffix(".py"), path / "__init__.py") if p.is_file()), None)


@functools.cache
def _read(path: Path) -> tuple[tuple[str, ...], str]:
    """(names of the project's modules that a file imports, SHA-256 of what the file means)."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return _imports(tree), hashlib.sha256("\n".join(_meaning(tree, [])).encode("utf-8", "backslashreplace")).hexdigest()


def _imports(tree: ast.Module) -> tuple[str, ...]:
    """`from package import module` counts as the module too."""
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    parents = [".".join(name.split(".")[:i]) for name in names for i in range(2, name.count(".") + 1)]
    return tuple(sorted({n for n in [*names, *parents] if n.startswith("ganaug.")}))


def _meaning(value: object, lines: list[str]) -> list[str]:
    """Adds the syntax tree as lines, without what is empty: newer versions of Python have more such fields."""
    if isinstance(value, ast.AST):
        lines.append(type(value).__name__)
        for name, part in ast.iter_fields(value):
            if isinstance(value, ast.JoinedStr):
                part = [text for text in part if getattr(text, "value", None) != ""]  # Python 3.12 adds such
            if part is not None and part != [] and name not in ("kind", "ctx"):
                lines.append(name)
                _meaning(part, lines)
        lines.append(")")
    elif isinstance(value, list):
        for part in value:
            if not _is_text_alone(part):
                _meaning(part, lines)
        lines.append("]")
    else:
        lines.append(repr(value))
    return lines


def _is_text_alone(node: object) -> bool:
    """A docstring, or another string that nothing reads."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)

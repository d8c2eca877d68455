"""Which source files a stage imports, read from the source, so that a change reruns just the stages it touches."""

import ast
import functools
import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

from ganaug.cli import STAGES
from ganaug.files import sha256_of
from ganaug.study.figures import FIGURES

SOURCE = Path(__file__).parent.parent
REGISTRY = SOURCE / "ganaug" / "study" / "figures.py"
FUNCTION = re.compile(r"ganaug(\.\w+)+:\w+")  # a function's name in a registry


def files_of_stage(stage: str) -> list[Path]:
    """The project's own files that a stage's module imports, directly or not, itself included; sorted.

    Imports inside functions count too, and so do modules that a text `module:function` names, as registries do. Empty
    files (package markers) are left out.
    """
    return _reached([STAGES[stage]], by_name=True)


def files_of_figure(name: str) -> list[Path]:
    """The project's own files that decide how one figure is drawn; sorted.

    The registry is none of them: what it says of other figures, and of this one's place and caption, draws nothing.
    """
    files = _reached([STAGES["make_figure"], FIGURES[name].draw.partition(":")[0]], by_name=False)
    return [path for path in files if path != REGISTRY]


def _reached(modules: list[str], by_name: bool) -> list[Path]:
    """The files of modules and of what they import; by_name: and of the modules that a text in them names."""
    found: set[Path] = set()
    waiting = list(modules)
    while waiting:
        path = _file_of(waiting.pop())
        if path is not None and path not in found:
            found.add(path)
            imported, named, _ = _read(path)
            waiting += [*imported, *(named if by_name else ())]
    return sorted(path for path in found if path.stat().st_size)


def digest_of_figure(name: str) -> str:
    """SHA-256 over names and meaning of the source files that decide how a figure is drawn, and its function's name."""
    return _digest(files_of_figure(name), FIGURES[name].draw)


def digest_of_stage(stage: str, others: Iterable[Path] = ()) -> str:
    """SHA-256 over names and meaning of a stage's source files, and over `others` that it reads; not over their place.

    Comments, docstrings and the layout of lines have no influence, neither has the version of Python.
    """
    return _digest(
        files_of_stage(stage), *(f"{path.relative_to(SOURCE)}\0{sha256_of(path)}\n" for path in sorted(others))
    )


def _digest(files: list[Path], *more: str) -> str:
    lines = (f"{path.relative_to(SOURCE)}\0{_read(path)[2]}\n" for path in files)
    return hashlib.sha256("".join([*lines, *more]).encode()).hexdigest()


def digest_of_all_stages() -> dict[str, str]:
    """Of those that results come from: not of the report and of what only looks."""
    looking = ("print_", "convert_", "make_report")
    return {stage: digest_of_stage(stage) for stage in STAGES if not stage.startswith(looking)}


def _file_of(module: str) -> Path | None:
    path = SOURCE.joinpath(*module.split("."))
    return next((p for p in (path.with_suffix(".py"), path / "__init__.py") if p.is_file()), None)


@functools.cache
def _read(path: Path) -> tuple[tuple[str, ...], tuple[str, ...], str]:
    """(names of the project's modules that a file imports, of those it names, SHA-256 of what the file means)."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return (
        _imports(tree),
        _named(tree),
        hashlib.sha256("\n".join(_meaning(tree, [])).encode("utf-8", "backslashreplace")).hexdigest(),
    )


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


def _named(tree: ast.Module) -> tuple[str, ...]:
    """The modules in texts `module:function`."""
    texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return tuple(sorted(text.partition(":")[0] for text in texts if FUNCTION.fullmatch(text)))


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

"""The project's own files, for tests that look at the source."""

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
NOT_SHIPPED = frozenset({"tests", "bench", "examples", "docs"})


def packages() -> tuple[str, ...]:
    """Return the top-level packages of the application, as they stand in the tree."""
    return tuple(
        sorted(
            place.parent.name
            for place in ROOT.glob("*/__init__.py")
            if place.parent.name not in NOT_SHIPPED
        )
    )


def modules(*folders: str) -> Iterator[Path]:
    """Return every Python file below ``folders``; below the application's where none is named."""
    for folder in folders or packages():
        yield from sorted((ROOT / folder).rglob("*.py"))


def place(path: Path) -> str:
    """Return a file's place in the project, as a person would write it."""
    return path.relative_to(ROOT).as_posix()


def calls(path: Path, *names: str) -> list[str]:
    """Return where ``path`` calls one of ``names`` (``time.sleep``, ``PermittedCall``)."""
    text = path.read_text(encoding="utf-8")
    # To parse and to unparse is slow: only what may be one of them is.
    last = {name.rpartition(".")[2] for name in names}
    if not any(name in text for name in last):
        return []
    return [
        f"{place(path)}:{node.lineno}"
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call)
        and _last_of(node.func) in last
        and ast.unparse(node.func) in names
    ]


def _last_of(called: ast.expr) -> str:
    match called:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case _:
            return ""


def imported(path: Path) -> set[str]:
    """Return the names of the modules that ``path`` imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Import():
                found.update(name.name for name in node.names)
            case ast.ImportFrom():
                found.update(f"{node.module}.{name.name}" for name in node.names)
                found.add(node.module or "")
            case _:
                pass
    return found


def project() -> dict[str, object]:
    """Return ``pyproject.toml``."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

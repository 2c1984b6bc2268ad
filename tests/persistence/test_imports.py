"""The import rules of nbauth.persistence: no file in it imports the package itself."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import nbauth.persistence

ROOM = Path(nbauth.persistence.__file__).parent
PACKAGE = "nbauth.persistence"
CHILDREN = sorted(path.stem for path in ROOM.glob("*.py") if path.stem != "__init__")


def imported(source: str) -> Iterator[str]:
    """The modules that a file imports, also type-only and inside functions."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "relative imports are not used here"
            module = node.module or ""
            children = [alias.name for alias in node.names if alias.name in CHILDREN]
            package = module == PACKAGE and len(children) < len(node.names)
            yield from (f"{PACKAGE}.{name}" for name in children if module == PACKAGE)
            if module != PACKAGE or package:
                yield module


def rings(sources: dict[str, str]) -> list[str]:
    """The modules from which a path of imports leads back to themselves."""
    names = {f"{PACKAGE}.{name}" if name else PACKAGE: name for name in sources}
    graph = {
        name: {names[module] for module in imported(source) if module in names}
        for name, source in sources.items()
    }

    def reachable(start: str) -> set[str]:
        found: set[str] = set()
        waiting = [start]
        while waiting:
            new = graph[waiting.pop()] - found
            found |= new
            waiting += new
        return found

    return sorted(name for name in graph if name in reachable(name))


def room() -> dict[str, str]:
    """The sources, by module; the package itself is the empty name."""
    texts = {name: (ROOM / f"{name}.py").read_text("utf-8") for name in CHILDREN}
    return {**texts, "": (ROOM / "__init__.py").read_text("utf-8")}


def test_no_import_ring() -> None:
    assert rings(room()) == []


def test_a_planted_ring_is_found() -> None:
    sources = room()
    sources["locks"] += "\nfrom nbauth.persistence import Entry\n"
    assert "locks" in rings(sources)
    assert "" in rings(sources)
    sources = room()
    sources["private"] += "\nif TYPE_CHECKING:\n    from nbauth.persistence import locks\n"
    assert rings(sources) == ["locks", "private"]


def test_public_names_are_the_protocols() -> None:
    from nbauth.persistence import protocol

    for name in ("Ask", "Entry", "Persistence"):
        assert name in nbauth.persistence.__all__
        assert getattr(nbauth.persistence, name) is getattr(protocol, name)

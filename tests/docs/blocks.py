"""The blocks of the documents, and how each kind of them is tested.

A kind is the language of a block, or the mark in a comment before it: ``<!-- block: mistake -->``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = tuple(
    path.relative_to(ROOT).as_posix()
    for path in (
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
        ROOT / "benchmarks" / "README.md",
        *sorted((ROOT / "docs").rglob("*.md")),
    )
)
KINDS = {
    "python": "run as a cell in a kernel that is signed in at the demo's provider (test_cells)",
    "sh": "each command by the rule for its name: COMMANDS in test_commands",
    "toml": "read as config.toml; each profile leads to an authority (test_settings)",
    "storage": "python: run at Azurite (adapters/data/test_files)",
    "sql-server": "python: run with Microsoft's driver (adapters/data/test_sql_server)",
    "postgresql": "python: run at PostgreSQL (adapters/data/test_postgresql)",
    "openai": "python: run, and called at an endpoint (adapters/data/test_bearer)",
    "mistake": "toml that is read as config.toml and refused (test_settings)",
    "message": "text: the error for the mistake before it, word for word (test_settings)",
    "pyproject.toml": "toml: its entry point is found by nbauth (test_extending)",
    "my_flow.py": "python: a package with this module signs in (test_extending)",
    "my_identity.py": "python: a package with this module signs in (test_extending)",
    "diff": "each added line is in the file that it names (test_extending)",
    "test_my_store.py": "python: pytest runs it on a store (test_extending)",
    "jupyterhub_config.py": "python: executed as a configuration file (test_settings)",
    "ipython_kernel_config.py": "python: executed as a configuration file (test_settings)",
    ".pre-commit-config.yaml": "yaml: its hook is that of .pre-commit-hooks.yaml (test_command)",
    "tree": "text: the modules that it names exist, and none is left out (test_pages)",
    "pyi": "parsed as Python; tools/reference.py writes it from the code (test_pages)",
}
_FENCE = re.compile(
    r"^(?:<!-- block: (?P<mark>\S+) -->\n)?^```(?P<language>\S*)[^\n]*\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """One block of a document; ``line`` is that of its first line of text."""

    document: str
    line: int
    kind: str
    text: str

    @property
    def place(self) -> str:
        return f"{self.document}:{self.line}"


def read(document: str) -> str:
    return (ROOT / document).read_text("utf-8")


def blocks_of(document: str) -> Iterator[Block]:
    """All blocks, in their order."""
    text = read(document)
    for found in _FENCE.finditer(text):
        line = text.count("\n", 0, found.start("text")) + 1
        yield Block(document, line, found["mark"] or found["language"], found["text"])


ALL = tuple(block for document in DOCUMENTS for block in blocks_of(document))


def of_kind(kind: str) -> list[Block]:
    return [block for block in ALL if block.kind == kind]


def prose_of(document: str) -> str:
    """The document without its blocks."""
    return _FENCE.sub("", read(document))

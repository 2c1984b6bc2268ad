"""The examples of docs/data.md, with the addresses of the tests' servers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.docs.blocks import of_kind


def run_examples(kind: str, replaced: Mapping[str, str]) -> dict[str, Any]:
    """Run all blocks of a kind in one namespace; each text of ``replaced`` must occur."""
    source = "\n".join(block.text for block in of_kind(kind))
    for old, new in replaced.items():
        assert old in source, old
        source = source.replace(old, new)
    names: dict[str, Any] = {}
    exec(compile(source, f"docs/data.md ({kind})", "exec"), names)
    return names

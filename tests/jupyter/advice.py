"""Finds the magics that messages advise to run."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "nbauth"
_MAGIC = re.compile(r"%(login|logout|token|accounts|whoami)\b")
_WORD = re.compile(r' ("(?:[^"\\]|\\.)*"|\{\}|[^\s"]+?)(?=[.,;:)?]*(?:\s|$))([.,;:)?]*)')
_FLAGS = {"--all", "--forget", "--force", "--background", "--doctor", "--revoke", "--quiet"}
_SAMPLE = {"--flow": "device", "--profile": "work"}


def magics_in(text: str) -> Iterator[str]:
    """The lines that a message advises to run: a magic, its options and their values."""
    for found in _MAGIC.finditer(text):
        words, at, waits = [found[0]], found.end(), False
        while follows := _WORD.match(text, at):
            word, end = follows[1], follows[2]
            is_verb = words == ["%accounts"] and word in {"use", "drop"}
            is_scope = words[0] in {"%token", "%login"} and re.search(r'\w[./:]\w|^"', word)
            if not (waits or word.startswith("--") or is_verb or is_scope):
                break
            words.append(_SAMPLE.get(words[-1], "one") if word == "{}" else word)
            waits = is_verb or (word.startswith("--") and word not in _FLAGS)
            at = follows.end()
            if end:
                break
        yield " ".join(words)


def magics_advised() -> set[str]:
    """The lines that any text of the package advises to run."""
    return {line for text in texts(_MAGIC) for line in magics_in(text)}


def texts(pattern: re.Pattern[str]) -> Iterator[str]:
    """The texts that may be shown to a person, from files in which the pattern is found.

    No docstrings. To parse all files takes seconds, in each worker that collects the tests.
    """
    for path in sorted(PACKAGE.rglob("*.py")):
        source = path.read_text("utf-8")
        if pattern.search(source):
            yield from _texts_of(ast.parse(source))
    catalogue = tomllib.loads((PACKAGE / "oauth" / "error_catalogue.toml").read_text("utf-8"))
    yield from (text for entry in _tables(catalogue) for text in entry.values())


def _tables(value: dict[str, object]) -> Iterator[dict[str, str]]:
    inner = [each for each in value.values() if isinstance(each, dict)]
    for each in inner:
        yield from _tables(each)
    if not inner:
        yield {name: str(each) for name, each in value.items()}


def _texts_of(tree: ast.Module) -> Iterator[str]:
    whole = [node for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)]
    not_shown = {id(part) for node in whole for part in ast.walk(node) if part is not node}
    not_shown |= {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(
                str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values
            )
        elif isinstance(node, ast.Constant) and id(node) not in not_shown:
            yield str(node.value)

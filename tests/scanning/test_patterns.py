"""Every pattern finds its secret in every place of a notebook, and nothing else is removed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import nbformat
import pytest

from nbauth.scanning.patterns import Pattern, patterns
from nbauth.scanning.scan import REMOVED, clean, scan
from tests.scanning.planted import SECRETS, code, display, error, notebook, stream

Make = Callable[[str], dict[str, Any]]
PLACES: dict[str, tuple[str, Make]] = {
    "source": ("cell 1, source", lambda text: notebook(code(f"a = 1\n{text}\n"))),
    "source lines": (
        "cell 1, source",
        lambda text: notebook(code(["é = 1\n", *f"{text}\n".splitlines(keepends=True), "b"])),
    ),
    "markdown": (
        "cell 1, source",
        lambda text: notebook(
            {"cell_type": "markdown", "id": "m", "metadata": {}, "source": f"`{text}`"}
        ),
    ),
    "stream": (
        "cell 2, output 1, stderr",
        lambda text: notebook({**code(), "id": "b"}, code("", stream(text, "stderr"))),
    ),
    "text/plain": (
        "cell 1, output 2, text/plain",
        lambda text: notebook(code("", stream("x"), display(text__plain=[f"'{text}'"]))),
    ),
    "text/html": (
        "cell 1, output 1, text/html",
        lambda text: notebook(code("", display(text__html=f"<td>{text}</td>"))),
    ),
    "any data": (
        "cell 1, output 1, application/json",
        lambda text: notebook(code("", display(application__json={"a": [1, {"b": text}]}))),
    ),
    "error": (
        "cell 1, output 1, error",
        lambda text: notebook(code("", error("\x1b[31mE\x1b[0m", f"\x1b[32m{text}\x1b[39m"))),
    ),
    "widget": (
        "widget state of model m1, value",
        lambda text: notebook(
            widgets={
                "application/vnd.jupyter.widget-state+json": {
                    "state": {"m1": {"model_name": "T", "state": {"value": text}}},
                    "version_major": 2, "version_minor": 0,
                }
            }
        ),
    ),
    "attachment": (
        "cell 1, attachment a.txt",
        lambda text: notebook(
            {
                "cell_type": "markdown", "id": "m", "metadata": {}, "source": "",
                "attachments": {"a.txt": {"text/plain": text}},
            }
        ),
    ),
    "cell metadata": (
        "cell 1, metadata tags",
        lambda text: notebook({**code(), "metadata": {"tags": [text]}}),
    ),
    "notebook metadata": ("metadata.papermill.token", lambda text: notebook(
        papermill={"token": text})),
    "version 3": (
        "cell 1, source",
        lambda text: {
            "nbformat": 3, "nbformat_minor": 0, "metadata": {},
            "worksheets": [{"cells": [{"cell_type": "code", "input": [text], "outputs": []}]}],
        },
    ),
}  # fmt: skip
FORMS = {"compact": {}, "as Jupyter": {"indent": 1, "ensure_ascii": False}}


@pytest.mark.parametrize("name", SECRETS)
def test_a_planted_secret_is_found_and_removed_in_each_place(name: str) -> None:
    for where, make in PLACES.values():
        for form in FORMS.values():
            check(*SECRETS[name], where, make, form)


def check(
    kind: str, planted: str, secret: str, where: str, make: Make, form: dict[str, Any]
) -> None:
    """Scan and clean a notebook with one secret."""
    text = json.dumps(make(planted), **form)
    found = scan(text)
    assert [(each.place, each.kind) for each in found] == [(where, kind)]
    assert secret not in found[0].line()
    assert secret.startswith(found[0].shown)
    assert found[0].length == len(secret)
    cleaned, removed = clean(text)
    assert removed == found
    assert cleaned.count(REMOVED) == 1
    assert scan(cleaned) == []
    written = json.dumps(secret, **form)[1:-1]
    if written in text:  # else it is in several items of a list
        assert cleaned == text.replace(written, REMOVED)
    assert json.loads(cleaned).keys() == make("").keys()


@pytest.mark.parametrize("place", [name for name in PLACES if name != "version 3"])
def test_a_cleaned_notebook_is_valid(place: str) -> None:
    for _, planted, secret in (SECRETS["signed"], SECRETS["PRIVATE KEY"]):
        document = PLACES[place][1](planted)
        nbformat.validate(document)
        cleaned = clean(json.dumps(document))[0]
        assert secret not in cleaned
        nbformat.validate(json.loads(cleaned))


@pytest.mark.parametrize("name", SECRETS)
def test_a_planted_secret_is_found_in_a_text(name: str) -> None:
    kind, planted, secret = SECRETS[name]
    text = f"# é\r\n\tx = {planted}\r\nend"
    line = "line 3" if kind == "private key" else "line 2"  # the key begins below its header
    assert [(each.place, each.kind) for each in scan(text)] == [(line, kind)]
    assert clean(text)[0] == text.replace(secret, REMOVED)


@pytest.mark.parametrize("pattern", patterns(), ids=lambda pattern: pattern.kind)
def test_each_pattern_has_a_secret_for_each_anchor(pattern: Pattern) -> None:
    planted = [text for kind, text, _ in SECRETS.values() if kind == pattern.kind]
    if pattern.ignorecase:
        planted = [text.lower() for text in planted]
    assert [a for a in pattern.anchors if not any(a in text for text in planted)] == []


@pytest.mark.parametrize("pattern", patterns(), ids=lambda pattern: pattern.kind)
def test_each_pattern_names_its_source(pattern: Pattern) -> None:
    assert re.match(r"https://[a-z.-]+/", pattern.source)
    assert pattern.shown <= 6

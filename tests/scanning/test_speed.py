"""Large notebooks take seconds, and no text makes a pattern slow."""

from __future__ import annotations

import base64
import dataclasses
import json
import random
import re
import time
from typing import Any

import pytest

from nbauth.scanning.patterns import Pattern, patterns
from nbauth.scanning.scan import scan
from tests.scanning.planted import code, display, error, json_web_token, notebook, stream

pytestmark = pytest.mark.timing
SIZE = 3_000_000
_random = random.Random(3)


def seconds(text: str) -> float:
    """The processor time of a scan."""
    began = time.process_time()
    scan(text)
    return time.process_time() - began


def picture(size: int) -> dict[str, Any]:
    return display(image__png=base64.b64encode(_random.randbytes(size * 3 // 4)).decode())


def lines(size: int) -> dict[str, Any]:
    return stream([f"epoch {n} loss 0.{n:06} é a line of a log\n" for n in range(size // 50)])


@pytest.mark.parametrize("kind", ["picture", "pictures", "lines", "numbers", "traceback"])
def test_a_large_notebook_takes_seconds(kind: str) -> None:
    """3 MB in less than a second: 50 MB take a few seconds on an idle machine."""
    outputs = {
        "picture": lambda: [picture(SIZE)],
        "pictures": lambda: [picture(50_000) for _ in range(SIZE // 50_000)],
        "lines": lambda: [lines(SIZE)],
        "numbers": lambda: [display(application__json=[str(n) for n in range(SIZE // 12)])],
        "traceback": lambda: [error("\x1b[31mname\x1b[0m = value\n" * (SIZE // 24))],
    }[kind]()
    text = json.dumps(notebook(code("1", *outputs)), indent=1)
    assert len(text) > SIZE * 0.7
    took = seconds(text)
    assert took < 1


FORMS = (
    "{}", "{} ", "{}A", "\\n{}", "%20{}A", "{}=", '{}":"', "={}", "{}eyJ.", "\n{}",
    "{}a1b2c3d4e5f6g7h8i9j0k", "{}%20", "{}a1{}:",
)  # fmt: skip
REPEATED = (
    "ZXlK", "V5S", "leU", "ZXlK/", "/ZXlK" + "A" * 61, "ZXlK" * 20 + "//", "eyJ", "a" * 40 + "\n",
    "eyJhbGciOiJub25lIn0.", "\x1b[", "\x1b]", "\x1b", "-", "-----BEGIN PRIVATE KEY-----\n", "\\",
    "'\n'", '"', "[", '{"a":', json_web_token() + "\n",
)  # fmt: skip


def is_slow(form: str) -> bool:
    """Whether 60,000 characters take about thirty times as long as usual."""
    return seconds(form * (60_000 // len(form))) > 0.3


@pytest.mark.parametrize("pattern", patterns(), ids=lambda pattern: pattern.kind)
def test_no_text_makes_a_pattern_slow(pattern: Pattern) -> None:
    texts = [form.replace("{}", pattern.anchors[0]) for form in FORMS]
    assert [text for text in texts if is_slow(text)] == []


@pytest.mark.parametrize("text", REPEATED, ids=lambda text: repr(text[:12]))
def test_no_repeated_text_is_slow(text: str) -> None:
    assert not is_slow(text)


def test_a_slow_pattern_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = dataclasses.replace(patterns()[1], regex=re.compile("(eyJ)[^.]*[.]"))
    monkeypatch.setattr("nbauth.scanning.patterns.patterns", lambda: (slow,))
    assert is_slow("eyJ")

"""Finds secrets in a text by the patterns of ``patterns.toml``."""

from __future__ import annotations

import functools
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from typing import Any

from nbauth.scanning.checks import CHECKS, is_example
from nbauth.scanning.encoded import encoded_tokens

ALLOW = "nbauth: allow"
"""On the line of a secret, after it: the secret is not reported."""
_QUOTE = r"""\\{0,7}(?:["']|&quot;|&#3[49];|&#x27;)"""
_PARTS = {
    "{start}": r"(?:(?<![A-Za-z0-9_.-])|(?<=\\[nrt])|(?<=%[0-9A-Fa-f]{2}))",
    "{solid}": r"(?<![A-Za-z0-9+/=_-])",
    "{end}": r"(?![A-Za-z0-9_-])",
    "{key}": rf"(?:{_QUOTE})?\]?\s{{0,4}}(?:(?::|=>|=)\s{{0,4}}(?:[bfru]?{_QUOTE})?"
    rf"|,\s{{0,4}}[bfru]?{_QUOTE})",
}


@dataclass(frozen=True)
class Pattern:
    """One entry of the file; ``order`` is its place there."""

    kind: str
    source: str
    anchors: tuple[str, ...]
    regex: re.Pattern[str]
    order: int
    before: int = 0
    ignorecase: bool = False
    shown: int = 0
    check: str = ""

    def accepts(self, secret: str) -> bool:
        """Whether a match is no placeholder and passes the pattern's check."""
        return not is_example(secret) and (not self.check or CHECKS[self.check](secret))


@dataclass(frozen=True)
class Match:
    """A secret in a text. ``shown`` is its beginning that may be shown."""

    start: int
    end: int
    kind: str
    shown: str
    order: int


@functools.cache
def patterns() -> tuple[Pattern, ...]:
    """All patterns, the special ones first."""
    text = resources.files(__package__).joinpath("patterns.toml").read_text("utf-8")
    return tuple(_pattern(entry, at) for at, entry in enumerate(tomllib.loads(text)["pattern"]))


def _pattern(entry: dict[str, Any], order: int) -> Pattern:
    regex: str = entry.pop("regex")
    for name, part in _PARTS.items():
        regex = regex.replace(name, part)
    flags = re.IGNORECASE if entry.get("ignorecase") else re.NOFLAG
    anchors = tuple(entry.pop("anchors"))
    return Pattern(anchors=anchors, regex=re.compile(regex, flags), order=order, **entry)


def matches(text: str) -> list[Match]:
    """The secrets in a text in their order; where several overlap, one that covers them."""
    lowered = text.lower()
    if len(lowered) != len(text):  # a few characters have a lower case of two characters
        lowered = "".join(each.lower() if each.isascii() else each for each in text)
    found: list[Match] = []
    for pattern in patterns():
        found += _of_pattern(pattern, text, lowered if pattern.ignorecase else text)
    last = len(patterns())
    found += [
        Match(start, end, "JSON Web Token in base64", "", last)
        for start, end in encoded_tokens(text)
    ]
    return _merged(sorted(found, key=lambda match: (match.start, match.order)))


def _of_pattern(pattern: Pattern, text: str, searched: str) -> Iterator[Match]:
    for anchor in pattern.anchors:
        at = searched.find(anchor)
        while at != -1:
            after = at + len(anchor)
            match = pattern.regex.match(text, at - pattern.before) if at >= pattern.before else None
            if match:
                after = max(after, match.end())  # also if refused: so the time stays linear
                secret = _accepted(pattern, match)
                if secret and not _is_allowed(text, match.end()):
                    yield secret
            at = searched.find(anchor, after)


def _accepted(pattern: Pattern, match: re.Match[str]) -> Match | None:
    groups = match.groupdict()
    name: str | int = next((name for name in groups if groups[name] is not None), 0)
    start, end = match.span(name)
    secret = match[name]
    loose = " \t\r\n" if pattern.check == "web_token" else "., \t\r\n"
    end -= len(secret) - len(secret.rstrip(loose))
    secret = secret[: end - start]
    if not pattern.accepts(secret):
        return None
    return Match(start, end, pattern.kind, secret[: pattern.shown], pattern.order)


def _is_allowed(text: str, end: int) -> bool:
    return ALLOW in re.split("[\n\0]", text[end : end + 200], maxsplit=1)[0]


def _merged(found: list[Match]) -> list[Match]:
    merged: list[Match] = []
    for match in found:
        last = merged[-1] if merged else None
        if last is None or match.start >= last.end:
            merged.append(match)
            continue
        special = min(last, match, key=lambda one: one.order)
        shown = special.shown if special.start == last.start else ""
        end = max(last.end, match.end)
        merged[-1] = Match(last.start, end, special.kind, shown, special.order)
    return merged

"""Reads which scopes an API says that a token lacks, in a 403 response.

- ``WWW-Authenticate: Bearer error="insufficient_scope", scope="…"`` (RFC 6750 §3.1); some servers
  send it with 401.
- The same parameters in a JSON body, as GitLab sends them.
- At Microsoft's authorities: the texts in ``missing_scopes.toml``.

What a host names is only a claim. :mod:`nbauth.kernel.calls.missing` decides what may be asked for.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources

from nbauth.oauth.challenge import challenges

MOST_BODY = 16 * 1024
"""Bytes of a body that are read; a longer body is ignored."""
MOST_NAMED = 60
"""Scopes that one response may name; if it names more, it is ignored."""
MOST_NEEDED = 8
"""Scopes that may be needed together."""
MOST_LETTERS = 200
"""Characters of one scope."""
INSUFFICIENT = "insufficient_scope"

_SCOPE = re.compile(rf"[\x21\x23-\x5b\x5d-\x7e]{{1,{MOST_LETTERS}}}")
_BETWEEN = re.compile(r"[\s,]+")


@dataclass(frozen=True)
class Named:
    """The scopes that a response names.

    Attributes:
        scopes: as the host writes them; valid scope tokens (RFC 6749 §3.3).
        one_is_enough: whether one of them is enough.
        application: whether they are roles of an application, to which no person can consent.
        least_first: whether the least privileged one is the first.
    """

    scopes: tuple[str, ...]
    one_is_enough: bool = False
    application: bool = False
    least_first: bool = False


@dataclass(frozen=True)
class _Text:
    pattern: re.Pattern[str]
    one_is_enough: bool
    application: bool


@functools.cache
def _texts() -> tuple[_Text, ...]:
    import tomllib

    text = resources.files(__package__).joinpath("missing_scopes.toml").read_text("utf-8")
    return tuple(
        _Text(re.compile(one["pattern"]), one["need"] == "one", one["of"] == "application")
        for one in tomllib.loads(text)["text"]
    )


def says_insufficient(header: str) -> bool:
    """Whether ``WWW-Authenticate`` says that the token has too few scopes."""
    return any(_is_insufficient(given) for given in _bearer(header))


def named_in(header: str, body: bytes | None, *, microsoft: bool) -> Named | None:
    """The scopes that a response names, or ``None``.

    Args:
        header: ``WWW-Authenticate``; several lines are joined with a comma.
        body: the whole body, decoded, if it is short and JSON.
        microsoft: whether the authority is Microsoft's.
    """
    for given in _bearer(header):
        if _is_insufficient(given) and (named := _named(given.get("scope", ""))):
            return named
    if body is None or len(body) > MOST_BODY:
        return None
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(parsed, dict):
        return None
    if parsed.get("error") == INSUFFICIENT and isinstance(parsed.get("scope"), str):
        return _named(parsed["scope"])
    return _in_texts(parsed) if microsoft else None


def _bearer(header: str) -> Iterator[dict[str, str]]:
    for challenge in challenges(header):
        if challenge.scheme.lower() == "bearer":
            yield challenge.parameters


def _is_insufficient(given: dict[str, str]) -> bool:
    return given.get("error") == INSUFFICIENT


def _in_texts(parsed: dict[str, object]) -> Named | None:
    error = parsed.get("error")
    for where in (error, parsed):
        message = where.get("message") if isinstance(where, dict) else None
        if not isinstance(message, str):
            continue
        for known in _texts():
            if found := known.pattern.search(message):
                return _named(found[1], one=known.one_is_enough, application=known.application)
    return None


def _named(text: str, *, one: bool = False, application: bool = False) -> Named | None:
    words = tuple(dict.fromkeys(word.rstrip(".") for word in _BETWEEN.split(text) if word))
    if not words or len(words) > (MOST_NAMED if one else MOST_NEEDED):
        return None
    if not all(_SCOPE.fullmatch(word) for word in words):
        return None
    return Named(words, one, application)

"""``$name`` and ``{expression}`` in a magic's line: finds the end, and gives the value as text."""

from __future__ import annotations

import ast
import contextlib
import json
import os
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from IPython.core.error import UsageError

from nbauth.core.account import Account
from nbauth.core.secret import SecretStr
from nbauth.core.tokens import Token

_NAME = re.compile(r"[^\W\d]\w*")
_FORMAT = re.compile(r"(?P<code>.+?)(?:!(?P<how>[rsa]))?(?::(?P<spec>[^{}]*))?", re.DOTALL)
_HOW: dict[str, Callable[[object], str]] = {"r": repr, "s": str, "a": ascii}


@dataclass(frozen=True)
class Expansion:
    """One expansion.

    Attributes:
        text: the value as text.
        value: the value itself.
        end: the index in the line after the expansion.
    """

    text: str
    value: object
    end: int


class Names:
    """The variables that an expansion may use: the caller's local ones, then the notebook's.

    Args:
        user_ns: the variables of the notebook.
        local_ns: the local variables of the function that contains the line.
    """

    def __init__(self, user_ns: Mapping[str, Any], local_ns: Mapping[str, Any] | None) -> None:
        self._spaces = (local_ns or {}, user_ns)

    def of(self, name: str) -> Any:
        """The value of a variable. Raises ``UsageError`` if there is none of that name."""
        for space in self._spaces:
            if name in space:
                return space[name]
        raise UsageError(
            f"There is no variable {name}"
            + (
                f", only an environment variable. Write {{os.environ['{name}']}}."
                if name in os.environ
                else f". For the text itself, write $${name}."
            )
        )

    def evaluate(self, code: str) -> Any:
        """The value of an expression. Raises ``UsageError``; its text has no variable's value."""
        names = {**self._spaces[1], **self._spaces[0]}
        try:
            return eval(_compiled(code), names)  # noqa: S307 - code of the user's own cell
        except UsageError:
            raise
        except NameError as error:
            raise UsageError(f"{_in_braces(code)}: there is no variable {error.name}.") from None
        except Exception as error:
            # The text of the error may contain a variable's value.
            raise UsageError(f"{_in_braces(code)} failed with {type(error).__name__}.") from None


def _parsed(code: str) -> ast.Expression:
    with _no_warning():
        return ast.parse(code.strip(), "<magic>", "eval")


def _compiled(code: str) -> Any:
    with _no_warning():
        return compile(_parsed(code), "<magic>", "eval")


@contextlib.contextmanager
def _no_warning() -> Iterator[None]:
    """Suppress Python's warnings about text that may not be code at all."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.11: an invalid escape
        yield


def _in_braces(code: str) -> str:
    return code if code.startswith("{") else f"{{{code}}}"


def _is_code(code: str) -> bool:
    try:
        _compiled(code)
    except (SyntaxError, ValueError):
        return False
    return True


def _is_dict(code: str) -> bool:
    return _is_code(code) and isinstance(_parsed(code).body, ast.Dict)


def json_object(line: str, start: int) -> int | None:
    """The end of the JSON object that begins at ``start``; ``None`` if there is none."""
    try:
        value, end = json.JSONDecoder().raw_decode(line, start)
    except ValueError:
        return None
    return end if isinstance(value, dict) else None


def dollar(
    line: str, start: int, names: Names, text_of: Callable[[object, str], str] | None = None
) -> Expansion | None:
    """The ``$name`` or ``$name.attribute`` at ``start``; ``None`` for a plain dollar sign.

    ``text_of`` gives the text of a value, from the value and the typed text; default: ``as_text``.
    """
    found = _NAME.match(line, start + 1)
    if found is None:
        return None
    value, end = names.of(found[0]), found.end()
    # If the value has no such attribute, the dot is text: "$host.example".
    while line[end : end + 1] == "." and (found := _NAME.match(line, end + 1)):
        inner = getattr(value, found[0], None)
        if inner is None:
            break
        value, end = inner, found.end()
    return Expansion((text_of or as_text)(value, line[start:end]), value, end)


def braces(
    line: str, start: int, names: Names, text_of: Callable[[object, str], str] | None = None
) -> Expansion:
    """The ``{expression}`` at ``start``, with ``!r`` and ``:format`` as in an f-string."""
    text_of = text_of or as_text
    end = start
    while (end := line.find("}", end + 1)) >= 0:
        code = line[start + 1 : end]
        typed = line[start : end + 1]
        if _is_code(code) or _is_dict(typed):
            value = names.evaluate(code if _is_code(code) else typed)
            return Expansion(text_of(value, typed), value, end + 1)
        parts = _FORMAT.fullmatch(code)
        if parts and _is_code(parts["code"]):
            return Expansion(text_of(_formatted(parts, typed, names), typed), "", end + 1)
    _refuse_json(line, start)
    if line.find("}", start) < 0:
        raise UsageError("A brace { is not closed. For a literal brace, write {{.")
    raise UsageError(
        "The text in braces is neither a Python expression nor JSON. For a literal brace, write {{."
    )


def _refuse_json(line: str, start: int) -> None:
    """Raise ``UsageError`` with the position of the mistake if JSON begins at ``start``."""
    if line[start + 1 :].lstrip()[:1] != '"':
        return
    try:
        json.JSONDecoder().raw_decode(line, start)
    except json.JSONDecodeError as error:
        raise UsageError(
            f"The JSON is incomplete or invalid: {error.msg} at character {error.pos - start + 1}."
        ) from None


def _formatted(parts: re.Match[str], typed: str, names: Names) -> str:
    value = names.evaluate(parts["code"])
    refuse_secret_in(value, typed)
    try:
        value = _HOW[parts["how"]](value) if parts["how"] else value
        return format(value, parts["spec"] or "")
    except Exception as error:
        raise UsageError(f"{typed} failed with {type(error).__name__}.") from None


def _refuse_secret(value: object, typed: str) -> None:
    if isinstance(value, (SecretStr, Token)):
        raise UsageError(
            f"{typed} is a secret, and no option accepts a secret. The setting client_secret_from"
            " says where nbauth reads a client secret."
        )


def refuse_secret_in(value: object, typed: str) -> None:
    """Raise ``UsageError`` for a secret, also in a mapping or a list."""
    _refuse_secret(value, typed)
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, (list, tuple, set, frozenset)):
        for each in value:
            refuse_secret_in(each, typed)


def expansion_at(
    line: str, start: int, names: Names, text_of: Callable[[object, str], str] | None = None
) -> Expansion | None:
    """The expansion that begins with ``$`` or ``{`` at ``start``; ``None`` if there is none."""
    if line[start] == "{":
        return braces(line, start, names, text_of)
    if line[start + 1 : start + 2] == "{":
        return braces(line, start + 1, names, text_of)
    return dollar(line, start, names, text_of)


def as_text(value: object, typed: str) -> str:
    """The value of an expansion as text. Raises ``UsageError`` for a value that has no text."""
    _refuse_secret(value, typed)
    match value:
        case str():
            return str(value)
        case int() | float():
            return str(value)
        case None:
            raise UsageError(f"{typed} is None.")
        case Account():
            return value.username
        case Mapping():
            refuse_secret_in(value, typed)
            try:
                return json.dumps(dict(value))
            except (TypeError, ValueError):
                raise UsageError(f"{typed} cannot be written as JSON.") from None
        case list() | tuple() | set() | frozenset():
            return " ".join(as_text(each, typed) for each in value)
        case os.PathLike():
            return os.fsdecode(value)
    if callable(value):
        call = typed.strip("${}")
        raise UsageError(f"{typed} is a function, not a string. To call it, write {{{call}()}}.")
    if type(value).__str__ is object.__str__ or isinstance(value, bytes):
        raise UsageError(f"{typed} is a {type(value).__name__}, not a string.")
    return str(value)

"""`$filter` expressions (OData 4.01 URL conventions, section 5.1.1), as far as Graph has them."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

_TOKEN = re.compile(r"\s*(?:('(?:[^']|'')*')|([(),])|([^\s(),']+))")
_COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "gt": operator.gt,
    "ge": operator.ge,
    "lt": operator.lt,
    "le": operator.le,
}
_FUNCTIONS: Mapping[str, Callable[[str, str], bool]] = {
    "startswith": str.startswith,
    "endswith": str.endswith,
    "contains": operator.contains,
}
Test = Callable[[Mapping[str, Any]], bool]


@dataclass(frozen=True)
class Filter:
    """A parsed expression: its test, and the operators and properties that it names."""

    matches: Test
    operators: frozenset[str]
    properties: tuple[str, ...]


def value_at(row: Mapping[str, Any], path: str) -> Any:
    """The value of a property path such as `from/emailAddress/address`."""
    value: Any = row
    for name in path.split("/"):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def parse_filter(text: str, properties: frozenset[str]) -> Filter:
    """Raises ValueError for a malformed expression or a property that isn't known."""
    return _Parser(text, properties).parse()


class _Parser:
    def __init__(self, text: str, properties: frozenset[str]) -> None:
        self._tokens: list[str] = []
        position = 0
        while text[position:].strip():
            found = _TOKEN.match(text, position)
            if found is None:
                raise ValueError(f"Syntax error at position {position} in '{text}'.")
            self._tokens.append(found[1] or found[2] or found[3])
            position = found.end()
        self._properties = properties
        self._operators: set[str] = set()
        self._named: list[str] = []

    def parse(self) -> Filter:
        test = self._any_of()
        if self._tokens:
            raise ValueError(f"Syntax error: unexpected '{self._tokens[0]}'.")
        return Filter(test, frozenset(self._operators), tuple(dict.fromkeys(self._named)))

    def _next(self, expected: str = "") -> str:
        token = self._tokens.pop(0) if self._tokens else ""
        if not token or (expected and token != expected):
            raise ValueError(f"Syntax error: '{expected or 'more'}' expected, not '{token}'.")
        return token

    def _follows(self, word: str) -> bool:
        if self._tokens and self._tokens[0].lower() == word:
            del self._tokens[0]
            return True
        return False

    def _any_of(self) -> Test:
        tests = [self._all_of()]
        while self._follows("or"):
            self._operators.add("or")
            tests.append(self._all_of())
        return lambda row: any(test(row) for test in tests)

    def _all_of(self) -> Test:
        tests = [self._one()]
        while self._follows("and"):
            tests.append(self._one())
        return lambda row: all(test(row) for test in tests)

    def _one(self) -> Test:
        if self._follows("not"):
            self._operators.add("not")
            test = self._one()
            return lambda row: not test(row)
        if self._follows("("):
            test = self._any_of()
            self._next(")")
            return test
        word = self._next()
        if self._tokens[:1] == ["("]:
            return self._function(word.lower())
        return self._comparison(word)

    def _function(self, name: str) -> Test:
        compare = _FUNCTIONS.get(name)
        if compare is None:
            raise ValueError(f"An unknown function with name '{name}' was found.")
        self._operators.add(name)
        self._next("(")
        path = self._property(self._next())
        self._next(",")
        wanted = _literal(self._next())
        self._next(")")
        if not isinstance(wanted, str):
            raise ValueError(f"The function '{name}' compares strings.")
        return lambda row: compare(str(value_at(row, path) or "").casefold(), wanted.casefold())

    def _comparison(self, word: str) -> Test:
        path = self._property(word)
        name = self._next().lower()
        if name == "in":
            self._next("(")
            wanted = [_comparable(_literal(self._next()))]
            while self._follows(","):
                wanted.append(_comparable(_literal(self._next())))
            self._next(")")
            return lambda row: _comparable(value_at(row, path)) in wanted
        compare = _COMPARISONS.get(name)
        if compare is None:
            raise ValueError(f"Syntax error: '{name}' is not an operator.")
        self._operators.add(name)
        literal = _literal(self._next())

        def test(row: Mapping[str, Any]) -> bool:
            value = value_at(row, path)
            if isinstance(literal, datetime) and isinstance(value, str):
                return compare(_moment(value), literal)
            if (value is None or literal is None) and name not in ("eq", "ne"):
                return False
            try:
                return compare(_comparable(value), _comparable(literal))
            except TypeError:
                return False

        return test

    def _property(self, path: str) -> str:
        if path.split("/")[0] not in self._properties:
            raise ValueError(f"Could not find a property named '{path}'.")
        self._named.append(path)
        return path


def _comparable(value: Any) -> Any:
    """Directory and mail compare strings without regard to case."""
    return value.casefold() if isinstance(value, str) else value


def _literal(token: str) -> Any:
    if token.startswith("'"):
        return token[1:-1].replace("''", "'")
    if token in ("true", "false", "null"):
        return {"true": True, "false": False, "null": None}[token]
    try:
        return float(token)
    except ValueError:
        return _moment(token)


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:  # a word without quotation marks is a property of OData
        raise ValueError(f"'{text}' is not a literal. Texts are between single quotes.") from None
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)

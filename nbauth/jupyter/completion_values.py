"""The possible completions in a magic's line, from the arguments of the magic."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from IPython.core.error import UsageError

from nbauth.core.magic_word import as_word, within
from nbauth.jupyter.known_values import KnownValues

_TAKE_SCOPES = frozenset({"login", "token", "auth"})
_WORD = re.compile(r"""(?:"(?:[^"\\]|\\.)*(?:"|$)|(?<=\w)'(?=\w)|'[^']*(?:'|$)|[^\s"'])+""", re.S)
_EXPANDED = re.compile(r"(?<![${\\])(?P<begin>\$\{|\$|\{)\w*$")


@dataclass(frozen=True)
class Typed:
    """A line up to the cursor.

    Attributes:
        words: the words before the word at the cursor.
        option: the option whose value is being typed after ``=``; ``""`` if there is none.
        quote: the open quotation mark; ``""`` if there is none.
        fragment: the part of the word at the cursor that is to be completed: ``$te`` of ``a-$te``.
        whole: the word at the cursor, or the value after ``=``, without the quotation mark.
    """

    words: tuple[str, ...]
    option: str = ""
    quote: str = ""
    fragment: str = ""
    whole: str = ""


def typed_until(line: str) -> Typed | None:
    """Parse a line up to the cursor. Returns ``None`` in a comment."""
    found = list(_WORD.finditer(line))
    words = [each[0] for each in found]
    if any(word.startswith("#") for word in words):
        return None
    last = words.pop() if found and found[-1].end() == len(line) else ""
    option, equals, value = last.partition("=")
    if not (equals and option.startswith("--")):
        option, value = "", last
    quote = value[:1] if value[:1] in {'"', "'"} else ""
    bare = tuple(word.strip("\"'") for word in words)
    value = value[len(quote) :]
    expanded = _EXPANDED.search(value)
    return Typed(bare, option, quote, expanded[0] if expanded else value, value)


def offers(
    typed: Typed,
    magic: Any,
    the_session: Callable[[], Any],
    user_ns: Mapping[str, Any],
) -> tuple[str, list[str]]:
    """The fragment at the cursor and its possible completions. ``magic``: its description."""
    state = _state(typed, magic.parser)
    own = magic.offered(typed, state.positionals) if state.waits is None else None
    if own is None:
        return typed.fragment, _offers(typed, magic.__name__, magic.parser, the_session, user_ns)
    fragment, values = own
    unused = [name for name in _names_of(magic.parser) if name not in state.used]
    return fragment, [*values, *(_beginning("", unused) if not fragment else [])]


def _offers(
    typed: Typed,
    magic: str,
    parser: Any,
    the_session: Callable[[], Any],
    user_ns: Mapping[str, Any],
) -> list[str]:
    fragment = typed.fragment
    if expanded := _EXPANDED.match(fragment):
        names = (name for name, value in user_ns.items() if _is_value(name, value))
        return _beginning(fragment, (expanded["begin"] + name for name in names))
    state = _state(typed, parser)
    known = KnownValues(the_session)
    if state.waits is not None:
        values = known.of(state.waits.dest, state.waits.choices)
        return _values(typed, values)
    options = [] if state.only_words else [n for n in _names_of(parser) if n not in state.used]
    if fragment.startswith("-"):
        return _beginning(fragment, [*options, *([] if state.only_words else ["--help"])])
    if magic in _TAKE_SCOPES and not typed.quote:
        words = _scopes(typed, magic, parser, state, known)
    else:
        words = _values(typed, _positional_values(magic, state.positionals, known))
    return [*words, *_beginning(fragment, options)]


def _positional_values(
    magic: str, positionals: tuple[str, ...], known: KnownValues
) -> Iterable[str]:
    if magic in _TAKE_SCOPES:
        return [scope for scope in known.of("scopes") if scope not in positionals]
    if magic == "accounts" and not positionals:
        return ("use", "drop")
    if magic == "accounts" and len(positionals) == 1:
        return known.of("user")
    return ()


def _scopes(typed: Typed, magic: str, parser: Any, state: _State, known: KnownValues) -> list[str]:
    """The scopes. Those that the magic would ask about are in quotes."""
    from nbauth.jupyter.magic_line import Word
    from nbauth.jupyter.magic_questions import scopes_of

    profiles = known.of("profile")

    def written(scope: str) -> str:
        word = Word(scope, scope, after=typed.words[-1] if typed.words else "")
        try:
            scopes_of([word], parser.prog, _names_of(parser), lambda: profiles)
        except UsageError:
            return f'"{scope}"'
        return as_word(scope)

    return _values(typed, _positional_values(magic, state.positionals, known), written)


def _is_value(name: str, value: object) -> bool:
    hidden = name.startswith("_") or name in {"In", "Out"}
    return not (hidden or callable(value) or isinstance(value, ModuleType))


def _values(
    typed: Typed, values: Iterable[str], written: Callable[[str], str] = as_word
) -> list[str]:
    """The values that begin with the fragment, quoted as the position of the cursor requires."""
    forms: dict[str, str] = {}
    for value in values:
        form = within(typed.quote, value) if typed.quote else written(value)
        if form is not None:
            forms[value] = form
    begun = {*_beginning(typed.fragment, forms), *_beginning(typed.fragment, forms.values())}
    return [form for value, form in forms.items() if value in begun or form in begun]


def _beginning(fragment: str, offered: Iterable[str]) -> list[str]:
    """The values that begin with the fragment; if none does, those that do in another case."""
    every = list(dict.fromkeys(offered))
    small = fragment.lower()
    same = [each for each in every if each.startswith(fragment)]
    return same or [each for each in every if each.lower().startswith(small)]


# ── where the cursor is ─────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class _State:
    waits: Any
    used: frozenset[str]
    positionals: tuple[str, ...]
    only_words: bool


def _names_of(parser: Any) -> list[str]:
    return [name for action in parser._actions for name in action.option_strings]


def _state(typed: Typed, parser: Any) -> _State:
    """The option that still needs its value, the options that are used, and the other words."""
    known = {name: action for action in parser._actions for name in action.option_strings}
    waits, used, positionals, only_words = None, set(), [], False
    for word in (*typed.words, *([typed.option] if typed.option else [])):
        name, equals, _ = word.partition("=")
        if word == "--":
            waits, only_words = None, True
        elif name.startswith("--") and not only_words:
            action = known.get(name)
            waits = action if action is not None and action.nargs != 0 and not equals else None
            if action is not None and action.nargs != "+":
                used.add(name)
        elif waits is None:
            positionals.append(word)
        elif waits.nargs != "+":
            waits = None
    return _State(waits, frozenset(used), tuple(positionals), only_words)

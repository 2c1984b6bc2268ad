"""Ambiguous words of a magic's line. They raise an error and are not sent."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError

from nbauth.core.flow_names import ALL

if TYPE_CHECKING:
    from nbauth.jupyter.magic_line import Word

_NO_VARIABLES = frozenset({"openid", "profile", "email", "address", "phone", "offline_access"})
_VERBS = ("use", "drop")
_CALLED = {
    "switch": "use", "select": "use", "set": "use", "remove": "drop", "rm": "drop",
    "delete": "drop", "logout": "drop", "forget": "drop",
}  # fmt: skip


def scopes_of(
    words: Sequence[Word], magic: str, options: Sequence[str], profiles: Callable[[], Iterable[str]]
) -> list[str]:
    """The scopes that a line names. Raises ``UsageError`` for a word that may not be a scope.

    A word in quotes is always a scope. ``options`` are the options of the magic; ``profiles``
    returns the profiles of ``config.toml``.
    """
    for word in words:
        text = word.text
        if isinstance(word.value, Mapping):
            raise UsageError(f"{word.typed} is a {type(word.value).__name__}, not a scope.")
        if word.bare and text[:1] in {"[", "("}:
            raise UsageError(
                f"{word.typed} looks like a list. Scopes are separated by blanks:"
                f" %{magic} User.Read Mail.Read. For a list in a variable: %{magic} $scopes."
            )
        if not text.strip():
            raise UsageError(f"{word.typed} is empty; a scope is a word such as User.Read.")
        if word.after in {"--str", "--header", "--id"} and _may_be_a_variable(word):
            raise UsageError(
                f"Is {word.typed} a variable or a scope? For a variable: %{magic} {word.after}"
                f" --into {word.typed}. For a scope: %{magic} {word.typed} {word.after}."
            )
        if word.bare and (meant := _meant(text, options, profiles)):
            raise UsageError(
                f"{word.typed} would be sent as a scope. Did you mean %{magic} {meant}? To send it"
                f' as a scope, write "{text}".'
            )
    return [word.text for word in words]


def _meant(text: str, options: Sequence[str], profiles: Callable[[], Iterable[str]]) -> str:
    """The option that a word without hyphens may mean; ``""`` if there is none."""
    if text in _NO_VARIABLES or text.endswith(","):
        return ""
    if f"--{text}" in options:
        return f"--{text}"
    if "--flow" in options and text in ALL:
        return f"--flow {text}"
    if "@" in text and "/" not in text and ":" not in text:
        return f"--account {text}"
    return f"--profile {text}" if text.isidentifier() and text in profiles() else ""


def _may_be_a_variable(word: Word) -> bool:
    return word.bare and word.text.isidentifier() and word.text not in _NO_VARIABLES


def verb_of(verb: Word | None, user: Word | None) -> tuple[str, Any]:
    """The action of ``%accounts`` and its account. Raises ``UsageError``."""
    if verb is None:
        return "", None
    meant = _CALLED.get(verb.text.lower(), "use" if "@" in verb.text else "")
    if verb.text not in _VERBS:
        whom = verb.typed if "@" in verb.text else user.typed if user else "USER"
        guess = (
            f"%accounts {meant} {whom}" if meant else "%accounts use USER or %accounts drop USER"
        )
        if verb.text.lower() in {"list", "ls", "show"}:
            guess = "%accounts without arguments"
        raise UsageError(f"%accounts has no action {verb.typed}. Write {guess}.")
    if user is None or not user.text.strip():
        raise UsageError(f"Name the account: %accounts {verb.text} USER.")
    from nbauth.core.account import Account

    return verb.text, user.value if isinstance(user.value, Account) else user.text

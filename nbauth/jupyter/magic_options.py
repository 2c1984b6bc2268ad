"""Parses the words of a magic's line into the arguments of the magic.

argparse describes the arguments and formats their help. It does not parse the line, because it
treats a value that begins with a hyphen as an option, and its messages contain values.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

from IPython.core.error import UsageError

from nbauth.core.account import Account
from nbauth.core.flow_names import added
from nbauth.core.text import closest
from nbauth.jupyter.magic_line import Word

HELP = ("--help", "-h")
_SECRETS = frozenset({
    "--password", "--passphrase", "--secret", "--client-secret", "--access-token",
    "--refresh-token", "--id-token", "--assertion", "--client-assertion", "--certificate",
})  # fmt: skip
_OBJECTS = ("account", "user")
"""Arguments whose value may be an ``Account``."""


def asks_for_help(words: Iterable[Word]) -> bool:
    """Whether ``--help`` or ``-h`` is among the words."""
    return any(word.bare and word.text in HELP for word in words)


def read_words(words: Sequence[Word], parser: Any, elsewhere: Mapping[str, str]) -> SimpleNamespace:
    """The arguments of a line, by name. Raises ``UsageError``.

    The values of options are ``str``. Positional arguments stay words, because magics check how
    they were typed. ``elsewhere`` maps options of other magics to the names of these magics.
    """
    return _Reading(parser, list(words), elsewhere).read()


@dataclass
class _Reading:
    parser: Any
    left: list[Word]
    elsewhere: Mapping[str, str]
    after: str = ""
    given: dict[str, Word] = field(default_factory=dict)

    def read(self) -> SimpleNamespace:
        args = SimpleNamespace(**{each.dest: each.default for each in self.parser._actions})
        positionals = [each for each in self.parser._actions if not each.option_strings]
        for positional in positionals:
            if positional.nargs == "*":
                setattr(args, positional.dest, [])
        only_words = False
        while self.left:
            word = self.left.pop(0)
            if word.bare and word.text == "--" and not only_words:
                only_words = True
            elif word.is_option and not only_words:
                self._option(word, args)
            else:
                self._positional(replace(word, after=self.after), positionals, args)
                self.after = ""
        return args

    # ── options ─────────────────────────────────────────────────────────────────────────────

    def _option(self, word: Word, args: SimpleNamespace) -> None:
        action, name = self._named(word.text)
        self.after = ""
        if action.nargs == 0:
            if word.joined:
                raise UsageError(f"{name} takes no value.")
            setattr(args, action.dest, True)
            self.after = name
            return
        values = [self._value(action, name, word.joined)]
        while action.nargs == "+" and self.left and not self.left[0].is_option:
            if self.left[0].bare and self.left[0].text == "--":
                break
            values.append(self._value(action, name, False))
        if action.nargs == "+":
            values = [*(getattr(args, action.dest) or []), *values]
        setattr(args, action.dest, values if action.nargs == "+" else values[0])

    def _value(self, action: Any, name: str, joined: bool) -> Any:
        what = action.metavar or action.dest.upper()
        if not self.left or (self.left[0].is_option and not joined):
            raise UsageError(f"{name} needs a value: {name} {what}.{_one_of(action)}")
        word = self.left.pop(0)
        if not word.text.strip():
            raise UsageError(f"{word.typed or name} is empty; {name} needs a value.")
        self._check_kind(action, name, word)
        first = self.given.setdefault(action.dest, word)
        if action.nargs != "+" and first.text != word.text:
            raise UsageError(f"{name} is given twice: {first.typed} and {word.typed}.")
        if action.dest in _OBJECTS and isinstance(word.value, Account):
            return word.value
        if action.type is not None:
            try:
                return action.type(word.text)
            except ValueError:
                kind = "a whole number" if action.type is int else "a number"
                of = f" of {what.lower()}" if action.metavar else ""
                raise UsageError(f"{name} needs {kind}{of}, not {word.typed}.") from None
        return word.text if action.choices is None else self._choice(action, name, word)

    def _check_kind(self, action: Any, name: str, word: Word) -> None:
        """Refuse a dictionary or a list for an option that needs a text."""
        wrong = isinstance(word.value, Mapping) and action.dest != "claims"
        wrong = wrong or (isinstance(word.value, (list, tuple, set)) and action.nargs != "+")
        if wrong:
            kind = type(word.value).__name__
            raise UsageError(f"{word.typed} is a {kind}; {name} needs one string.")

    def _choice(self, action: Any, name: str, word: Word) -> str:
        if word.text.lower() in action.choices:
            return word.text.lower()
        if action.dest == "flow" and word.text.lower() in added():
            return word.text.lower()
        guess = closest(word.text.lower(), action.choices)
        meant = f" Did you mean {guess}?" if guess else ""
        raise UsageError(f"{name} cannot be {word.typed}.{meant}{_one_of(action)}")

    def _named(self, written: str) -> tuple[Any, str]:
        """The option of that name, or the only option whose name begins with it."""
        known = {name: action for action in self.parser._actions for name in action.option_strings}
        if written in known:
            return known[written], written
        begun = [name for name in known if name.startswith(written)] if len(written) > 3 else []
        if len(begun) == 1:
            return known[begun[0]], begun[0]
        magic = f"%{self.parser.prog}"
        if written.replace("_", "-").lower() in _SECRETS:
            raise UsageError(
                f"{magic} accepts no secret, because the text of a cell is saved. Type a password"
                " on the provider's page, or into the field of %login --flow password. The setting"
                " client_secret_from says where nbauth reads a client secret."
            )
        if begun:
            raise UsageError(f"{written} may mean {' or '.join(begun)}. Write the whole option.")
        if written in self.elsewhere:
            raise UsageError(
                f"{magic} has no option {written}; %{self.elsewhere[written]} has this option."
                f" {magic} --help lists the options."
            )
        guess = closest(f"--{written.lstrip('-').lower()}", known)
        meant = f"Did you mean {guess}?" if guess else f"{magic} --help lists the options."
        raise UsageError(f"{magic} has no option {written}. {meant}")

    # ── words that are no options ───────────────────────────────────────────────────────────

    def _positional(self, word: Word, positionals: list[Any], args: SimpleNamespace) -> None:
        for positional in positionals:
            if positional.nargs == "*":
                getattr(args, positional.dest).append(word)
                return
            if getattr(args, positional.dest) is None:
                self._check_kind(positional, f"%{self.parser.prog}", word)
                setattr(args, positional.dest, word)
                return
        magic = f"%{self.parser.prog}"
        options = [name for each in self.parser._actions for name in each.option_strings]
        if guess := closest(f"--{word.text.lower()}", options):
            meant = f"Did you mean {guess}?"
        elif "--account" in options:
            meant = f"To name an account: {magic} --account {word.typed}."
        else:
            meant = f"{magic} --help shows the arguments."
        raise UsageError(f"{magic} does not accept the word {word.typed}. {meant}")


def _one_of(action: Any) -> str:
    return f" Possible values: {', '.join(action.choices)}." if action.choices else ""

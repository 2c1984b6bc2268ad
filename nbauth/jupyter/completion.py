"""Completion (Tab) in the line of a magic of nbauth. There, IPython uses no other matcher.

Completion evaluates, sends and opens nothing. All values come from memory or from ``config.toml``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

_HIGHEST = 10_000.0
"""A priority above those of IPython's own matchers."""

_ONLY_OPTIONS = re.compile(r"(?:\s+-o\s+\w+|\s+--[\w-]+(?:=\S+)?)*\s*")


@dataclass(frozen=True)
class _Offered:
    """The completions. Their length is at least 1, so that IPython uses no other matcher."""

    found: Sequence[Any]

    def __len__(self) -> int:
        return max(1, len(self.found))

    def __iter__(self) -> Iterator[Any]:
        return iter(self.found)


class Completion:
    """The matcher of nbauth in the completer of a shell.

    Args:
        shell: the shell.
        the_session: returns the process's session.
        magics: the objects whose methods are the magics.
        names: the names of the line magics.
        cell_names: the names of the cell magics.
    """

    def __init__(
        self,
        shell: Any,
        the_session: Callable[[], Any],
        magics: Collection[Any],
        names: Collection[str],
        cell_names: Collection[str],
    ) -> None:
        from IPython.core.completer import context_matcher

        self._shell = shell
        self._the_session = the_session
        self._magics = magics
        self._line = re.compile(
            r"(?P<before>\s*|[^%#]*[^%#=!<>]\s*=\s*)"
            rf"(?P<percent>%?)(?P<magic>{'|'.join(names)})(?P<rest>[\s;].*)",
            re.DOTALL,
        )
        self._first_line = re.compile(
            rf"\s*%%(?P<magic>{'|'.join(cell_names)})(?P<rest>[\s;].*)", re.DOTALL
        )

        def matcher(context: Any) -> Any:
            return self._offer(context)

        self._matcher = context_matcher(identifier="nbauth", priority=_HIGHEST)(matcher)
        shell.Completer.custom_matchers.append(self._matcher)

    def undo(self) -> None:
        """Remove the matcher from the shell's completer."""
        matchers = self._shell.Completer.custom_matchers
        if self._matcher in matchers:
            matchers.remove(self._matcher)

    def _offer(self, context: Any) -> dict[str, Any]:
        from IPython.core.completer import SimpleCompletion

        found = self._ours(context)
        if found is None:
            return {"completions": [], "suppress": False}
        magic, rest = found
        try:
            fragment, offered = self._offers_for(magic, rest)
        except Exception:  # such as settings that cannot be read: Tab shows no error
            fragment, offered = "", []
        return {
            "completions": _Offered(
                [SimpleCompletion(text=each, type="magic") for each in offered]
            ),
            "suppress": True,
            "matched_fragment": fragment,
            "ordered": True,
        }

    def _ours(self, context: Any) -> tuple[str, str] | None:
        """The magic of the cursor's line, and the text between it and the cursor, or ``None``."""
        lines = context.full_text.split("\n")[: context.cursor_line]
        text = context.text_until_cursor
        while lines and lines[-1].endswith("\\"):
            text = f"{lines.pop()[:-1]} {text}"
        if (found := self._first_line.fullmatch(text)) and not any(map(str.strip, lines)):
            return found["magic"], found["rest"]
        if magic := self._magic_of_lines(lines):
            return magic, text
        found = self._line.fullmatch(text)
        if found is None or _inside_a_text(found["before"]):
            return None
        is_magic = found["percent"] or (
            not lines and not found["before"].strip() and self._is_automagic(found)
        )
        return (found["magic"], found["rest"]) if is_magic else None

    def _magic_of_lines(self, lines: Sequence[str]) -> str:
        """The cell magic that takes each line of the cell as its own, or ``""``."""
        first = next(filter(str.strip, lines), "")
        found = self._first_line.fullmatch(f"{first} ")
        own = found and self._described(found["magic"]).completes_lines
        return found["magic"] if found and own and _ONLY_OPTIONS.fullmatch(found["rest"]) else ""

    def _is_automagic(self, found: re.Match[str]) -> bool:
        """Whether IPython would run the line as a magic although it has no percent sign."""
        shell, name = self._shell, found["magic"]
        shadowed = name in shell.user_ns or name in shell.user_global_ns
        return bool(shell.automagic) and not shadowed and found["rest"].lstrip()[:1] not in "=.,+*/"

    def _offers_for(self, magic: str, rest: str) -> tuple[str, list[str]]:
        from nbauth.jupyter.completion_values import offers, typed_until

        typed = typed_until(rest)
        if typed is None:
            return "", []
        return offers(typed, self._described(magic), self._the_session, self._shell.user_ns)

    def _described(self, magic: str) -> Any:
        return next(vars(type(each))[magic] for each in self._magics if hasattr(each, magic))


def _inside_a_text(before: str) -> bool:
    left = re.sub(r""""[^"]*"|'[^']*'""", "", before)
    return '"' in left or "'" in left

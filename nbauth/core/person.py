"""The person in front of the notebook, as far as a room below the screen has to know them."""

from __future__ import annotations

from typing import Protocol

MOST = 256
"""Sentences that are remembered as told."""


class Person(Protocol):
    """Who can be told something, and sometimes asked."""

    def attended(self) -> bool:
        """Whether somebody is there to answer, and may be asked by the calling thread."""

    def say(self, text: str) -> None:
        """One line to the person."""

    def ask(self, prompt: str) -> str:
        """A secret of the person's, typed unseen and kept nowhere. Only while attended."""


class Notices:
    """Tells the person each sentence once; one of very many that is long past, once more.

    Args:
        person: who is told.
    """

    def __init__(self, person: Person) -> None:
        self._person = person
        self._told: dict[str, None] = {}

    def tell(self, sentence: str) -> None:
        """Tell it, unless that was done before."""
        if sentence not in self._told:
            self._told[sentence] = None
            for oldest in list(self._told)[:-MOST]:
                self._told.pop(oldest, None)
            self._person.say(sentence)

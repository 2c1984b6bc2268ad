"""The person in front of the notebook, as far as a room below the screen has to know them."""

from __future__ import annotations

import logging
from typing import Protocol

log = logging.getLogger(__name__)

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

    def begin_anew(self) -> None:
        """What goes wrong from now on is told, whatever was told before."""
        self._told.clear()

    def tell(self, sentence: str) -> None:
        """Tell it, unless that was done before."""
        if sentence not in self._told:
            self._told[sentence] = None
            for oldest in list(self._told)[:-MOST]:
                self._told.pop(oldest, None)
            say_to(self._person, sentence)


def say_to(person: Person, text: str) -> None:
    """Tell the person, where that can be done: what was to be told has happened all the same."""
    try:
        person.say(text)
    except Exception as error:  # a front end that is gone, or a screen that somebody else wrote
        log.debug("the person could not be told: %s", type(error).__name__)

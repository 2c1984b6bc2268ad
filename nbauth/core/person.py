"""The user of the notebook, as seen by packages that cannot import ``nbauth.jupyter``."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Protocol

log = logging.getLogger(__name__)

MOST = 256
"""How many reported sentences are remembered."""


@dataclass(frozen=True)
class Obstacle:
    """Why the calling thread can ask nobody.

    Attributes:
        code: for programs.
        what: a sentence for the person.
        hint: what to do instead.
    """

    code: str
    what: str
    hint: str


NOBODY = Obstacle(
    "nobody_there",
    "A sign-in needs a person, and nobody can answer here.",
    "Run %login in a notebook that a person uses, or set attended = true if a person can answer."
    " An unattended run uses a sign-in that was stored before (%login --persist keyring), or a"
    " service identity: at Microsoft's authorities set AZURE_TENANT_ID, AZURE_CLIENT_ID and one of"
    " AZURE_CLIENT_SECRET, AZURE_CLIENT_CERTIFICATE_PATH and AZURE_FEDERATED_TOKEN_FILE; elsewhere"
    " set flow to app and client_secret_from.",
)
"""Where nobody is."""
IN_A_WORKER = Obstacle(
    "in_a_worker",
    "Nobody can sign in in a worker process.",
    "Make nbauth.session(), nbauth.auth(), nbauth.credential() or nbauth.Graph() in the notebook,"
    " and pass it to the task: it gets its tokens from the notebook.",
)
"""In a process that only runs tasks of another one."""


class Person(Protocol):
    """Shows lines to the user, and asks for secrets."""

    def attended(self) -> bool:
        """Whether a user is present, and the calling thread may ask for input."""

    def obstacle(self) -> Obstacle | None:
        """Why that is not so, where it is not."""

    def say(self, text: str) -> None:
        """Show one line."""

    def ask(self, prompt: str) -> str:
        """Ask for a secret, without echo, and store it nowhere. Only if ``attended()``."""


class Notices:
    """Shows each sentence once. Only the last ``MOST`` sentences are remembered."""

    def __init__(self, person: Person) -> None:
        self._person = person
        self._told: dict[str, None] = {}

    def begin_anew(self) -> None:
        """Forget which sentences have been shown."""
        self._told.clear()

    def tell(self, sentence: str) -> None:
        """Show the sentence, unless it has been shown before."""
        if sentence not in self._told:
            self._told[sentence] = None
            for oldest in list(self._told)[:-MOST]:
                self._told.pop(oldest, None)
            say_to(self._person, sentence)


def say_to(person: Person, text: str) -> None:
    """Show one line; a failure to show it is logged and ignored."""
    try:
        person.say(text)
    except Exception as error:  # a closed front end, or a custom screen
        log.debug("the line could not be shown: %s", type(error).__name__)

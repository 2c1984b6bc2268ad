"""Whom a sign-in meets: the screen that shows it, the place its tokens go to, its receivers."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any, Protocol

from nbauth.core.account import Account
from nbauth.core.errors import NbAuthError
from nbauth.core.interrupts import Flag
from nbauth.core.person import Person
from nbauth.core.signal import Signal
from nbauth.core.steps import Shown
from nbauth.core.tokens import TokenResponse
from nbauth.kernel.sign_in.persons_time import PersonsTime
from nbauth.kernel.sign_in.request import Request


class Pending(Protocol):
    """A sign-in as screens and drivers see it: ``attempt.SignIn``, where its parts are told."""

    ended: Flag
    changed: Signal

    @property
    def request(self) -> Request: ...
    @property
    def step(self) -> Shown: ...
    @property
    def flow(self) -> str: ...
    @property
    def ways(self) -> tuple[str, ...]: ...
    @property
    def state(self) -> str: ...
    @property
    def message(self) -> str: ...
    @property
    def expires_in(self) -> float | None: ...
    @property
    def error(self) -> NbAuthError | None: ...
    def submit(self, address_or_code: str) -> None: ...
    def cancel(self) -> None: ...
    def switch(self, flow: str) -> None: ...
    def again(self, flow: str | None = None) -> Pending: ...


class Driven(Pending, Protocol):
    """What a driver tells its sign-in, and asks it."""

    time: PersonsTime

    def show(self, step: Shown) -> None: ...
    def stopped(self) -> NbAuthError | None: ...


class Receiver(Protocol):
    """A place that the browser comes back to, open until :meth:`finish`.

    Attributes:
        redirect_uri: its address.
        state: the ``state`` by which it knows the genuine answer.
        answer: a future of the answer's parameters.
        stray: a future of the parameters of a refusal that names no sign-in.
    """

    redirect_uri: str
    state: str
    answer: Future[dict[str, str]]
    stray: Future[dict[str, str]]

    def free(self, title: str, text: str) -> None:
        """Free a port for the next sign-in. Any thread may call it, repeatedly."""

    def finish(self, title: str, text: str) -> None:
        """Show the browser that waits there how it ended, and close."""

    def forked(self) -> None:
        """In a forked child: let go what the parent listens with, and nothing else."""


class Screen(Person, Protocol):
    """What a session needs of the place it runs in."""

    def show(self, sign_in: Pending) -> None:
        """Show a sign-in and keep showing what becomes of it."""

    def ways(self, sign_in: Pending) -> tuple[str, ...]:
        """The flows that work for the person there, best first. May wait a few seconds."""

    def offers(self, sign_in: Pending) -> bool:
        """Whether the person can choose another of them while the sign-in waits."""

    def callback(self, sign_in: Pending, secret: str, redirect_uri: str | None) -> Receiver:
        """Open the person's own Jupyter server to an answer whose ``state`` carries ``secret``.

        ``redirect_uri`` is the setting. Raises ``FlowUnavailable`` where there is no such place.
        """

    def wait(self, sign_in: Pending, timeout: float | None = None) -> None:
        """Return when the sign-in has ended, or after ``timeout`` seconds; stay responsive."""

    async def wait_async(self, sign_in: Pending) -> None:
        """The same, awaited."""


class Destination(Protocol):
    """Where the tokens of a sign-in go: the kernel, which knows who is signed in."""

    def prepare(self, request: Request) -> None:
        """Before one begins, where the person may still be asked something."""

    def ticket(self) -> int:
        """Taken when one begins: a sign-out after it refuses what arrives."""

    def accept(
        self, request: Request, response: TokenResponse, sign_out_url: str, ticket: int
    ) -> Account:
        """Take the tokens in. Raises ``SignInCancelled`` after a sign-out of that account,
        ``SignInError`` for another account than the one asked for."""


class Begins(Protocol):
    """What begins another attempt, and is told of one's success: ``attempts.Attempts``."""

    def arrived(self, sign_in: Any, account: Account) -> None: ...
    def begin(self, request: Request, *, show: bool) -> Pending: ...

"""The interfaces of a sign-in: screen, destination of its tokens, receivers."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any, Protocol

from nbauth.core.account import Account
from nbauth.core.errors import NbAuthError
from nbauth.core.interrupts import Flag
from nbauth.core.person import Obstacle, Person
from nbauth.core.secret import SecretStr
from nbauth.core.settings import Settings
from nbauth.core.signal import Signal
from nbauth.core.steps import Shown
from nbauth.core.tokens import TokenResponse
from nbauth.kernel.sign_in.persons_time import PersonsTime
from nbauth.kernel.sign_in.request import Request


class Pending(Protocol):
    """A sign-in as screens and drivers see it; implemented by ``attempt.SignIn``."""

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
    def enter(self, username: str, password: str) -> None: ...
    def cancel(self) -> None: ...
    def switch(self, flow: str) -> None: ...
    def again(self, flow: str | None = None) -> Pending: ...


class Passwords(Protocol):
    """The passwords that the person has stored: ``stored_password.StoredPasswords``."""

    def of(self, settings: Settings, username: str) -> SecretStr | None: ...
    def refused(self, settings: Settings, username: str, why: NbAuthError) -> None: ...
    def first_use(self) -> bool: ...


class Driven(Pending, Protocol):
    """A sign-in as its driver sees it.

    ``obstacle``: why nobody can answer a question; ``None`` if somebody can.
    """

    time: PersonsTime
    passwords: Passwords
    obstacle: Obstacle | None

    def show(self, step: Shown) -> None: ...
    def stopped(self) -> NbAuthError | None: ...


class Receiver(Protocol):
    """Receives the authorization response at the redirect URI, until :meth:`finish`.

    Attributes:
        redirect_uri: its address.
        state: the ``state`` of the genuine response.
        answer: a future of the response's parameters.
        stray: a future of the parameters of an error response without ``state``.
    """

    redirect_uri: str
    state: str
    answer: Future[dict[str, str]]
    stray: Future[dict[str, str]]

    def free(self, title: str, text: str, own: str = "") -> None:
        """Free a port for the next sign-in. Any thread may call it, repeatedly."""

    def finish(self, title: str, text: str, own: str = "") -> None:
        """Show the waiting browser how the sign-in ended, and close.

        ``own``: the fragment or the address of ``success_page`` or ``error_page``, which replaces
        title and text.
        """

    def forked(self) -> None:
        """In a forked child: close the child's copies of the parent's listening sockets."""


class Screen(Person, Protocol):
    """What a session needs from the place it runs in."""

    def show(self, sign_in: Pending) -> None:
        """Show a sign-in and keep the display up to date."""

    def ways(self, sign_in: Pending) -> tuple[str, ...]:
        """The flows that work for the person, best first. May wait a few seconds."""

    def offers(self, sign_in: Pending) -> bool:
        """Whether the person can choose another flow while the sign-in waits."""

    def callback(self, sign_in: Pending, secret: str, redirect_uri: str | None) -> Receiver:
        """Open a receiver on the person's Jupyter server; its ``state`` carries ``secret``.

        ``redirect_uri`` is the setting. Raises ``FlowUnavailable`` if there is no such server.
        """

    def wait(self, sign_in: Pending, timeout: float | None = None) -> None:
        """Return when the sign-in has ended, or after ``timeout`` seconds; stay responsive."""

    async def wait_async(self, sign_in: Pending) -> None:
        """The same, awaited."""


class Destination(Protocol):
    """Takes the tokens of a sign-in: the kernel's session."""

    def prepare(self, request: Request) -> None:
        """Called before a sign-in begins, while the person can still be asked."""

    def ticket(self) -> int:
        """A number taken when a sign-in begins; a later sign-out refuses its tokens."""

    def accept(
        self, request: Request, response: TokenResponse, sign_out_url: str, ticket: int
    ) -> Account:
        """Take the tokens. Raises ``SignInCancelled`` after a sign-out of that account,
        ``SignInError`` for another account than the requested one."""


class Begins(Protocol):
    """Begins further attempts, and is told of a success: ``attempts.Attempts``."""

    def arrived(self, sign_in: Any, account: Account) -> None: ...
    def begin(self, request: Request, *, show: bool) -> Pending: ...

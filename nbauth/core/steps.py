"""What a flow asks of the outside, and what the person sees of it.

A flow is a generator: it yields one of the steps, is sent the answer, and returns a
``TokenResponse``. It never prints, sleeps, opens or waits; a driver does, and so can a test with no
clock and no network.

=================  ==============================  ====================================
step               the driver does                 and sends back
=================  ==============================  ====================================
``ShowUserCode``   shows code and address          ``None``
``OpenReceiver``   opens a place to come back to   that place (``Receiving``)
``OpenBrowser``    offers or opens the address     ``None``
``AwaitRedirect``  waits for the redirect          its parameters (``dict[str, str]``)
``Pause``          waits                           the time, in monotonic seconds
=================  ==============================  ====================================

What the person sees of a sign-in is one value at a time, its ``Shown``: a step that concerns them,
``Asking`` while the provider is asked, ``ChooseFlow`` after a refusal, and one of the three ends.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from nbauth.core.account import Account
from nbauth.core.errors import NbAuthError


class ReceiverKind(Enum):
    """What receives the authorization response: where the browser comes back to."""

    LOOPBACK = "loopback"
    """A listener on this machine (RFC 8252 §7.3)."""
    JUPYTER_SERVER = "jupyter server"
    """The person's own Jupyter server."""
    NONE = "none"
    """The person brings the address at which it ended."""


@dataclass(frozen=True)
class ShowUserCode:
    """RFC 8628 §3.2. ``expires_in`` in seconds."""

    user_code: str = field(repr=False)
    verification_uri: str
    expires_in: float
    verification_uri_complete: str | None = field(default=None, repr=False)
    message: str = ""


@dataclass(frozen=True)
class OpenReceiver:
    """Be ready for the redirect, whose ``state`` has to contain ``secret`` (RFC 6749 §10.12)."""

    secret: str = field(repr=False)
    receiver: ReceiverKind = ReceiverKind.LOOPBACK


@dataclass(frozen=True)
class Receiving:
    """The place that was opened: its address, and the ``state`` by which it knows the answer.

    ``forms``: whether it takes the answer as a POST (OAuth 2.0 Form Post Response Mode).
    """

    redirect_uri: str
    state: str = field(repr=False)
    forms: bool = False


@dataclass(frozen=True)
class OpenBrowser:
    """The person has to visit this address; with ``paste`` also to bring the one it ends at.

    ``note``: what has come back meanwhile and was not the answer.
    """

    authorize_url: str = field(repr=False)
    paste: bool = False
    note: str = field(default="", repr=False)


@dataclass(frozen=True)
class AwaitRedirect:
    """Wait for the authorization response (RFC 6749 §4.1.2)."""


@dataclass(frozen=True)
class Pause:
    """Let so many seconds pass."""

    seconds: float


Step = ShowUserCode | OpenReceiver | OpenBrowser | AwaitRedirect | Pause


# ── what the person sees besides ────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Asking:
    """The provider is being asked; there is nothing for the person to do."""

    message: str = "Asking the provider…"


@dataclass(frozen=True)
class ChooseFlow:
    """The flow that was tried is closed, and the person chooses another."""

    refusal: NbAuthError


@dataclass(frozen=True)
class Done:
    """The end: somebody signed in."""

    account: Account


@dataclass(frozen=True)
class Failed:
    """The end: the sign-in came to nothing, or ended with another account than asked for."""

    error: NbAuthError


@dataclass(frozen=True)
class Cancelled:
    """The end: it was given up."""

    error: NbAuthError


End = Done | Failed | Cancelled
Shown = Asking | ShowUserCode | OpenBrowser | ChooseFlow | End


def message_of(step: Shown) -> str:
    """What a step says, in one sentence. Raises ``TypeError`` for one that is not known here."""
    match step:
        case Asking(message):
            return message
        case ShowUserCode():
            return f"To sign in, open {step.verification_uri} and enter the code {step.user_code}"
        case OpenBrowser(paste=True):
            return "Sign in with your browser, then paste the address at which it ends."
        case OpenBrowser(note=note):
            return f"{note} Sign in with your browser; the notebook goes on by itself.".lstrip()
        case ChooseFlow(error) | Failed(error) | Cancelled(error):
            return str(error)
        case Done(account):
            return f"Signed in as {account.username}."
    raise TypeError(f"no screen can show {type(step).__name__}")

"""The steps that a flow yields to its driver, and the states that a screen shows.

A flow is a generator: it yields a step, is sent the result, and returns a ``TokenResponse``. It
never prints, sleeps, opens or waits; its driver does. So a test can drive it without a clock or a
network.

=================  ==============================  ====================================
step               the driver                      and sends back
=================  ==============================  ====================================
``ShowUserCode``   shows code and address          ``None``
``OpenReceiver``   opens the redirect URI          the receiver (``Receiving``)
``OpenBrowser``    shows or opens the address      ``None``
``AwaitRedirect``  waits for the redirect          its parameters (``dict[str, str]``)
``AskPassword``    reads the keyring, or waits     the user name and the password
                   for the person                  (``tuple[str, SecretStr]``)
``Pause``          waits                           the time, in monotonic seconds
``Asking``         shows its message               ``None``
=================  ==============================  ====================================

A screen shows one ``Shown`` value at a time: a step that concerns the person, ``Asking`` during a
request to the provider, ``ChooseFlow`` after a flow was refused, and one of the three ends.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from nbauth.core.account import Account
from nbauth.core.errors import NbAuthError


class ReceiverKind(Enum):
    """What receives the authorization response at the redirect URI."""

    LOOPBACK = "loopback"
    """A listener on this machine (RFC 8252 §7.3)."""
    JUPYTER_SERVER = "jupyter server"
    """The person's own Jupyter server."""
    NONE = "none"
    """None: the person pastes the address of the last page."""


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
    """Prepare for the redirect, whose ``state`` must contain ``secret`` (RFC 6749 §10.12)."""

    secret: str = field(repr=False)
    receiver: ReceiverKind = ReceiverKind.LOOPBACK


@dataclass(frozen=True)
class Receiving:
    """The opened receiver: its redirect URI, and the ``state`` that identifies the response.

    ``forms``: whether it accepts the response as a POST (OAuth 2.0 Form Post Response Mode).
    """

    redirect_uri: str
    state: str = field(repr=False)
    forms: bool = False


@dataclass(frozen=True)
class OpenBrowser:
    """The person must open this address; with ``paste``, also paste the address of the last page.

    ``note``: a message about a redirect that was received but was not the expected response.
    """

    authorize_url: str = field(repr=False)
    paste: bool = False
    note: str = field(default="", repr=False)


@dataclass(frozen=True)
class AwaitRedirect:
    """Wait for the authorization response (RFC 6749 §4.1.2)."""


@dataclass(frozen=True)
class AskPassword:
    """The person must type a password, and the user name unless it is right already.

    ``username`` is filled in. ``note``: why another flow is better. ``refusal``: why the previous
    password, or its user name, was not accepted. ``attempt`` counts from 1. ``id`` names the
    question, so that no answer reaches another one; the driver sets it.
    """

    username: str = field(default="", repr=False)
    note: str = ""
    refusal: NbAuthError | None = None
    attempt: int = 1
    id: str = field(default="", compare=False)


@dataclass(frozen=True)
class Pause:
    """Wait this many seconds."""

    seconds: float


@dataclass(frozen=True)
class Asking:
    """A request is in progress. As a step: the message is shown while the flow waits for it."""

    message: str = "Asking the provider…"


Step = ShowUserCode | OpenReceiver | OpenBrowser | AwaitRedirect | AskPassword | Pause | Asking


# ── other states that a screen shows ────────────────────────────────────────────────────────


@dataclass(frozen=True)
class ChooseFlow:
    """The provider refused this flow, and the person chooses another."""

    refusal: NbAuthError


@dataclass(frozen=True)
class Done:
    """The sign-in succeeded."""

    account: Account


@dataclass(frozen=True)
class Failed:
    """The sign-in failed, or ended with another account than the requested one."""

    error: NbAuthError


@dataclass(frozen=True)
class Cancelled:
    """The sign-in was cancelled."""

    error: NbAuthError


End = Done | Failed | Cancelled
Shown = Asking | ShowUserCode | OpenBrowser | AskPassword | ChooseFlow | End


def message_of(step: Shown) -> str:
    """A step's message, in one sentence. Raises ``TypeError`` for an unknown step."""
    match step:
        case Asking(message):
            return message
        case ShowUserCode():
            return f"To sign in, open {step.verification_uri} and enter the code {step.user_code}"
        case OpenBrowser(paste=True):
            return "Sign in with your browser, then paste the address of the last page."
        case OpenBrowser(note=note):
            return f"{note} Sign in with your browser; the notebook then continues.".lstrip()
        case AskPassword(refusal=None):
            return "Enter your user name and your password."
        case AskPassword(refusal=refusal):
            return f"{refusal} Enter the user name and the password again."
        case ChooseFlow(error) | Failed(error) | Cancelled(error):
            return str(error)
        case Done(account):
            return f"Signed in as {account.title}."
    raise TypeError(f"no screen can show {type(step).__name__}")

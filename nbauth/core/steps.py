"""What a flow asks of the outside.

A flow is a generator: it yields one of these, is sent the answer, and returns a ``TokenResponse``.
It never prints, sleeps, opens or waits; a driver does, and so can a test with no clock and no
network.

=================  ==============================  ====================================
step               the driver does                 and sends back
=================  ==============================  ====================================
``ShowUserCode``   shows code and address          ``None``
``OpenReceiver``   opens a place to come back to   its ``redirect_uri`` (``str``)
``OpenBrowser``    offers or opens the address     ``None``
``AwaitRedirect``  waits for the redirect          its parameters (``dict[str, str]``)
``Pause``          waits                           the time, in monotonic seconds
=================  ==============================  ====================================
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class ShowUserCode:
    """RFC 8628 §3.2. ``expires_in`` in seconds."""

    user_code: str
    verification_uri: str
    expires_in: float
    verification_uri_complete: str | None = None
    message: str = ""


@dataclass(frozen=True)
class OpenReceiver:
    """Be ready for the redirect that carries ``state`` (RFC 8252 §7.3)."""

    state: str = field(repr=False)
    redirect_uri: str | None = None


@dataclass(frozen=True)
class OpenBrowser:
    """The person has to visit this address."""

    authorize_url: str = field(repr=False)


@dataclass(frozen=True)
class AwaitRedirect:
    """Wait for the authorization response (RFC 6749 §4.1.2)."""


@dataclass(frozen=True)
class Pause:
    """Let so many seconds pass."""

    seconds: float


Step = ShowUserCode | OpenReceiver | OpenBrowser | AwaitRedirect | Pause

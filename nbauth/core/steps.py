"""What a flow asks of the outside.

A flow is a generator: it yields one of these, is sent the answer, and returns a ``TokenResponse``.
It never prints, sleeps, opens or waits; a driver does, and so can a test with no clock and no
network.

=================  ==============================  ====================================
step               the driver does                 and sends back
=================  ==============================  ====================================
``ShowUserCode``   shows code and address          ``None``
``OpenReceiver``   opens a place to come back to   that place (``Receiving``)
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
    """Be ready for the redirect, whose ``state`` has to contain ``secret`` (RFC 6749 §10.12).

    ``place``: where the browser comes back to. ``"browser"``: a listener on loopback (RFC 8252
    §7.3); ``"callback"``: the person's own Jupyter server; ``"paste"``: nowhere, the person brings
    the address.
    """

    secret: str = field(repr=False)
    place: str = "browser"


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

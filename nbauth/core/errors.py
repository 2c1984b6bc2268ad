"""Everything nbauth raises, in one tree.

NbAuthError
├── ConfigurationError          a setting, a scope, an option
├── SignInError                 one attempt to sign in
│   ├── SignInCancelled         by the person, in the panel
│   ├── SignInDeclined          by the person or a policy, at the provider
│   ├── SignInExpired           nobody finished it in time
│   └── FlowUnavailable         this way does not work here; try the next
├── TokenError                  a token, once signed in
│   ├── NotSignedIn
│   ├── InteractionRequired     a person is needed (and maybe nobody is there)
│   ├── ConsentRequired
│   └── AuthorityUnreachable    the network or the provider is down: worth another try
├── PersistenceError
└── GraphError

``SignInInterrupted`` stands beside it, because an interrupt has to be a ``KeyboardInterrupt``.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable

from nbauth.core.flow_names import BROWSER, DEVICE
from nbauth.core.output import fitting
from nbauth.core.secret import SecretStr


class NbAuthError(Exception):
    """What happened (``str(error)``), and what to do next (``hint``).

    Attributes:
        code: a stable word, or the provider's own code (``"AADSTS50076"``, ``"access_denied"``).
        word: the ``error`` of a provider's answer (RFC 6749 §5.2), also where ``code`` is a number.
        hint: one sentence that says what to do next.
        correlation_id: what an administrator needs to find the request in the provider's log.
        suggested_flow: the ``--flow`` to try instead, where one would help.
        rotated: the refresh token of an answer that was refused for something else in it; the one
            before it is spent.
    """

    code = "nbauth_error"
    word = ""
    hint = ""
    wants_traceback: Callable[[], bool] = staticmethod(lambda: False)
    """Whether a notebook draws the whole traceback; the process's session answers for it."""

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        hint: str | None = None,
        correlation_id: str | None = None,
        suggested_flow: str | None = None,
    ) -> None:
        super().__init__(message)
        if code is not None:
            self.code = code
        if hint is not None:
            self.hint = hint
        self.correlation_id = correlation_id
        self.suggested_flow = suggested_flow
        self.rotated: SecretStr | None = None
        self.add_note(f"→ {self.hint}")  # for scripts, whose traceback Python itself draws

    def lines(self) -> list[str]:
        """The two lines a person reads: what happened, what to do."""
        trail = f" (correlation id {self.correlation_id})" if self.correlation_id else ""
        return [f"{type(self).__name__}: {self}{trail}", f"→ {self.hint}"]

    def _render_traceback_(self) -> list[str]:
        # IPython asks an exception for this before it draws a traceback of its own.
        if self.wants_traceback():
            return "".join(traceback.format_exception(self)).splitlines()
        return [fitting(line) for line in self.lines()]


class ConfigurationError(NbAuthError):
    """A setting, scope or option that cannot be used; nothing was sent."""

    code = "configuration"
    hint = "Correct it and run the cell again; nothing was sent."


class SignInError(NbAuthError):
    """A sign-in that ended without an account."""

    code = "sign_in_failed"
    hint = "Run %login again."


class SignInCancelled(SignInError):
    """The person pressed Cancel, or the program called ``SignIn.cancel()``."""

    code = "cancelled"


class SignInDeclined(SignInError):
    """The person said no at the provider, or a policy there did (RFC 6749 §4.1.2.1)."""

    code = "access_denied"


class SignInExpired(SignInError):
    """Nobody finished the sign-in in time (RFC 8628 §3.5 ``expired_token``, or our time-out)."""

    code = "expired_token"
    hint = "Run %login again; the old code and address no longer work."


class FlowUnavailable(SignInError):
    """This way of signing in does not exist here: try ``suggested_flow``."""

    code = "flow_unavailable"
    hint = f"Choose another way: %login --flow {DEVICE} or %login --flow {BROWSER}."


class TokenError(NbAuthError):
    """No token could be had."""

    code = "token"
    hint = "Run %login, then this cell again."


class NotSignedIn(TokenError):
    """There is no such account in this kernel."""

    code = "not_signed_in"


class InteractionRequired(TokenError):
    """A person has to answer the provider (OpenID Connect Core §3.1.2.6)."""

    code = "interaction_required"


REFRESH_REFUSED = "refresh_refused"
"""Code of the ``InteractionRequired`` for a refresh that was refused with an HTTP status alone."""


class ConsentRequired(InteractionRequired):
    """The person, or an administrator, has not yet agreed to these permissions."""

    code = "consent_required"
    hint = "Run %login with these scopes and accept them, or ask an administrator to."


class AuthorityUnreachable(TokenError):
    """The provider did not answer, or not in its protocol. What is signed in stays so.

    Attributes:
        empty: whether an answer came, with a status and nothing else in it: no page of a portal.
    """

    empty = False
    code = "authority_unreachable"
    hint = "Check the network, the proxy and the authority's address, then try again."


class PersistenceError(NbAuthError):
    """Tokens could not be kept beyond this kernel."""

    code = "persistence"
    hint = "Tokens stay in this kernel's memory."


class GraphError(NbAuthError):
    """Microsoft Graph refused a request."""

    code = "graph"
    hint = "See the code; the request can be repeated once the cause is gone."


class SignInInterrupted(KeyboardInterrupt):
    """The kernel was interrupted while this call waited for a sign-in.

    Args:
        goes_on: whether the sign-in does, since others wait for it or it is in the background;
            else the interrupt has cancelled it.
    """

    def __init__(self, *, goes_on: bool = False) -> None:
        super().__init__()
        self.goes_on = goes_on

    def _render_traceback_(self) -> list[str]:
        if self.goes_on:
            return ["SignInInterrupted: this cell waits no more; the sign-in goes on."]
        return ["SignInInterrupted: the sign-in was cancelled by the interrupt."]

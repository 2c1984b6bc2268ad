"""The exceptions that nbauth raises.

NbAuthError
├── ConfigurationError          a setting, a scope, an option
├── SignInError                 one attempt to sign in
│   ├── SignInCancelled         by the person, in the panel
│   ├── SignInDeclined          by the person or a policy, at the provider
│   ├── SignInExpired           not finished in time
│   └── FlowUnavailable         this flow does not work here; try another
├── TokenError                  a token, after sign-in
│   ├── NotSignedIn
│   ├── InteractionRequired     a person has to sign in
│   ├── ConsentRequired
│   └── AuthorityUnreachable    the network or the provider is down; can be retried
├── PersistenceError
└── GraphError

The interrupts (``interrupted``) are not in this tree, because each is a ``KeyboardInterrupt``.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any

from nbauth.core.flow_names import BROWSER, DEVICE
from nbauth.core.output import fitting
from nbauth.core.secret import SecretStr


class NbAuthError(Exception):
    """What happened (``str(error)``), and what to do next (``hint``).

    Attributes:
        code: a stable word, or the provider's own code (``"AADSTS50076"``, ``"access_denied"``).
        word: the ``error`` of the response (RFC 6749 §5.2), also if ``code`` is a number.
        hint: one sentence that says what to do next.
        correlation_id: identifies the request in the provider's log, for an administrator.
        timestamp: when the provider refused, as it wrote it; else this computer's time. ``None``
            for an error that is not a provider's.
        suggested_flow: the ``--flow`` to try instead, if another one can help.
        rotated: the new refresh token in a response that was rejected for another reason; the
            previous refresh token is no longer valid.
    """

    code = "nbauth_error"
    word = ""
    hint = ""
    wants_traceback: Callable[[], bool] = staticmethod(lambda: False)
    """Whether a notebook shows the whole traceback; the session sets this."""

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        hint: str | None = None,
        correlation_id: str | None = None,
        timestamp: str | None = None,
        suggested_flow: str | None = None,
    ) -> None:
        super().__init__(message)
        if code is not None:
            self.code = code
        if hint is not None:
            self.hint = hint
        self.correlation_id = correlation_id
        self.timestamp = timestamp
        self.suggested_flow = suggested_flow
        self.rotated: SecretStr | None = None
        self.add_note(f"→ {self.hint}")  # for scripts: Python prints notes below the traceback

    def __reduce__(self) -> Any:
        # Where Dask is imported, tblib pickles causes too, which other libraries made: their texts
        # may contain secrets. It reads them after this call.
        self.__cause__ = self.__context__ = None
        return super().__reduce__()

    @property
    def trail(self) -> str:
        """With what an administrator finds the request in the provider's log; ``""`` if unknown."""
        if not self.correlation_id:
            return ""
        time = f", {self.timestamp}" if self.timestamp else ""
        return f" (correlation id {self.correlation_id}{time})"

    def lines(self) -> list[str]:
        """The two lines a person reads: what happened, what to do."""
        return [f"{type(self).__name__}: {self}{self.trail}", f"→ {self.hint}"]

    def _render_traceback_(self) -> list[str]:
        # IPython calls this method instead of formatting the traceback itself.
        if self.wants_traceback():
            return fitting("".join(traceback.format_exception(self))).splitlines()
        return [fitting(line) for line in self.lines()]


class ConfigurationError(NbAuthError):
    """An invalid setting, scope or option; nothing was sent."""

    code = "configuration"
    hint = "Correct the value and try again. Nothing was sent."


class SignInError(NbAuthError):
    """A sign-in that ended without an account."""

    code = "sign_in_failed"
    hint = "Run %login again."


class SignInCancelled(SignInError):
    """The person pressed Cancel, or the program called ``SignIn.cancel()``."""

    code = "cancelled"


class SignInDeclined(SignInError):
    """The person or a policy at the provider denied access (RFC 6749 §4.1.2.1)."""

    code = "access_denied"


class SignInExpired(SignInError):
    """The sign-in took too long (RFC 8628 §3.5 ``expired_token``, or nbauth's time-out)."""

    code = "expired_token"
    hint = "Run %login again; the old code and address no longer work."


class FlowUnavailable(SignInError):
    """This flow is not available here. Try ``suggested_flow``."""

    code = "flow_unavailable"
    hint = f"Choose another flow: %login --flow {DEVICE} or %login --flow {BROWSER}."


class TokenError(NbAuthError):
    """No token could be obtained."""

    code = "token"
    hint = "Run %login, then this cell again."


class NotSignedIn(TokenError):
    """This kernel has no sign-in for the account."""

    code = "not_signed_in"


class InteractionRequired(TokenError):
    """A person has to sign in, and this call cannot ask one (OpenID Connect Core §3.1.2.6)."""

    code = "interaction_required"


REFRESH_REFUSED = "refresh_refused"
"""Code of the ``InteractionRequired`` for a refresh that was refused by an HTTP status alone."""


class ConsentRequired(InteractionRequired):
    """The person, or an administrator, has not consented to these scopes."""

    code = "consent_required"
    hint = "Run %login with these scopes and accept them, or ask an administrator to accept them."


class AuthorityUnreachable(TokenError):
    """The provider did not respond, or the response is unusable. Accounts stay signed in.

    Attributes:
        empty: whether a response came that has a status and no body (so no page of a portal).
    """

    empty = False
    code = "authority_unreachable"
    hint = "Check the network, the proxy and the authority's address, then try again."


class PersistenceError(NbAuthError):
    """Tokens could not be stored beyond this kernel."""

    code = "persistence"
    hint = "Tokens stay in this kernel's memory."


class GraphError(NbAuthError):
    """Microsoft Graph refused a request, or did not send all that it has.

    ``correlation_id`` is the ``request-id`` of the response.

    Attributes:
        status: of the response; ``None`` if there was none.
        retry_after: the seconds that the response asked to wait, if it did.
        rows: what was read before, of a call that collects rows.
        next_link: where to go on reading: ``graph.list(error.next_link)``.
        location: the header ``Location`` of the response.
    """

    code = "graph"
    hint = "Correct the cause that the code names, then repeat the request."

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        retry_after: float | None = None,
        **known: str | None,
    ) -> None:
        super().__init__(message, **known)
        self.status = status
        self.retry_after = retry_after
        self.rows: list[object] = []
        self.next_link: str | None = None
        self.location: str | None = None

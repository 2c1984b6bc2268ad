"""The public state of a sign-in, derived from the step that the person sees."""

from __future__ import annotations

from typing import Literal

from nbauth.core.account import Account
from nbauth.core.errors import NbAuthError, SignInExpired
from nbauth.core.steps import (
    Asking,
    Cancelled,
    ChooseFlow,
    Done,
    Failed,
    OpenBrowser,
    Shown,
    ShowUserCode,
    message_of,
)

State = Literal["waiting", "done", "failed", "cancelled"]


class Seen:
    """The step that the person sees; all other attributes are derived from it.

    Attributes:
        step: the current step (``core.steps.Shown``).
    """

    def __init__(self) -> None:
        self.step: Shown = Asking()
        self._told = False

    @property
    def state(self) -> State:
        """``"waiting"``, ``"done"``, ``"failed"`` or ``"cancelled"``."""
        match self.step:
            case Done():
                return "done"
            case Failed():
                return "failed"
            case Cancelled():
                return "cancelled"
        return "waiting"

    @property
    def message(self) -> str:
        """One sentence for the person."""
        return message_of(self.step)

    @property
    def user_code(self) -> str | None:
        """The code of the device flow, while it is shown."""
        return self.step.user_code if isinstance(self.step, ShowUserCode) else None

    @property
    def verification_uri(self) -> str | None:
        """Where the code is entered, while it is shown."""
        return self.step.verification_uri if isinstance(self.step, ShowUserCode) else None

    @property
    def authorize_url(self) -> str | None:
        """The authorization URL of a browser flow, while it is shown."""
        return self.step.authorize_url if isinstance(self.step, OpenBrowser) else None

    @property
    def refusal(self) -> NbAuthError | None:
        """Why the tried flow does not work, while the person chooses another."""
        return self.step.refusal if isinstance(self.step, ChooseFlow) else None

    @property
    def account(self) -> Account | None:
        """Who signed in, once done."""
        return self.step.account if isinstance(self.step, Done) else None

    @property
    def error(self) -> NbAuthError | None:
        """The error of a sign-in that failed or was cancelled."""
        return self.step.error if isinstance(self.step, Failed | Cancelled) else None

    @property
    def untold(self) -> bool:
        """Whether it has failed and no caller has seen its error yet."""
        return self.state == "failed" and not self._told

    def settle(self) -> None:
        """Its error, if any, need not be reported any more."""
        self._told = True

    def result(self) -> Account:
        """Return the account if it is done; else raise its error."""
        match self.step:
            case Done(account):
                return account
            case Failed(error) | Cancelled(error):
                self._told = True
                raise error.with_traceback(None)
        raise SignInExpired("The sign-in has not ended yet.", code="timeout", hint="Wait longer.")

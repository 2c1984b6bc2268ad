"""The session and the variables of the magics. They are created on first use, not at loading."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nbauth.core.account import AccountKey
    from nbauth.jupyter.variables import Variables
    from nbauth.kernel.session import Session


class MagicState:
    """The session, and the variables that ``%token`` sets.

    Args:
        the_session: returns the process's session; the first call creates it.
        user_ns: returns the variables of the notebook.
    """

    def __init__(
        self, the_session: Callable[[], Session], user_ns: Callable[[], dict[str, Any]]
    ) -> None:
        self._the_session = the_session
        self._user_ns = user_ns
        self._variables: Variables | None = None

    @property
    def session(self) -> Session:
        """The process's session."""
        return self._the_session()

    @property
    def variables(self) -> Variables:
        """The variables. Those of an account are removed when it signs out."""
        if self._variables is None:
            from nbauth.jupyter.variables import Variables

            self._variables = Variables(self._user_ns, self.session.screen)
            self.session.changed.connect(self.remove_signed_out)
        return self._variables

    def refresh(self, *_: object) -> None:
        """Before a cell: rebind the variables whose token would expire."""
        if self._variables is not None:
            self.remove_signed_out()  # again, if an interrupt ended it
            self._variables.refresh()

    def names_of(self, key: AccountKey) -> tuple[str, ...]:
        """The names of the variables that ``%token`` has set for an account."""
        return () if self._variables is None else self._variables.of(key)

    def undo(self) -> None:
        """Remove the variables."""
        if self._variables is not None:
            self._variables.keep_only()
            self.session.changed.disconnect(self.remove_signed_out)
            self._variables = None

    def remove_signed_out(self) -> None:
        """Remove the variables of accounts that have signed out, in whatever way."""
        # The store is not read: other kernels' accounts there have no variables here.
        if self._variables is not None:
            self._variables.keep_only(self.session.cache.signed_in)

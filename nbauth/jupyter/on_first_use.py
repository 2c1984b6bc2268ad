"""What the magics work with, made when it is first used and not by ``%load_ext``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nbauth.jupyter.variables import Variables
    from nbauth.kernel.session import Session


class OnFirstUse:
    """The session, and the variables that ``%token`` sets.

    Args:
        the_session: gives the process's session, which its first call makes.
        user_ns: the notebook's names.
    """

    def __init__(self, the_session: Callable[[], Session], user_ns: dict[str, Any]) -> None:
        self._the_session = the_session
        self._user_ns = user_ns
        self._variables: Variables | None = None

    @property
    def session(self) -> Session:
        """The process's session."""
        return self._the_session()

    @property
    def variables(self) -> Variables:
        """The variables; those of an account go when it signs out."""
        if self._variables is None:
            from nbauth.jupyter.variables import Variables

            self._variables = Variables(self._user_ns, self.session.screen)
            self.session.changed.connect(self.forget_the_gone)
        return self._variables

    def refresh(self, *_: object) -> None:
        """Before a cell: rebind the variables that would go stale."""
        if self._variables is not None:
            self._variables.refresh()

    def undo(self) -> None:
        """Take the variables back."""
        if self._variables is not None:
            self.session.changed.disconnect(self.forget_the_gone)
            self._variables.keep_only()
            self._variables = None

    def forget_the_gone(self) -> None:
        """Take back what was set for who has signed out, by a magic, a function or a panel."""
        # No look into what is kept: the others there don't count.
        if self._variables is not None:
            self._variables.keep_only(set(self.session.cache.signed_in))

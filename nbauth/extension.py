"""``%load_ext nbauth``: settings -> session -> magics. Unloading removes all that loading added."""

from __future__ import annotations

from typing import Any

from nbauth.api import the_session
from nbauth.jupyter.completion import complete
from nbauth.jupyter.config import NbAuth
from nbauth.jupyter.ipykernel.wedge import mend
from nbauth.jupyter.magics import AuthMagics
from nbauth.jupyter.variables import Variables

MAGICS = ("login", "logout", "token", "accounts")


class Loaded:
    """All that one loading has added to a shell."""

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self._session = session = the_session()
        self._variables = Variables(shell.user_ns, session.screen)
        self._config = NbAuth(session, parent=shell)
        shell.configurables.append(self._config)
        self._magics = AuthMagics(shell, session, self._variables)
        shell.register_magics(self._magics)
        shell.events.register("pre_run_cell", self._variables.refresh)
        shell.events.register("pre_run_cell", self._new_cell)
        session.changed.connect(self._forget_the_gone)
        self._complete = complete(session)
        for name in MAGICS:
            shell.set_hook("complete_command", self._complete, str_key=f"%{name}")
        self._undo_mending = mend(getattr(shell, "kernel", None))

    def undo(self) -> None:
        """Take it all back; who is signed in stays known to the process's session."""
        shell = self._shell
        for before_a_cell in (self._variables.refresh, self._new_cell):
            shell.events.unregister("pre_run_cell", before_a_cell)
        self._session.changed.disconnect(self._forget_the_gone)
        self._variables.keep_only()
        self._session.rest()
        for added in (self._config, self._magics):
            if added in shell.configurables:
                shell.configurables.remove(added)
        registry = shell.magics_manager
        for name in MAGICS:
            registry.magics["line"].pop(name, None)
            shell.strdispatchers["complete_command"].strs.pop(f"%{name}", None)
        registry.registry.pop(type(self._magics).__name__, None)
        self._undo_mending()

    def _forget_the_gone(self) -> None:
        """However somebody signed out, by a magic, a function or a panel."""
        # No look into what is kept: the others there don't count.
        self._variables.keep_only(set(self._session.cache.signed_in))

    def _new_cell(self, *_: object) -> None:
        self._session.new_cell()


def load_ipython_extension(shell: Any) -> None:
    """What ``%load_ext nbauth`` calls. Opens no socket and imports no protocol library."""
    if getattr(shell, "_nbauth", None) is None:
        shell._nbauth = Loaded(shell)


def unload_ipython_extension(shell: Any) -> None:
    """What ``%unload_ext nbauth`` and ``%reload_ext nbauth`` call."""
    loaded = getattr(shell, "_nbauth", None)
    if loaded is not None:
        shell._nbauth = None
        loaded.undo()

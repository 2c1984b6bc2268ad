"""``%load_ext nbauth``: adds the magics and settings; ``%unload_ext`` removes them.

Loading is fast, because the session and the packages below it are imported on first use.
"""

from __future__ import annotations

from typing import Any

from traitlets import TraitError

from nbauth.api import session_if_made, the_session
from nbauth.jupyter import authorise_cell, magic_ends
from nbauth.jupyter.completion import Completion
from nbauth.jupyter.config import NbAuth
from nbauth.jupyter.guard import Guard
from nbauth.jupyter.hidden_value import HiddenValue
from nbauth.jupyter.ipykernel.outgoing import guard_output
from nbauth.jupyter.ipykernel.reply_fix import fix_replies
from nbauth.jupyter.magic_state import MagicState
from nbauth.jupyter.magics import AuthMagics
from nbauth.msgraph.magic.graph_magic import GraphMagics

MAGICS = ("login", "logout", "token", "accounts", "whoami", "graph")
CELL_MAGICS = ("auth", "graph")


class Loaded:
    """Everything that loading the extension added to a shell."""

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self._state = state = MagicState(the_session, lambda: shell.user_ns)
        self._config = NbAuth(state, parent=shell)
        shell.configurables.append(self._config)
        self._hidden_value = HiddenValue(shell)
        self._magics = (AuthMagics(shell, state, self._hidden_value), GraphMagics(shell, state))
        shell.register_magics(*self._magics)
        shell.events.register("pre_run_cell", state.refresh)
        shell.events.register("pre_run_cell", _new_cell)
        self._completion = Completion(shell, the_session, self._magics, MAGICS, CELL_MAGICS)
        self._undo_reading = magic_ends.add_to(shell, MAGICS, CELL_MAGICS)
        self._undo_cells = authorise_cell.add_to(shell)
        self._undo_reply_fix = fix_replies(getattr(shell, "kernel", None))
        self._undo_guard = guard_output(getattr(shell, "kernel", None), Guard(session_if_made))

    def undo(self) -> None:
        """Remove it all; accounts stay signed in in the process's session."""
        shell = self._shell
        for before_a_cell in (self._state.refresh, _new_cell):
            shell.events.unregister("pre_run_cell", before_a_cell)
        self._state.undo()
        if (session := session_if_made()) is not None:
            session.rest()
        self._config.remove_refused()
        for added in (self._config, *self._magics):
            if added in shell.configurables:
                shell.configurables.remove(added)
        registry = shell.magics_manager
        for name in MAGICS:
            registry.magics["line"].pop(name, None)
        for name in CELL_MAGICS:
            registry.magics["cell"].pop(name, None)
        self._undo_reading()
        self._undo_cells()
        self._completion.undo()
        self._hidden_value.undo()
        for magics in self._magics:
            registry.registry.pop(type(magics).__name__, None)
        self._undo_reply_fix()
        self._undo_guard()


def _new_cell(*_: object) -> None:
    if (session := session_if_made()) is not None:
        session.new_cell()


def load_ipython_extension(shell: Any) -> None:
    """What ``%load_ext nbauth`` calls. Opens no socket and imports no protocol library."""
    if getattr(shell, "_nbauth", None) is None:
        try:
            shell._nbauth = Loaded(shell)
        except TraitError as error:  # an invalid value of c.NbAuth, or one set before by %config
            raise error.__cause__ or error from None


def unload_ipython_extension(shell: Any) -> None:
    """What ``%unload_ext nbauth`` and ``%reload_ext nbauth`` call."""
    loaded = getattr(shell, "_nbauth", None)
    if loaded is not None:
        shell._nbauth = None
        loaded.undo()

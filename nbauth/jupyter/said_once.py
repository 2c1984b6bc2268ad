"""An account that ``%login`` has told of in its cell is not told of again as the cell's value."""

from __future__ import annotations

from typing import Any

_ACCOUNT = ("nbauth.core.account", "Account")


class SaidOnce:
    """Keeps a notebook from showing the value of a ``%login`` that has said who is signed in.

    A terminal writes ``Out[1]:`` before it asks how a value looks, so the value is shown there.

    Args:
        shell: the notebook's.
    """

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self._told: object = None
        self._cell = -1
        self._formatter = shell.display_formatter.ipython_display_formatter
        if getattr(shell, "kernel", None) is not None:
            self._formatter.for_type_by_name(*_ACCOUNT, self._show)

    def add(self, value: object) -> None:
        """A line or a panel has just told of it."""
        self._told, self._cell = value, self._shell.execution_count

    def undo(self) -> None:
        """Show every value as IPython does."""
        self._told = None
        self._formatter.deferred_printers.pop(_ACCOUNT, None)
        for kind in [
            kind for kind, how in self._formatter.type_printers.items() if how == self._show
        ]:
            self._formatter.pop(kind, None)

    def _show(self, value: object) -> None:
        told, self._told = self._told, None
        if value is not told or self._cell != self._shell.execution_count:
            raise NotImplementedError  # to IPython: show it in another way

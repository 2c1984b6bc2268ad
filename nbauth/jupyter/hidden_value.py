"""Hides the value of a cell with ``%login`` if the output already names the account."""

from __future__ import annotations

from typing import Any

_ACCOUNT = ("nbauth.core.account", "Account")


class HiddenValue:
    """Hides the value of ``%login`` in a notebook after a line or a panel has named the account.

    A terminal still shows the value, because IPython writes ``Out[1]:`` before it formats it.

    Args:
        shell: the shell of the notebook.
    """

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self._hidden: object = None
        self._cell = -1
        self._formatter = shell.display_formatter.ipython_display_formatter
        if getattr(shell, "kernel", None) is not None:
            self._formatter.for_type_by_name(*_ACCOUNT, self._show)

    def hide(self, value: object) -> None:
        """Hide this value in the running cell."""
        self._hidden, self._cell = value, self._shell.execution_count

    def undo(self) -> None:
        """Remove the formatter. IPython then shows every value."""
        self._hidden = None
        self._formatter.deferred_printers.pop(_ACCOUNT, None)
        for kind in [
            kind for kind, how in self._formatter.type_printers.items() if how == self._show
        ]:
            self._formatter.pop(kind, None)

    def _show(self, value: object) -> None:
        hidden, self._hidden = self._hidden, None
        if value is not hidden or self._cell != self._shell.execution_count:
            raise NotImplementedError  # IPython then uses its other formatters

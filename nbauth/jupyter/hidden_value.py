"""Hides the value of a cell with ``%login`` if the output already names the account."""

from __future__ import annotations

from typing import Any

_ACCOUNT = ("nbauth.core.account", "Account")


class HiddenValue:
    """Hides the value of ``%login`` after a line or a panel has named the account.

    A terminal writes ``Out[1]:`` before it formats a value. So there the value does not reach
    IPython's display hook. ``_`` and ``Out`` have it nevertheless.

    Args:
        shell: the shell of the notebook or the terminal.
    """

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self._hidden: object = None
        self._cell = -1
        self._formatter = shell.display_formatter.ipython_display_formatter
        if getattr(shell, "kernel", None) is not None:
            self._formatter.for_type_by_name(*_ACCOUNT, self._show)
        self._trap = shell.display_trap if hasattr(shell, "simple_prompt") else None  # a terminal
        if self._trap is not None:
            self._trap.hook = self._show_in_terminal

    def hide(self, value: object) -> None:
        """Hide this value in the running cell."""
        self._hidden, self._cell = value, self._shell.execution_count

    def undo(self) -> None:
        """Remove the formatter and the hook. IPython then shows every value."""
        self._hidden = None
        if self._trap is not None and self._trap.hook == self._show_in_terminal:
            self._trap.hook = self._shell.displayhook
        self._formatter.deferred_printers.pop(_ACCOUNT, None)
        for kind in [
            kind for kind, how in self._formatter.type_printers.items() if how == self._show
        ]:
            self._formatter.pop(kind, None)

    def _is_hidden(self, value: object) -> bool:
        hidden, self._hidden = self._hidden, None
        return value is hidden and self._cell == self._shell.execution_count

    def _show(self, value: object) -> None:
        if not self._is_hidden(value):
            raise NotImplementedError  # IPython then uses its other formatters

    def _show_in_terminal(self, value: object = None) -> None:
        hook = self._shell.displayhook
        is_account = value is not None and type(value).__name__ == _ACCOUNT[1]
        if is_account and self._is_hidden(value):
            hook.update_user_ns(value)
            hook.fill_exec_result(value)
        else:
            hook(value)

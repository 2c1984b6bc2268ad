"""What a call raises when the kernel is interrupted: shown in one line, without a traceback."""

from __future__ import annotations


class SignInInterrupted(KeyboardInterrupt):
    """The kernel was interrupted while this call waited for a sign-in.

    Args:
        goes_on: whether the sign-in continues, since another cell waits for it or it runs in the
            background; otherwise the interrupt has cancelled it.
    """

    def __init__(self, *, goes_on: bool = False) -> None:
        super().__init__()
        self.goes_on = goes_on

    def _render_traceback_(self) -> list[str]:
        if self.goes_on:
            return ["SignInInterrupted: this cell no longer waits; the sign-in continues."]
        return ["SignInInterrupted: the sign-in was cancelled by the interrupt."]


class GraphInterrupted(KeyboardInterrupt):
    """The kernel was interrupted while a call collected rows of Microsoft Graph.

    Args:
        rows: what was read before.
        next_link: where to go on reading: ``graph.list(link)``.
        goes_on: the call that reads on.
    """

    def __init__(
        self,
        rows: list[object],
        next_link: str | None,
        *,
        goes_on: str = "graph.list(graph.partial.next_link)",
    ) -> None:
        super().__init__()
        self.goes_on = goes_on
        self.rows = rows
        self.next_link = next_link

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.rows, self.next_link), self.__dict__

    def _render_traceback_(self) -> list[str]:
        further = "These are all." if self.next_link is None else f"{self.goes_on} reads on."
        return [
            f"GraphInterrupted: {len(self.rows):,} rows were read. They are in partial.rows of the"
            f" Graph object, for example nbauth.graph.partial.rows. {further}"
        ]


class TransferInterrupted(KeyboardInterrupt):
    """The kernel was interrupted during an upload or a download.

    Args:
        what: a sentence on what happened to the file.
    """

    def __init__(self, what: str) -> None:
        super().__init__(what)

    def _render_traceback_(self) -> list[str]:
        return [f"TransferInterrupted: {self}"]

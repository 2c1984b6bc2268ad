"""``%%auth``. Which calls of a cell get a token: :mod:`nbauth.kernel.calls.authorised_calls`.

A cell magic that runs its body itself breaks ``await``, tracebacks and Run All. Therefore the first
line is replaced by a call before IPython parses the cell, and the body stays as it is.
"""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError
from IPython.core.inputtransformer2 import cell_magic

if TYPE_CHECKING:
    from nbauth.kernel.calls.execution import Execution
    from nbauth.kernel.session import Session

_FIRST = re.compile(r"%%auth(?=\Z|[^\w.?!])")
_HELP = re.compile(r"(?:(?!\s#).)*(?<!\S)(?:--help|-h)(?![^\s;])")
_MAGIC = re.compile(r"%%(\w+)")
_FUTURE = re.compile(r"(from __future__ import \w+(?:\s*,\s*\w+)*)\s*(?:#.*)?$")
_BEFORE_FUTURE = re.compile(rf"\s*(?:#.*)?$|{_FUTURE.pattern}")
_OTHER_PROGRAMS = frozenset({
    "bash", "cmd", "perl", "pypy", "python", "python2", "python3", "ruby", "script", "sh", "sx",
    "system",
})  # fmt: skip
_NO_CODE = frozenset({
    "HTML", "SVG", "file", "html", "javascript", "js", "latex", "markdown", "svg", "writefile",
})  # fmt: skip


_COVERED = "It covers calls of requests and httpx, and no other HTTP library."


class _Cell:
    """One run of a cell, authorised or not.

    Attributes:
        execution: set by ``%%auth``.
        line: the arguments of ``%%auth``.
        quiet: whether nothing is printed at its end.
        ended: whether the cell has ended.
    """

    execution: Execution | None = None
    line = ""
    quiet = False
    ended = False

    def end(self) -> None:
        self.ended = True
        if self.execution is not None:
            from nbauth.kernel.calls import authorised_calls

            authorised_calls.end(self.execution)

    def tell(self) -> None:
        """Say it if no call got a token, since the cell then probably failed to do its work."""
        if self.execution is None or self.quiet or self.execution.sent:
            return
        unlisted = [*self.execution.unlisted]
        are = "are not listed hosts" if unlisted[1:] else "is not a listed host"
        why = f"{', '.join(unlisted)} {are}." if unlisted else _COVERED
        from nbauth.core.output import OutputGone, write

        with suppress(OutputGone):
            write(f"%%auth: no call of this cell got a token. {why}")


_running: ContextVar[_Cell | None] = ContextVar("nbauth_cell", default=None)


def add_to(shell: Any) -> Callable[[], None]:
    """Let ``%%auth`` work in a shell. Returns a function that removes it."""
    transformers = shell.input_transformer_manager.cleanup_transforms
    transformers.append(_first_line_replaced)
    is_ipythons = inspect.iscoroutinefunction(shell.run_cell_async)
    undo_noticing = (_notice_runs if is_ipythons else _notice_events)(shell)

    def undo() -> None:
        if _first_line_replaced in transformers:
            transformers.remove(_first_line_replaced)
        undo_noticing()

    return undo


def _notice_runs(shell: Any) -> Callable[[], None]:
    """Notice when a cell begins and ends, also a silent or nested one."""
    before = shell.run_cell_async

    @functools.wraps(before)
    async def run_cell_async(*args: Any, **options: Any) -> Any:
        cell = _Cell()
        outer = _running.set(cell)
        try:
            result = await before(*args, **options)
            if getattr(result, "success", False):
                cell.tell()
            return result
        finally:
            try:
                cell.end()
            except KeyboardInterrupt:  # the code has ended, so there is nothing to interrupt
                cell.end()
            with suppress(ValueError):  # it may end in another context than it began in
                _running.reset(outer)

    shell.run_cell_async = run_cell_async

    def undo() -> None:
        if vars(shell).get("run_cell_async") is run_cell_async:
            del shell.run_cell_async

    return undo


def _notice_events(shell: Any) -> Callable[[], None]:
    """The same for a shell whose ``run_cell_async`` is no coroutine function, as xeus-python's."""
    cells: list[_Cell] = []

    def begins() -> None:
        cells.append(_Cell())
        _running.set(cells[-1])

    def ends() -> None:
        if not cells:  # it began before loading
            return
        cell = cells.pop()
        if shell.last_execution_succeeded:
            cell.tell()
        cell.end()
        _running.set(cells[-1] if cells else None)

    shell.events.register("pre_execute", begins)
    shell.events.register("post_execute", ends)

    def undo() -> None:
        shell.events.unregister("pre_execute", begins)
        shell.events.unregister("post_execute", ends)
        while cells:
            ends()

    return undo


def _first_line_replaced(lines: list[str]) -> list[str]:
    """The lines of a cell with a call in place of the line ``%%auth``; each keeps its number."""
    if not lines or not (found := _FIRST.match(lines[0])):
        return lines
    last = next((n for n, line in enumerate(lines) if not line.rstrip("\n").endswith("\\")), 0)
    head = [line.rstrip("\n").removesuffix("\\") for line in lines[: last + 1]]
    line = " ".join([head[0][found.end() :], *head[1:]]).strip()
    body = lines[last + 1 :]
    begin = next((n for n, each in enumerate(body) if each.strip()), None)
    if _HELP.match(line):
        return [_call(line, "".join(body) or "\n")]
    if begin is None:  # IPython says that the body is empty
        return [f"%%auth {line}".rstrip() + "\n"]
    if next_magic := _MAGIC.match(body[begin]):
        if next_magic[1] in _OTHER_PROGRAMS | _NO_CODE:
            return [_call(line, next_magic[0])]
        body = [*body[:begin], *cell_magic(_first_line_replaced(body[begin:]))]
    return _begun(_call(line, None), ["\n"] * last + body)


# While a terminal asks whether a cell is complete, it is a cell magic like others.
_first_line_replaced.has_side_effects = True  # type: ignore[attr-defined]


def _begun(call: str, body: list[str]) -> list[str]:
    """The call and the body. A future import of the body has to stay its first statement."""
    first = (n for n, line in enumerate(body) if not _BEFORE_FUTURE.match(line))
    rest = next(first, len(body))
    future = [n for n, line in enumerate(body[:rest]) if _FUTURE.match(line)]
    if not future:
        return [call, *body]
    imported = _FUTURE.match(body[future[-1]])
    assert imported is not None
    return ["\n", *body[: future[-1]], f"{imported[1]}; {call}", *body[future[-1] + 1 :]]


def _call(line: str, cell: str | None) -> str:
    return f"get_ipython().run_cell_magic('auth', {line!r}, {cell!r})\n"


def begin(session: Session, args: Any, scopes: list[str], cell: str | None) -> None:
    """Authorise the running cell. ``cell`` is ``None`` if the body follows as code."""
    name = _MAGIC.match(cell or "")
    if name and name[1] in _OTHER_PROGRAMS:
        raise UsageError(
            f"%%auth cannot be used with {name[0]}, which runs another program. For a token in an"
            " environment variable: %token --env NAME."
        )
    if name and name[1] == "auth":
        raise UsageError("%%auth has to be the first line of its cell.")
    if cell is not None:
        what = f"{name[0]}, which runs no Python code" if name else "run_cell_magic"
        raise UsageError(f"%%auth cannot be used with {what}. It begins a cell of Python code.")
    running = _running.get()
    if running is None or running.ended:
        raise UsageError("%%auth works only in a cell.")
    line = repr((sorted(vars(args).items()), scopes))
    if running.execution is not None:
        if running.line == line:  # called in a loop, such as that of %%timeit
            return
        raise UsageError("%%auth is given twice. Write one line with all scopes and hosts.")
    from nbauth.core.errors import ConfigurationError

    call = {"profile": args.profile} if args.profile else {}
    auth = session.authorise(*scopes, account=args.account, hosts=args.host, **call)
    if not auth.hosts:
        raise ConfigurationError(
            "No host is listed, so no call of this cell could get a token.",
            code="unlisted_host",
            hint="List the host of your API with its scopes in the setting hosts: "
            "nbauth.configure(hosts={'api.example.com': ['read']}).",
        )
    if auth.bound.key is None:  # sign in now: threads of the cell could not ask the person
        auth.bound.get(auth.bound.client.scopes(scopes))
    from nbauth.kernel.calls import authorised_calls
    from nbauth.kernel.calls.execution import Execution

    running.line, running.quiet = line, args.quiet
    running.execution = Execution()
    authorised_calls.begin(running.execution, auth)

"""Answers the worker processes of this machine that this process has started, over a pipe."""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
import select
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from nbauth.core.forks import no_fork
from nbauth.core.interrupts import Flag, true_interrupts
from nbauth.core.log import trail
from nbauth.kernel.asking.channel import BEAT
from nbauth.kernel.asking.wire import PipeWire, SocketWire, Wire, meet, of_another_user, prove

log = logging.getLogger(__name__)
BACKLOG = 128
AT_ONCE = 400
"""Connections; a worker that makes one more tries again."""
PAUSE = 0.1
"""Seconds until the next attempt to accept a connection, if there are too many open files."""
WAKES = 1.0
"""Seconds within which the thread that accepts connections ends."""
_SHORTAGES = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.ECONNABORTED)

Answer = Callable[[object], Mapping[str, Any]]


class Answers:
    """Listens for the worker processes of this one, from the first use on.

    On Linux its address is in the abstract namespace, so no file remains after a killed kernel. A
    process has to prove that it knows multiprocessing's key; see ``asking.reference.family``.

    Args:
        answer: answers a question; see :meth:`.answering.Answering.answer`.
    """

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._listener: Any = None
        self._address = ""
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._inherited = False
        self._open: dict[Wire, None] = {}

    def address(self) -> str:
        """Where it listens, ``""`` if it cannot. It begins to, if it does not yet.

        In a forked child: where the parent listens.
        """
        self.listen()
        self.serve()
        return self._address

    @property
    def known_address(self) -> str:
        """The address at which it listens or has listened, ``""`` for none."""
        return self._address

    def listen(self) -> None:
        """Take an address. Processes can connect from now on."""
        try:
            with self._lock:
                if self._listener is None and not self._inherited:
                    self._listener, self._address = _listener(self._address)
        except OSError as error:
            log.debug("worker processes cannot ask this kernel: %s", trail(error))

    def serve(self) -> None:
        """Answer the processes that connect, in a thread."""
        try:
            with self._lock, true_interrupts():
                alive = self._thread is not None and self._thread.is_alive()
                if self._listener is not None and not alive:
                    self._thread = threading.Thread(
                        target=self._accept,
                        args=(self._listener,),
                        name="nbauth-workers",
                        daemon=True,
                    )
                    self._thread.start()
        except RuntimeError:  # the interpreter is shutting down
            self._thread = None

    def stop(self) -> None:
        """End it; the next use begins again, at the same address if possible."""
        with self._lock:
            listener, self._listener = self._listener, None
            thread, self._thread = self._thread, None
        if listener is not None:
            _close(listener, self._address)
        if thread is not None:  # until it has woken up, the address is in use
            thread.join(WAKES)

    def forked(self) -> None:
        """In a forked child: the parent answers."""
        self._lock = threading.Lock()
        listener, self._listener = self._listener, None
        self._thread, self._inherited = None, True
        if listener is not None:
            with contextlib.suppress(OSError):
                listener.close()  # and not shut down: it is the parent's too
        for wire in self._open:  # else a worker would not notice the end of a killed parent
            wire.drop()
        self._open = {}

    def _accept(self, listener: Any) -> None:
        while listener is self._listener:
            try:
                wire = self._accepted(listener)
            except BlockingIOError:  # the process has gone
                continue
            except OSError as error:
                if error.errno in _SHORTAGES:
                    time.sleep(PAUSE)
                    continue
                with self._lock:
                    if listener is self._listener:  # the program has closed it
                        self._listener = self._thread = None
                return
            if wire is not None:
                self._begin(wire)

    def _accepted(self, listener: Any) -> Wire | None:
        """A connection; ``None`` if it is not one of this user."""
        if not isinstance(listener, socket.socket):
            wire: Wire = PipeWire(listener.accept())
            self._open[wire] = None
            return wire
        waiting = select.poll()
        waiting.register(listener, select.POLLIN)
        if any(told & ~select.POLLIN for _, told in waiting.poll()):
            raise OSError(errno.EINVAL, "it is closed")
        with no_fork():  # else a child might have a socket that it does not know
            made, _ = listener.accept()
            wire = SocketWire(made)
            if of_another_user(made):
                wire.close()
                return None
            self._open[wire] = None
        return wire

    def _begin(self, wire: Wire) -> None:
        if len(self._open) > AT_ONCE:
            self._end(wire)
            return
        try:
            threading.Thread(
                target=self._serve, args=(wire,), name="nbauth-worker", daemon=True
            ).start()
        except RuntimeError:  # too many threads, or the interpreter is shutting down
            self._end(wire)

    def _end(self, wire: Wire) -> None:
        wire.close()
        self._open.pop(wire, None)

    def _serve(self, wire: Wire) -> None:
        try:
            prove(wire, meet(wire), self._address, asks=False)
            question = json.loads(wire.receive())
            wire.send(json.dumps(self._answered(question, wire)).encode())
        except Exception as error:
            log.debug("a worker process was not answered: %s", type(error).__name__)
        finally:
            self._end(wire)

    def _answered(self, question: object, wire: Wire) -> Mapping[str, Any]:
        """The answer. Until it is there, the worker gets signs of life."""
        ended, brought = Flag(), list[Mapping[str, Any]]()

        def run() -> None:
            try:
                brought.append(self._answer(question))
            finally:
                ended.set()

        try:
            threading.Thread(target=run, name="nbauth-answer", daemon=True).start()
        except RuntimeError:  # too many threads
            return self._answer(question)
        while not ended.wait(BEAT):
            wire.send(b"{}")
        return brought[0]


def _listener(before: str) -> tuple[Any, str]:
    """What listens, and its address: the one of before, if it is free."""
    if sys.platform == "win32":
        from multiprocessing import connection

        made = connection.Listener(family="AF_PIPE")
        return made, str(made.address)
    if before:  # processes that know it can ask again
        with contextlib.suppress(OSError):
            return _bound(before), before
    name = f"nbauth-{os.urandom(8).hex()}"
    address = f"\0{name}" if sys.platform == "linux" else f"{_folder()}/{name}"
    return _bound(address), address


def _folder() -> str:
    """A folder that only this user can enter; multiprocessing removes it at the end."""
    from multiprocessing import util

    return str(util.get_temp_dir())


def _bound(address: str) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    try:
        listener.bind(address)
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return listener


def _close(listener: Any, address: str) -> None:
    """Close it, and wake the thread that waits in accept()."""
    if isinstance(listener, socket.socket):
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        if sys.platform != "linux":  # elsewhere that wakes nobody
            with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as one:
                one.setblocking(False)
                one.connect(address)
        listener.close()
        if not address.startswith("\0"):
            with contextlib.suppress(OSError):
                os.unlink(address)
        return
    from multiprocessing import connection

    with contextlib.suppress(OSError):
        connection.Client(address).close()
    listener.close()

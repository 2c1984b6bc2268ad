"""Answers the worker processes of this machine that this process has started, over a pipe."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
import sys
import threading
from collections.abc import Callable, Mapping
from multiprocessing import AuthenticationError, connection, process, util
from typing import Any

from nbauth.core.interrupts import Flag, true_interrupts
from nbauth.core.log import trail
from nbauth.kernel.asking.channel import BEAT
from nbauth.kernel.asking.pipe import Timed

log = logging.getLogger(__name__)
BACKLOG = 128

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

    def address(self) -> str:
        """Where it listens, ``""`` if it cannot. It begins to, if it does not yet.

        In a forked child: where the parent listens.
        """
        self.listen()
        self.serve()
        return self._address

    def listen(self) -> None:
        """Take an address. Processes can connect from now on."""
        with self._lock:
            if self._listener is not None or self._inherited:
                return
            try:
                self._listener, self._address = _listener()
            except OSError as error:
                log.debug("worker processes cannot ask this kernel: %s", trail(error))

    def serve(self) -> None:
        """Answer the processes that connect, in a thread."""
        with self._lock:
            alive = self._thread is not None and self._thread.is_alive()
            if self._listener is None or alive:
                return
            run = threading.Thread(
                target=self._accept, args=(self._listener,), name="nbauth-workers", daemon=True
            )
            self._thread = run
            try:
                with true_interrupts():
                    run.start()
            except RuntimeError:  # the interpreter is shutting down
                self._thread = None

    def stop(self) -> None:
        """End it; the next use begins again."""
        with self._lock:
            listener, self._listener = self._listener, None
        if listener is not None:
            _close(listener)

    def forked(self) -> None:
        """In a forked child: the parent answers."""
        self._lock = threading.Lock()
        listener, self._listener = self._listener, None
        self._thread, self._inherited = None, True
        if isinstance(listener, socket.socket):
            listener.close()  # and not shut down: it is the parent's too

    def _accept(self, listener: Any) -> None:
        while listener is self._listener:
            try:
                found = _accepted(listener)
            except OSError:
                return
            run = threading.Thread(
                target=self._serve, args=(found,), name="nbauth-worker", daemon=True
            )
            try:
                run.start()
            except RuntimeError:
                found.close()

    def _serve(self, found: Any) -> None:
        timed: Any = Timed(found)
        key = bytes(process.current_process().authkey)
        try:
            connection.deliver_challenge(timed, key)
            connection.answer_challenge(timed, key)
            question = json.loads(timed.recv_bytes())
            timed.send_bytes(json.dumps(self._answered(question, timed)).encode())
        except (OSError, EOFError, ValueError, AuthenticationError) as error:
            log.debug("a worker process was not answered: %s", type(error).__name__)
        finally:
            timed.close()

    def _answered(self, question: object, timed: Timed) -> Mapping[str, Any]:
        """The answer. Until it is there, the worker gets signs of life."""
        ended, brought = Flag(), list[Mapping[str, Any]]()

        def run() -> None:
            try:
                brought.append(self._answer(question))
            finally:
                ended.set()

        threading.Thread(target=run, name="nbauth-answer", daemon=True).start()
        while not ended.wait(BEAT):
            timed.send_bytes(b"{}")
        return brought[0]


def _listener() -> tuple[Any, str]:
    """What listens, and its address."""
    if sys.platform == "win32":
        made = connection.Listener(family="AF_PIPE")
        return made, str(made.address)
    name = f"nbauth-{os.urandom(8).hex()}"
    # multiprocessing removes its folder, which only this user can enter, at the end
    address = f"\0{name}" if sys.platform == "linux" else f"{util.get_temp_dir()}/{name}"
    listener = socket.socket(socket.AF_UNIX)
    try:
        listener.bind(address)
        listener.listen(BACKLOG)
    except BaseException:
        listener.close()
        raise
    return listener, address


def _accepted(listener: Any) -> Any:
    if not isinstance(listener, socket.socket):
        return listener.accept()
    return connection.Connection(listener.accept()[0].detach())


def _close(listener: Any) -> None:
    if isinstance(listener, socket.socket):
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)  # wakes the thread in accept()
    listener.close()

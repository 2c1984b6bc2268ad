"""The part of the contract about threads, forks, prompts and interrupts.

Part of :class:`nbauth.testing.persistence.PersistenceContract`.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Event
from pathlib import Path
from select import select

from nbauth.core.errors import PersistenceError
from nbauth.persistence import Ask, Entry, Persistence

ADA = Entry("https://id.example/tenant", "notebooks", "ada.tenant")
OTHERS = (
    Entry("https://id.example/tenant", "notebooks", "bob.tenant"),
    Entry("https://id.example/tenant", "other", "ada.tenant"),
    Entry("https://id.example/other", "notebooks", "ada.tenant"),
    Entry("https://id.example:8443/tenant", "notebooks", "ada.tenant"),
    Entry("https://id.example/tenant", "notebooks", "ADA.tenant"),
    Entry("https://id.example/tenant", "notebooks", "../../ada\0\n|é'\"%s" + "x" * 300),
    Entry("", "", ""),
)
START = 60.0  # seconds for another process to start
SPAWN = multiprocessing.get_context("spawn")


class UndisturbedContract:
    """Tests of these promises, and the methods that a subclass defines.

    Attributes:
        patience: seconds allowed for something that takes almost no time, on a busy machine.
    """

    patience = 30.0

    def make(self, folder: Path) -> Persistence:
        """Return your persistence; it stores everything below this folder.

        Called once for each kernel: two for one folder share their entries, also across processes.
        """
        raise NotImplementedError

    def make_asking(self, folder: Path, ask: Ask) -> Persistence | None:
        """The same, with ``ask`` to ask the person; ``None`` if yours never asks."""
        return None

    def test_hooks_are_called_while_no_lock_is_held(self, tmp_path: Path) -> None:
        kernel = self.make(tmp_path)
        kernel.save(ADA, b"data")
        others: list[tuple[threading.Thread, bool]] = []

        def act(*_: object) -> None:
            if threading.current_thread() is here:
                thread = threading.Thread(target=lambda: kernel.save(ADA, b"other"))
                thread.start()
                thread.join(min(self.patience, 5))
                others.append((thread, not thread.is_alive()))

        here = threading.current_thread()
        kernel.before_access = kernel.after_access = act
        kernel.load(ADA)
        kernel.save(ADA, b"new")
        for thread, _ in others:
            thread.join()
        assert [in_time for _, in_time in others] == [True] * 4

    def test_an_interrupt_leaves_nothing_locked(self, tmp_path: Path) -> None:
        kernel = self.make(tmp_path)
        kernel.save(ADA, b"data")

        def interrupt(*_: object) -> None:
            if threading.current_thread() is here:
                raise KeyboardInterrupt

        def refresh() -> None:
            with kernel.refreshing(ADA):
                raise KeyboardInterrupt

        here = threading.current_thread()
        for before, after in ((interrupt, None), (None, interrupt), (None, None)):
            kernel.before_access, kernel.after_access = before, after
            for act in (lambda: kernel.load(ADA), lambda: kernel.save(ADA, b"data"), refresh):
                with suppress(KeyboardInterrupt):
                    act()
                with in_a_thread(lambda: _use(kernel)) as done:
                    assert done.wait(self.patience)

    def test_other_threads_do_not_wait_for_a_prompt(self, tmp_path: Path) -> None:
        self.make(tmp_path).save(ADA, b"data")
        asked, answer = threading.Event(), threading.Event()

        def ask(_: str) -> str:
            asked.set()
            answer.wait(START)
            raise PersistenceError("The person gave no answer.")

        kernel = self.make_asking(tmp_path, ask)
        if kernel is None:
            return
        with in_a_thread(lambda: _told(kernel.open)):
            try:
                assert asked.wait(self.patience)
                for look, seconds in ((kernel.stamp, 1), (kernel.load, 5)):
                    with in_a_thread(lambda look=look: _told(lambda: look(ADA))) as done:  # type: ignore[misc]
                        in_time = done.wait(seconds)
                        if not in_time:
                            answer.set()
                        assert in_time
            finally:
                answer.set()

    def test_a_forked_child_can_use_the_store(self, tmp_path: Path) -> None:
        if not hasattr(os, "fork"):
            return
        with self._elsewhere("_fork_while_refreshing", tmp_path, b"") as process:
            process.join(START)
            assert process.exitcode == 0

    # ── other processes ─────────────────────────────────────────────────────────────────────

    @contextmanager
    def _elsewhere(self, method: str, folder: Path, given: bytes | Event) -> Iterator[BaseProcess]:
        process = SPAWN.Process(target=getattr(self, method), args=(folder, given), daemon=True)
        process.start()
        try:
            yield process
        finally:
            process.kill()
            process.join(self.patience)

    def _fork_while_refreshing(self, folder: Path, _: bytes) -> None:
        kernel = self.make(folder)
        kernel.save(ADA, b"data")
        inside, leave = threading.Event(), threading.Event()

        def hold() -> None:
            with kernel.refreshing(ADA):
                inside.set()
                leave.wait(self.patience)

        thread = threading.Thread(target=hold, daemon=True)
        thread.start()
        inside.wait(self.patience)
        reading, writing = os.pipe()
        if not (child := os.fork()):
            try:
                self._in_the_child(kernel, folder, writing)
            except BaseException:
                os._exit(1)
            os._exit(0)
        try:
            assert select([reading], [], [], self.patience)[0], "the child hangs"
            leave.set()
            with in_a_thread(lambda: refresh(kernel, ADA)) as done:
                assert done.wait(self.patience), "the child keeps the lock"
            assert os.waitpid(child, 0)[1] == 0
        except AssertionError:
            os.kill(child, 9)
            os._exit(1)

    def _in_the_child(self, kernel: Persistence, folder: Path, writing: int) -> None:
        for one in (kernel, self.make(folder)):
            assert one.load(ADA) == b"data"
            one.save(OTHERS[0], b"data")
        with in_a_thread(lambda: refresh(self.make(folder), ADA)) as done:
            assert not done.wait(0.3)
            os.write(writing, b"!")
            assert done.wait(self.patience)
        with in_a_thread(lambda: refresh(kernel, ADA)) as done:
            assert done.wait(self.patience)


def _use(kernel: Persistence) -> None:
    kernel.save(ADA, b"data")
    assert kernel.load(ADA) == b"data"
    refresh(kernel, ADA)


def _told(act: Callable[[], object]) -> None:
    with suppress(PersistenceError):
        act()


def refresh(kernel: Persistence, entry: Entry) -> None:
    with kernel.refreshing(entry):
        pass


@contextmanager
def in_a_thread(act: Callable[[], object]) -> Iterator[threading.Event]:
    """Run ``act`` in a thread; the event is set when it has ended without an error."""
    done = threading.Event()

    def run() -> None:
        act()
        done.set()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    yield done
    thread.join()

"""The contract of a persistence, as tests for the authors of plug-ins.

In a test module::

    from nbauth.testing.persistence import PersistenceContract

    class TestMine(PersistenceContract):
        def make(self, folder):
            return MyPersistence(folder)

pytest needs no other set-up. The tests start a few processes, which import your module.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from multiprocessing.synchronize import Event
from pathlib import Path

from nbauth.persistence import Entry, Persistence
from nbauth.testing.canary import make_canary, scan
from nbauth.testing.undisturbed import (
    ADA,
    OTHERS,
    SPAWN,
    START,
    UndisturbedContract,
    in_a_thread,
    refresh,
)

__all__ = ["ADA", "OTHERS", "PersistenceContract"]


class PersistenceContract(UndisturbedContract):
    """Tests of all promises of :class:`nbauth.persistence.protocol.Persistence`.

    A subclass defines ``make``.
    """

    # ── one entry ───────────────────────────────────────────────────────────────────────────

    def test_saved_data_can_be_loaded_by_the_next_kernel(self, tmp_path: Path) -> None:
        for data in (b"first", b"", bytes(range(256)) * 800, b"last\n"):
            assert self.make(tmp_path).save(ADA, data) is True
            assert self.make(tmp_path).load(ADA) == data

    def test_saved_data_can_be_loaded_in_another_process(self, tmp_path: Path) -> None:
        with self._elsewhere("_save", tmp_path, b"from elsewhere") as process:
            process.join(START)
            assert process.exitcode == 0
        assert self.make(tmp_path).load(ADA) == b"from elsewhere"

    def test_an_empty_store_returns_nothing(self, tmp_path: Path) -> None:
        kernel = self.make(tmp_path)
        assert kernel.load(ADA) is None
        assert kernel.stamp(ADA) is None
        assert kernel.entries() == []
        assert kernel.current(ADA.issuer, ADA.client_id) is None
        kernel.clear(ADA)

    def test_entries_are_not_mixed(self, tmp_path: Path) -> None:
        kernel = self.make(tmp_path)
        for number, entry in enumerate([ADA, *OTHERS]):
            assert [kernel.load(other) for other in OTHERS[number:]] == [None] * (7 - number)
            kernel.save(entry, f"of {number}".encode())
        another = self.make(tmp_path)
        for number, entry in enumerate([ADA, *OTHERS]):
            assert another.load(entry) == f"of {number}".encode()
        assert set(another.entries()) == {ADA, *OTHERS}
        assert len(another.entries()) == 1 + len(OTHERS)
        another.clear(ADA)
        assert set(kernel.entries()) == set(OTHERS)

    def test_a_cleared_entry_is_gone_for_all_kernels(self, tmp_path: Path) -> None:
        first, second = self.make(tmp_path), self.make(tmp_path)
        first.save(ADA, b"data")
        assert second.load(ADA) == b"data"
        first.clear(ADA)
        for kernel in (first, second, self.make(tmp_path)):
            assert kernel.load(ADA) is None
            assert kernel.stamp(ADA) is None
            assert kernel.entries() == []
        first.clear(ADA)

    def test_a_late_save_does_not_restore_a_cleared_entry(self, tmp_path: Path) -> None:
        first, second = self.make(tmp_path), self.make(tmp_path)
        assert first.save(ADA, b"never there", only_if_there=True) is False
        first.save(ADA, b"data")
        assert second.save(ADA, b"refreshed", only_if_there=True) is True
        assert first.load(ADA) == b"refreshed"
        first.clear(ADA)
        assert second.save(ADA, b"too late", only_if_there=True) is False
        assert first.load(ADA) is second.load(ADA) is None
        assert second.save(ADA, b"signed in anew") is True
        assert first.load(ADA) == b"signed in anew"

    def test_the_stamp_changes_with_every_save(self, tmp_path: Path) -> None:
        first, second = self.make(tmp_path), self.make(tmp_path)
        first.save(ADA, b"same length 0")
        stamps = [second.stamp(ADA)]
        for number in range(1, 10):
            (first if number % 2 else second).save(ADA, f"same length {number}".encode())
            assert second.load(ADA) == f"same length {number}".encode()
            stamps.append(second.stamp(ADA))
            assert second.stamp(ADA) == stamps[-1]
        assert None not in stamps
        assert len(set(stamps)) == len(stamps)

    def test_simultaneous_saves_do_not_mix_data(self, tmp_path: Path) -> None:
        kernels = [self.make(tmp_path) for _ in range(4)]
        sent = {(bytes([65 + number]) * 20_000) for number in range(8)}
        kernels[0].save(ADA, max(sent))

        def save_and_load(number: int, data: bytes) -> bytes | None:
            kernels[number % 4].save(ADA, data)
            return kernels[(number + 1) % 4].load(ADA)

        with ThreadPoolExecutor(8) as threads:
            seen = list(threads.map(save_and_load, range(8), sorted(sent)))
        assert set(seen) <= sent
        assert self.make(tmp_path).load(ADA) in sent

    def test_the_folder_reveals_nothing(self, tmp_path: Path) -> None:
        canary = make_canary("refresh")
        entry = Entry("https://issuer.example/tenant", "canary-client", "canary-account")
        kernel = self.make(tmp_path)
        kernel.save(entry, f'{{"refresh_token": "{canary}"}}'.encode())
        kernel.use(entry)
        with kernel.refreshing(entry):
            assert scan([canary, entry.issuer, entry.client_id, entry.account], [tmp_path]) == []
        names = "\n".join(map(str, tmp_path.rglob("*")))
        assert [part for part in ("issuer.example", "canary-") if part in names] == []

    # ── the current account ─────────────────────────────────────────────────────────────────

    def test_the_account_used_last_is_current(self, tmp_path: Path) -> None:
        first, second = self.make(tmp_path), self.make(tmp_path)
        bob, elsewhere = OTHERS[0], OTHERS[2]
        for entry in (ADA, bob, elsewhere):
            first.save(entry, b"data")
        first.use(ADA)
        first.use(elsewhere)
        assert second.current(ADA.issuer, ADA.client_id) == ADA
        second.use(bob)
        assert first.current(ADA.issuer, ADA.client_id) == bob
        assert first.current(elsewhere.issuer, elsewhere.client_id) == elsewhere
        assert first.current("https://nowhere.example", ADA.client_id) is None
        first.clear(bob)
        assert second.current(ADA.issuer, ADA.client_id) is None
        second.use(bob)
        assert first.current(ADA.issuer, ADA.client_id) is None
        assert first.load(bob) is None

    # ── refreshing ──────────────────────────────────────────────────────────────────────────

    def test_only_one_kernel_refreshes_at_a_time(self, tmp_path: Path) -> None:
        inside: list[int] = []
        most: list[int] = []
        self.make(tmp_path).save(ADA, b"0")

        def count(_: int) -> None:
            kernel = self.make(tmp_path)
            for _ in range(5):
                with kernel.refreshing(ADA):
                    inside.append(1)
                    most.append(len(inside))
                    number = int(kernel.load(ADA) or b"")
                    kernel.save(ADA, str(number + 1).encode(), only_if_there=True)
                    inside.pop()

        with ThreadPoolExecutor(8) as threads:
            list(threads.map(count, range(8)))
        assert set(most) == {1}
        assert self.make(tmp_path).load(ADA) == b"40"

    def test_another_account_is_refreshed_meanwhile(self, tmp_path: Path) -> None:
        first, second = self.make(tmp_path), self.make(tmp_path)
        for entry in (ADA, OTHERS[0]):
            first.save(entry, b"data")
        with first.refreshing(ADA), in_a_thread(lambda: refresh(second, OTHERS[0])) as done:
            assert done.wait(self.patience)

    def test_a_failed_refresh_releases_the_lock(self, tmp_path: Path) -> None:
        first, second = self.make(tmp_path), self.make(tmp_path)
        first.save(ADA, b"data")
        try:
            with first.refreshing(ADA):
                raise RuntimeError("the provider is down")
        except RuntimeError:
            pass
        with in_a_thread(lambda: refresh(second, ADA)) as done:
            assert done.wait(self.patience)

    def test_clear_does_not_wait_for_a_refresh_and_lasts_after_it(self, tmp_path: Path) -> None:
        first, second = self.make(tmp_path), self.make(tmp_path)
        first.save(ADA, b"data")
        with first.refreshing(ADA):
            with in_a_thread(lambda: second.clear(ADA)) as done:
                assert done.wait(min(self.patience, 5))
            assert first.stamp(ADA) is None
            assert first.save(ADA, b"refreshed", only_if_there=True) is False
        assert second.load(ADA) is None

    def test_a_refreshing_process_holds_the_lock_until_it_dies(self, tmp_path: Path) -> None:
        kernel = self.make(tmp_path)
        kernel.save(ADA, b"data")
        entered = SPAWN.Event()
        with self._elsewhere("_refresh_for_ever", tmp_path, entered) as process:
            assert entered.wait(START)
            with in_a_thread(lambda: refresh(kernel, ADA)) as done:
                assert not done.wait(0.3)
                process.kill()
                process.join(self.patience)
                killed = time.monotonic()
                assert done.wait(self.patience)
                assert time.monotonic() - killed < 5

    # ── the whole store ─────────────────────────────────────────────────────────────────────

    def test_exists_creates_nothing(self, tmp_path: Path) -> None:
        folder = tmp_path / "looked-at"
        first, second = self.make(folder), self.make(folder)
        assert first.exists() is False
        assert not folder.exists() or list(folder.rglob("*")) == []
        second.save(ADA, b"data")
        assert [kernel.exists() for kernel in (first, second, self.make(folder))] == [True] * 3
        second.forget()
        assert [kernel.exists() for kernel in (first, second, self.make(folder))] == [False] * 3

    def test_reading_an_empty_store_creates_nothing(self, tmp_path: Path) -> None:
        folder = tmp_path / "looked-at"
        for look in _LOOKS:
            look(self.make(folder))
            assert not folder.exists() or list(folder.rglob("*")) == []
        self.make(folder).save(ADA, b"data")
        self.make(folder).clear(ADA)
        assert self.make(folder).exists() is False

    def test_opening_twice_changes_nothing(self, tmp_path: Path) -> None:
        kernel = self.make(tmp_path)
        kernel.open()
        kernel.save(ADA, b"data")
        kernel.open()
        assert kernel.load(ADA) == b"data"
        assert kernel.kept.split() == [kernel.kept]
        assert kernel.notices == []

    def test_hooks_are_called_for_each_access(self, tmp_path: Path) -> None:
        kernel = self.make(tmp_path)
        told: list[tuple[str, Entry, bool | None, int]] = []
        here = threading.get_ident()
        kernel.save(ADA, b"before there were hooks")
        kernel.before_access = lambda entry: told.append(
            ("before", entry, None, threading.get_ident())
        )
        kernel.after_access = lambda entry, changed: told.append(
            ("after", entry, changed, threading.get_ident())
        )
        kernel.load(ADA)
        kernel.save(ADA, b"data")
        kernel.save(OTHERS[0], b"data", only_if_there=True)
        kernel.clear(ADA)
        kernel.clear(ADA)
        accesses = [(ADA, False), (ADA, True), (OTHERS[0], False), (ADA, True), (ADA, False)]
        assert told == [
            one
            for entry, changed in accesses
            for one in (("before", entry, None, here), ("after", entry, changed, here))
        ]

    def test_forget_removes_everything(self, tmp_path: Path) -> None:
        folder = tmp_path / "forgotten"
        first, second = self.make(folder), self.make(folder)
        for entry in (ADA, *OTHERS):
            first.save(entry, b"data")
            first.use(entry)
        second.open()
        with second.refreshing(ADA):
            pass
        first.forget()
        assert not folder.exists() or list(folder.rglob("*")) == []
        assert second.load(ADA) is None
        assert second.save(ADA, b"refreshed", only_if_there=True) is False
        with second.refreshing(ADA):
            assert second.stamp(ADA) is None
        assert second.entries() == first.entries() == []
        second.save(ADA, b"signed in anew")
        for kernel in (first, second, self.make(folder)):
            assert kernel.load(ADA) == b"signed in anew"
        second.forget()
        second.forget()
        assert self.make(folder).load(ADA) is None

    def test_an_open_store_finds_entries_saved_after_forget(self, tmp_path: Path) -> None:
        first, second = self.make(tmp_path), self.make(tmp_path)
        others = [self.make(tmp_path) for _ in _FINDS]
        first.save(ADA, b"data")
        for kernel in (second, *others):
            assert kernel.load(ADA) == b"data"
        first.forget()
        second.save(ADA, b"signed in anew")
        second.use(ADA)
        for finds, kernel in zip(_FINDS, others, strict=True):
            assert finds(kernel)
        with ExitStack() as held:
            held.enter_context(second.refreshing(ADA))
            with in_a_thread(lambda: refresh(others[0], ADA)) as done:
                kept_out = not done.wait(0.3)
                held.close()
        assert kept_out, "both kernels must use the same lock"
        others[-1].clear(ADA)
        assert self.make(tmp_path).load(ADA) is None

    # ── other processes ─────────────────────────────────────────────────────────────────────

    def _save(self, folder: Path, data: bytes) -> None:
        self.make(folder).save(ADA, data)

    def _refresh_for_ever(self, folder: Path, entered: Event) -> None:
        with self.make(folder).refreshing(ADA):
            entered.set()
            threading.Event().wait()


_FINDS: tuple[Callable[[Persistence], object], ...] = (
    lambda kernel: kernel.load(ADA) == b"signed in anew",
    lambda kernel: kernel.stamp(ADA) is not None,
    lambda kernel: kernel.entries() == [ADA],
    lambda kernel: kernel.current(ADA.issuer, ADA.client_id) == ADA,
    lambda kernel: kernel.save(ADA, b"refreshed", only_if_there=True),
    lambda kernel: kernel.exists(),  # the last one also clears it, as its first access
)
_LOOKS: tuple[Callable[[Persistence], object], ...] = (
    lambda kernel: kernel.load(ADA),
    lambda kernel: kernel.stamp(ADA),
    lambda kernel: kernel.entries(),
    lambda kernel: kernel.current(ADA.issuer, ADA.client_id),
    lambda kernel: kernel.clear(ADA),
    lambda kernel: kernel.use(ADA),
    lambda kernel: kernel.save(ADA, b"late", only_if_there=True),
    lambda kernel: refresh(kernel, ADA),
)

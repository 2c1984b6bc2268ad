"""The part of the contract about a store as a whole: it exists, is opened, and is deleted.

Part of :class:`nbauth.testing.persistence.PersistenceContract`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from nbauth.persistence import Entry, Persistence
from nbauth.testing.undisturbed import (
    ADA,
    OTHERS,
    UndisturbedContract,
    in_a_thread,
    refresh,
)


class WholeStoreContract(UndisturbedContract):
    """Tests of these promises."""

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

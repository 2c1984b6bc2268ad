"""Persistences with one fault each, and the requirement of the contract that it violates."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nbauth.persistence import Ask, Entry
from nbauth.persistence.encrypted import EncryptedFolder
from nbauth.persistence.passphrase import PassphraseKey
from nbauth.persistence.sealed_files import SealedFiles


class Good(EncryptedFolder):
    """A correct persistence, the base of the others."""

    def __init__(self, folder: Path, ask: Ask = lambda prompt: "correct horse") -> None:
        super().__init__(folder, PassphraseKey(ask))


class SavesForItself(Good):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.memory: dict[Entry, bytes] = {}

    def save(self, entry: Entry, data: bytes, *, only_if_there: bool = False) -> bool:
        self.memory[entry] = data
        return True

    def load(self, entry: Entry) -> bytes | None:
        return self.memory.get(entry)


class SavesForItsProcess(SavesForItself):
    everything: dict[tuple[str, Entry], bytes] = {}  # noqa: RUF012

    def save(self, entry: Entry, data: bytes, *, only_if_there: bool = False) -> bool:
        self.everything[str(self._folder), entry] = data
        return True

    def load(self, entry: Entry) -> bytes | None:
        return self.everything.get((str(self._folder), entry))


class FindsWhatIsNotThere(Good):
    def load(self, entry: Entry) -> bytes | None:
        return super().load(entry) or b""


class MixesClients(Good):
    def save(self, entry: Entry, data: bytes, *, only_if_there: bool = False) -> bool:
        return super().save(_anywhere(entry), data, only_if_there=only_if_there)

    def load(self, entry: Entry) -> bytes | None:
        return super().load(_anywhere(entry))


def _anywhere(entry: Entry) -> Entry:
    return Entry("", "", entry.account)


class ClearsNothing(Good):
    def clear(self, entry: Entry) -> None:
        pass


class Resurrects(Good):
    def save(self, entry: Entry, data: bytes, *, only_if_there: bool = False) -> bool:
        return super().save(entry, data)


class StampsSizes(Good):
    def stamp(self, entry: Entry) -> object | None:
        return super().stamp(entry) and os.lstat(self._files_to_write().path(entry)).st_size


class WritesInPlace(Good):
    def save(self, entry: Entry, data: bytes, *, only_if_there: bool = False) -> bool:
        path = self._folder / "in-place"
        path.write_bytes(data[:10_000])
        time.sleep(0.02)
        with path.open("ab") as file:
            file.write(data[10_000:])
        return True

    def load(self, entry: Entry) -> bytes | None:
        return (self._folder / "in-place").read_bytes()


class Legible(Good):
    def save(self, entry: Entry, data: bytes, *, only_if_there: bool = False) -> bool:
        saved = super().save(entry, data)
        (self._folder / "backup").write_bytes(data)
        return saved


class KeepsNobodyCurrent(Good):
    def use(self, entry: Entry) -> None:
        pass


class LetsAllRefresh(Good):
    @contextlib.contextmanager
    def refreshing(self, entry: Entry) -> Iterator[None]:
        yield


class OneRefreshForAll(Good):
    def refreshing(self, entry: Entry) -> Any:
        return super().refreshing(Entry(entry.issuer, entry.client_id, "ada.tenant"))


class StaysLockedAfterErrors(Good):
    @contextlib.contextmanager
    def refreshing(self, entry: Entry) -> Iterator[None]:
        self.held = super().refreshing(entry)
        self.held.__enter__()
        yield
        self.held.__exit__(None, None, None)


class ClearingWaits(Good):
    def clear(self, entry: Entry) -> None:
        with self.refreshing(entry):
            super().clear(entry)


class LocksByExistence(Good):
    @contextlib.contextmanager
    def refreshing(self, entry: Entry) -> Iterator[None]:
        path = self._folder / "locked"
        for _ in range(300):  # not for ever: it would disturb the tests that follow
            with contextlib.suppress(FileExistsError):
                path.touch(exist_ok=False)
                break
            time.sleep(0.01)
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


class MakesWhatItLooksFor(Good):
    def exists(self) -> bool:
        self.open()
        return bool(self.entries())


class OpensToLook(Good):
    def load(self, entry: Entry) -> bytes | None:
        self.open()
        return super().load(entry)


class CallsHooksUnderALock(Good):
    def __init__(self, folder: Path, ask: Ask = lambda prompt: "correct horse") -> None:
        super().__init__(folder, ask)
        self.lock = threading.RLock()

    def save(self, entry: Entry, data: bytes, *, only_if_there: bool = False) -> bool:
        with self.lock:
            return super().save(entry, data, only_if_there=only_if_there)


class StaysLockedAfterInterrupts(Good):
    def __init__(self, folder: Path, ask: Ask = lambda prompt: "correct horse") -> None:
        super().__init__(folder, ask)
        self.lock = threading.Lock()

    def save(self, entry: Entry, data: bytes, *, only_if_there: bool = False) -> bool:
        self.lock.acquire()
        try:
            saved = super().save(entry, data, only_if_there=only_if_there)
        except Exception:
            self.lock.release()
            raise
        self.lock.release()
        return saved


class AsksUnderALock(Good):
    def __init__(self, folder: Path, ask: Ask = lambda prompt: "correct horse") -> None:
        super().__init__(folder, ask)
        self.lock = threading.Lock()

    def open(self) -> None:
        with self.lock:
            super().open()

    def stamp(self, entry: Entry) -> object | None:
        self.open()
        return super().stamp(entry)


class LocksThreadsOfAnyProcess(Good):
    lock = threading.RLock()

    def load(self, entry: Entry) -> bytes | None:
        with self.lock:
            return super().load(entry)

    @contextlib.contextmanager
    def refreshing(self, entry: Entry) -> Iterator[None]:
        with self.lock, super().refreshing(entry):
            yield


class EmptiesWhenOpened(Good):
    def open(self) -> None:
        for entry in self.entries():
            self.clear(entry)


class HidesAccesses(Good):
    @contextlib.contextmanager
    def _accessing(self, entry: Entry) -> Iterator[list[bool]]:
        yield []


class LeavesLocks(Good):
    def forget(self) -> None:
        super().forget()
        self._folder.mkdir()
        (self._folder / "lock").touch()


class StaysWithItsKey(Good):
    def _files_to_read(self, *, waits: bool = True) -> SealedFiles | None:
        return self._files or super()._files_to_read(waits=waits)


BROKEN = {
    "test_saved_data_can_be_loaded_by_the_next_kernel": SavesForItself,
    "test_saved_data_can_be_loaded_in_another_process": SavesForItsProcess,
    "test_an_empty_store_returns_nothing": FindsWhatIsNotThere,
    "test_entries_are_not_mixed": MixesClients,
    "test_a_cleared_entry_is_gone_for_all_kernels": ClearsNothing,
    "test_a_late_save_does_not_restore_a_cleared_entry": Resurrects,
    "test_the_stamp_changes_with_every_save": StampsSizes,
    "test_simultaneous_saves_do_not_mix_data": WritesInPlace,
    "test_the_folder_reveals_nothing": Legible,
    "test_the_account_used_last_is_current": KeepsNobodyCurrent,
    "test_only_one_kernel_refreshes_at_a_time": LetsAllRefresh,
    "test_another_account_is_refreshed_meanwhile": OneRefreshForAll,
    "test_a_failed_refresh_releases_the_lock": StaysLockedAfterErrors,
    "test_clear_does_not_wait_for_a_refresh_and_lasts_after_it": ClearingWaits,
    "test_a_refreshing_process_holds_the_lock_until_it_dies": LocksByExistence,
    "test_exists_creates_nothing": MakesWhatItLooksFor,
    "test_opening_twice_changes_nothing": EmptiesWhenOpened,
    "test_hooks_are_called_for_each_access": HidesAccesses,
    "test_reading_an_empty_store_creates_nothing": OpensToLook,
    "test_hooks_are_called_while_no_lock_is_held": CallsHooksUnderALock,
    "test_an_interrupt_leaves_nothing_locked": StaysLockedAfterInterrupts,
    "test_other_threads_do_not_wait_for_a_prompt": AsksUnderALock,
    "test_a_forked_child_can_use_the_store": LocksThreadsOfAnyProcess,
    "test_forget_removes_everything": LeavesLocks,
    "test_an_open_store_finds_entries_saved_after_forget": StaysWithItsKey,
}

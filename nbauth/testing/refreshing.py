"""The part of the contract about the lock that all kernels share during a refresh.

Part of :class:`nbauth.testing.persistence.PersistenceContract`.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.synchronize import Event
from pathlib import Path

from nbauth.testing.undisturbed import (
    ADA,
    OTHERS,
    SPAWN,
    START,
    UndisturbedContract,
    in_a_thread,
    refresh,
)


class RefreshingContract(UndisturbedContract):
    """Tests of these promises."""

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

    def _refresh_for_ever(self, folder: Path, entered: Event) -> None:
        with self.make(folder).refreshing(ADA):
            entered.set()
            threading.Event().wait()

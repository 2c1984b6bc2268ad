"""The contract of a persistence, as tests for the authors of plug-ins.

In a test module::

    from nbauth.testing.persistence import PersistenceContract

    class TestMine(PersistenceContract):
        def make(self, folder):
            return MyPersistence(folder)

pytest needs no other set-up. The tests start a few processes, which import your module.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from nbauth.persistence import Entry
from nbauth.testing.canary import make_canary, scan
from nbauth.testing.refreshing import RefreshingContract
from nbauth.testing.undisturbed import ADA, OTHERS, START
from nbauth.testing.whole_store import WholeStoreContract

__all__ = ["ADA", "OTHERS", "PersistenceContract"]


class PersistenceContract(RefreshingContract, WholeStoreContract):
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

    # ── other processes ─────────────────────────────────────────────────────────────────────

    def _save(self, folder: Path, data: bytes) -> None:
        self.make(folder).save(ADA, data)

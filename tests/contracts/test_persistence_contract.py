"""The persistence contract for every persistence, and faulty ones that it must detect."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import keyring
import pytest

from nbauth.persistence import Ask, Persistence, passphrase, persistence_named
from nbauth.testing.persistence import PersistenceContract
from tests.contracts.bad_persistences import BROKEN, Good
from tests.persistence.keyrings import Windows, Working, in_use

CHEAP = {"n": 2, "r": 8, "p": 1}


@pytest.fixture(autouse=True)
def cheap_passphrases_and_own_keyring(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(passphrase, "COSTS", CHEAP)
    monkeypatch.delenv("NBAUTH_PASSPHRASE", raising=False)
    with in_use(None):
        yield


class TestPassphrase(PersistenceContract):
    def make(self, folder: Path) -> Persistence:
        return persistence_named("file", folder=folder, ask=lambda prompt: "correct horse")

    def make_asking(self, folder: Path, ask: Ask) -> Persistence:
        return persistence_named("file", folder=folder, ask=ask)


class TestKeyring(PersistenceContract):
    def make(self, folder: Path) -> Persistence:
        keyring.set_keyring(Working(folder.parent / f"{folder.name}.keyring"))
        return persistence_named("keyring", folder=folder)


class TestWindowsKeyring(PersistenceContract):
    def make(self, folder: Path) -> Persistence:
        keyring.set_keyring(Windows(folder.parent / f"{folder.name}.keyring"))
        return persistence_named("keyring", folder=folder)


# ── the suite itself ────────────────────────────────────────────────────────────────────────


class Hasty(PersistenceContract):
    patience = 2.0
    persistence: type[Good]

    def make(self, folder: Path) -> Persistence:
        return self.persistence(folder)

    def make_asking(self, folder: Path, ask: Ask) -> Persistence:
        return self.persistence(folder, ask)


def contract_of(persistence: type[Good]) -> Hasty:
    contract = Hasty()
    contract.persistence = persistence
    return contract


def test_every_requirement_has_a_faulty_persistence() -> None:
    assert {name for name in dir(PersistenceContract) if name.startswith("test_")} == set(BROKEN)


@pytest.mark.long
@pytest.mark.parametrize("promise", BROKEN)
def test_a_faulty_persistence_fails_the_contract(promise: str, tmp_path: Path) -> None:
    getattr(contract_of(Good), promise)(tmp_path / "good")
    with pytest.raises((AssertionError, FileNotFoundError)):
        getattr(contract_of(BROKEN[promise]), promise)(tmp_path / "bad")

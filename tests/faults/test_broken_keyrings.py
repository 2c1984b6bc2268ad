"""S10: a keyring that is locked, hangs, dies or is missing is reported clearly and quickly."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from keyring.backend import KeyringBackend

from nbauth.core.errors import PersistenceError
from nbauth.persistence import persistence_named
from nbauth.persistence.system_keyring import SERVICE, USERNAME
from nbauth.testing.persistence import ADA
from tests.faults.conftest import Figure
from tests.persistence import keyrings
from tests.persistence.keyrings import Working, in_use


@pytest.mark.timing
@pytest.mark.parametrize(
    ("backend", "code", "words"),
    [
        (keyrings.Locked, "keyring_locked", "is locked"),
        (keyrings.ServiceDied, "keyring_dead", "keyring failed (InitError)"),
        (keyrings.BusDied, "keyring_dead", "keyring failed (FileNotFoundError)"),
        (keyrings.Hanging, "keyring_hangs", "does not respond"),
        (keyrings.HangsAtSet, "keyring_hangs", "does not respond"),
        (keyrings.IndexOnly, "no_keyring", "none of its backends can store secrets"),
    ],
)
def test_each_fault_is_reported(
    backend: type[KeyringBackend], code: str, words: str, tmp_path: Path, figure: Figure
) -> None:
    with in_use(backend()):
        kernel = persistence_named("keyring", folder=tmp_path / "kept")
        began = time.monotonic()
        with pytest.raises(PersistenceError) as raised:
            kernel.open()
        took = time.monotonic() - began
        assert raised.value.code == code
        assert words in str(raised.value)
        assert "memory" in raised.value.hint
        assert len(raised.value.lines()) == 2
        assert took < 4
    names = "locked, hanging (at reading, at writing), service or bus dead, storing nothing"
    figure("S10", f"keyring: {names}", "open", "each said in words in < 4 s")


def test_a_keyring_that_opens_later_is_used(tmp_path: Path) -> None:
    kernel = persistence_named("keyring", folder=tmp_path / "kept")
    with in_use(keyrings.Locked()), pytest.raises(PersistenceError):
        kernel.save(ADA, b"data")
    with in_use(Working(tmp_path / "keyring")):
        kernel.save(ADA, b"data")
    with in_use(keyrings.BusDied()):  # the keyring is not used again
        assert kernel.load(ADA) == b"data"
        with pytest.raises(PersistenceError, match="keyring failed"):
            kernel.forget()
    assert not (tmp_path / "kept").exists(), "all else is forgotten"


@pytest.mark.parametrize("strange", ["", "short", "!" * 44, "a" * 200, "ä"])
def test_an_entry_that_is_not_a_key_is_not_changed(strange: str, tmp_path: Path) -> None:
    backend = Working(tmp_path / "keyring")
    backend.set_password(SERVICE, USERNAME, strange)
    with in_use(backend):
        with pytest.raises(PersistenceError, match="is not a key of nbauth"):
            persistence_named("keyring", folder=tmp_path / "kept").open()
        assert backend.get_password(SERVICE, USERNAME) == strange


def test_a_key_that_is_temporarily_missing(tmp_path: Path) -> None:
    """Another keyring was open meanwhile: nothing in either is overwritten."""
    first, second = Working(tmp_path / "first"), Working(tmp_path / "second")
    folder = tmp_path / "kept"
    for backend, data in ((first, b"first's"), (second, b"second's")):
        with in_use(backend):
            kernel = persistence_named("keyring", folder=folder)
            assert kernel.load(ADA) is None
            kernel.save(ADA, data)
    for backend, data in ((first, b"first's"), (second, b"second's")):
        with in_use(backend):
            assert persistence_named("keyring", folder=folder).load(ADA) == data


def test_one_short_entry_for_any_amount_of_data(tmp_path: Path, figure: Figure) -> None:
    backend = keyrings.Windows(tmp_path / "keyring")
    keyrings.Windows.saved_as.clear()
    with in_use(backend):
        kernel = persistence_named("keyring", folder=tmp_path / "kept")
        for number in range(10):
            entry = type(ADA)(ADA.issuer, ADA.client_id, f"account {number}")
            kernel.save(entry, b"x" * 20_000)
        assert len(kernel.entries()) == 10
        ((name, key),) = backend.entries.items()
        assert len(key) == 44
        assert name == f"{USERNAME}@{SERVICE}"
        assert keyrings.Windows.saved_as == ["local machine"]
        assert backend.persist == "enterprise", "others use it as it was"
        kernel.forget()
        assert backend.entries == {}
    given = "10 accounts, 200 kB, a keyring of 1,280 characters"
    figure("S10", "Windows' limit and roaming (fake)", given, "1 entry of 44 characters, local")

"""The key in a real Secret Service: gnome-keyring, working and failing."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from nbauth.testing.canary import find, make_canary, scan
from nbauth.testing.persistence import ADA, OTHERS
from tests.harness.secret_service import SecretService, running_secret_service, without_any
from tests.persistence.kernel import Kernel, Refused, kernel

pytestmark = [
    pytest.mark.timing,  # a keyring that takes longer than 3 s counts as hanging
    pytest.mark.skipif(sys.platform != "linux", reason="Linux's keyrings alone"),
]


@pytest.fixture
def service() -> Iterator[SecretService]:
    with running_secret_service() as running:
        yield running


def refused(one: Kernel, method: str = "open") -> Refused:
    with pytest.raises(Refused) as raised:
        one(method)
    assert raised.value.seconds < 4
    return raised.value


def test_the_next_kernel_loads_what_the_last_one_saved(
    service: SecretService, tmp_path: Path
) -> None:
    folder = tmp_path / "kept"
    with kernel("keyring", folder, service.environment) as first:
        first("save", ADA, "a refresh token")
        first("use", ADA)
        first("save", OTHERS[0], "another's")
        first.process.kill()
    with kernel("keyring", folder, service.environment) as second:
        current = second("current", ADA.issuer, ADA.client_id)
        assert current["account"] == ADA.account
        assert second("load", ADA) == "a refresh token"
        assert len(second("entries")) == 2
        assert second("notices") == []


def test_it_is_still_there_after_the_next_log_in(service: SecretService, tmp_path: Path) -> None:
    with kernel("keyring", tmp_path / "kept", service.environment) as first:
        first("save", ADA, "a refresh token")
    service.stop()
    service.start_bus()
    service.unlock()
    with kernel("keyring", tmp_path / "kept", service.environment) as second:
        assert second("load", ADA) == "a refresh token"


def test_two_processes_that_open_at_once_create_one_key(
    service: SecretService, tmp_path: Path
) -> None:
    folder = tmp_path / "kept"
    with (
        kernel("keyring", folder, service.environment) as first,
        kernel("keyring", folder, service.environment) as second,
    ):
        for one in (first, second):
            assert one.process.stdin is not None
            one.process.stdin.write('["open"]\n')
            one.process.stdin.flush()
        for one in (first, second):
            assert one.process.stdout is not None
            assert '"gave": null' in one.process.stdout.readline()
        first("save", ADA, "a refresh token")
        assert second("load", ADA) == "a refresh token"


def test_no_canary_is_in_the_files_or_the_keyring(service: SecretService, tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    canary = make_canary("refresh")
    with kernel("keyring", folder, service.environment) as one:
        one("save", ADA, f'{{"refresh_token": "{canary}", "name": "Ada Lovelace"}}')
        one("use", ADA)
        assert one("load", ADA).count(canary) == 1
        dumped = read_item(service)
    secrets = [canary, "Ada Lovelace", ADA.issuer, ADA.account, ADA.client_id]
    assert scan(secrets, [folder, service.file]) == []
    assert [secret for secret in secrets if find(secret, dumped)] == []
    attributes, _, secret = dumped.partition("\n")
    assert "nbauth" in attributes
    assert len(secret) < 100
    assert scan([secret], [folder]) == []


def read_item(service: SecretService) -> str:
    """The one entry, as any client reads it: attributes, a new line, the secret."""
    script = (
        "import secretstorage\n"
        "items = list(secretstorage.get_default_collection(secretstorage.dbus_init())"
        ".get_all_items())\n"
        "(item,) = items\n"
        "print(item.get_label(), item.get_attributes(), end='\\n')\n"
        "print(item.get_secret().decode(), end='')"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=service.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_forgetting_leaves_no_entry(service: SecretService, tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    with kernel("keyring", folder, service.environment) as one:
        one("save", ADA, "a refresh token")
        one("forget")
        assert not folder.exists()
        one("save", ADA, "signed in anew")
        read_item(service)
        one("forget")
    with pytest.raises(Exception, match="non-zero exit status"):  # there is no item
        read_item(service)


def test_a_locked_keyring_is_an_error_until_it_is_unlocked(
    service: SecretService, tmp_path: Path
) -> None:
    folder = tmp_path / "kept"
    with kernel("keyring", folder, service.environment) as first:
        first("save", ADA, "a refresh token")
    service.kill_service()
    service.start_locked()
    with kernel("keyring", folder, service.environment) as second:
        error = refused(second)
        assert error.code == "keyring_locked"
        assert "locked" in str(error)
        service.kill_service()
        service.unlock()
        assert second("load", ADA) == "a refresh token"


def test_a_service_that_dies_meanwhile_loses_no_sign_in(
    service: SecretService, tmp_path: Path
) -> None:
    folder = tmp_path / "kept"
    environment = service.environment
    with kernel("keyring", folder, environment) as old, kernel("keyring", folder, environment):
        old("save", ADA, "a refresh token")
        service.kill_service()
        assert old("load", ADA) == "a refresh token"  # it has the key
        assert old("save", ADA, "the next one") is True
        with kernel("keyring", folder, environment) as new:
            assert refused(new).code == "no_keyring"
        service.unlock()
        with kernel("keyring", folder, environment) as new:
            assert new("load", ADA) == "the next one"


@pytest.mark.parametrize("what", ["service", "bus"])
def test_a_service_or_bus_that_died_before_is_an_error(
    what: str, service: SecretService, tmp_path: Path
) -> None:
    folder = tmp_path / "kept"
    with kernel("keyring", folder, service.environment) as one:
        one("open")
        one("forget")
        getattr(service, f"kill_{what}")()
        error = refused(one)
        assert error.code == "keyring_dead"
        assert "keyring failed" in str(error)
        assert not folder.exists()


def test_a_missing_bus_is_an_error(tmp_path: Path) -> None:
    with kernel("keyring", tmp_path / "kept", without_any(tmp_path)) as one:
        error = refused(one)
        assert error.code == "no_keyring"
        assert "no keyring is installed on this system" in str(error)
        assert not (tmp_path / "kept").exists()
        one("forget")

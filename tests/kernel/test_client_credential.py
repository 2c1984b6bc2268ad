"""Where and when a client's secret is read, and the error if it is missing."""

from __future__ import annotations

import copy
import pickle
import threading
from pathlib import Path
from typing import Any

import pytest

from nbauth.core.errors import ConfigurationError
from nbauth.core.settings import Settings
from nbauth.kernel.client_credential import secret_of
from nbauth.oauth.client import Client, Engines
from tests.kernel.conftest import until
from tests.persistence.keyrings import (
    BusDied,
    Hanging,
    Locked,
    PlaintextKeyring,
    Working,
    in_use,
)

SECRET = "wJalrXUtnFEMI-K7MDENG"


def settings(source: str | None, profile: str = "work") -> Settings:
    return Settings(
        profile=profile,
        authority="https://id.example",
        client_id="notebooks",
        client_secret_from=source,
    )


def test_the_variable_is_not_used_unless_the_profile_names_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The variable may hold another profile's secret."""
    monkeypatch.setenv("NBAUTH_CLIENT_SECRET", SECRET)
    assert secret_of(settings(None)) is None


def test_from_the_environment_when_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NBAUTH_CLIENT_SECRET", raising=False)
    read = secret_of(settings("environment"))
    assert read is not None
    with pytest.raises(ConfigurationError) as missing:
        read()
    assert missing.value.code == "no_client_secret"
    assert "NBAUTH_CLIENT_SECRET" in (missing.value.hint or "")
    monkeypatch.setenv("NBAUTH_CLIENT_SECRET", SECRET)
    secret = read()
    assert (str(secret), SECRET in repr(secret)) == (SECRET, False)
    with pytest.raises(TypeError):
        pickle.dumps(secret)
    assert copy.copy(secret) is secret


@pytest.mark.parametrize("profile", ["default", "work"])
def test_from_the_keyring_by_profile_and_client(tmp_path: Path, profile: str) -> None:
    backend = Working(tmp_path / "keyring.json")
    read = secret_of(settings("keyring", profile))
    assert read is not None
    assert backend.asked == []
    with in_use(backend):
        with pytest.raises(ConfigurationError) as missing:
            read()
        assert f"keyring set nbauth:{profile} notebooks" in (missing.value.hint or "")
        backend.set_password(f"nbauth:{profile}", "notebooks", SECRET)
        backend.set_password("nbauth:other", "notebooks", "another")
        backend.set_password(f"nbauth:{profile}", "another", "another")
        assert read() == SECRET


@pytest.mark.parametrize("backend", [Locked, BusDied, PlaintextKeyring])
def test_a_keyring_without_the_secret_is_an_error(tmp_path: Path, backend: Any) -> None:
    made = backend(tmp_path / "k.json") if issubclass(backend, Working) else backend()
    read = secret_of(settings("keyring"))
    assert read is not None
    with in_use(made), pytest.raises(ConfigurationError) as fault:
        read()
    assert fault.value.code == "no_client_secret"
    assert "NBAUTH_CLIENT_SECRET" in (fault.value.hint or "")


def test_a_hanging_keyring_is_abandoned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nbauth.persistence.system_keyring._PATIENCE_TO_READ", 0.1)
    read = secret_of(settings("keyring"))
    assert read is not None
    with in_use(Hanging()), pytest.raises(ConfigurationError, match="does not respond"):
        read()
    until(lambda: not any(one.name == "nbauth-keyring" for one in threading.enumerate()))


def test_another_secret_or_endpoint_makes_another_engine() -> None:
    """Otherwise a change of the profile would only take effect in the next kernel."""
    made: list[dict[str, Any]] = []

    def make(authority: Any, client_id: str, **way: Any) -> Any:
        made.append({"authority": authority, **way})
        return object()

    engines = Engines(make, secret_of)
    own: dict[str, Any] = {"authority": "https://id.example", "client_id": "notebooks"}
    ways: list[dict[str, Any]] = [
        {},
        {"client_secret_from": "environment"},
        {"client_secret_from": "keyring"},
        {"client_secret_from": "keyring", "profile": "other"},
        {"metadata_url": "https://id.example/meta"},
        {"token_endpoint": "https://id.example/token"},
    ]
    clients = [Client.from_settings(Settings(**own, **way)) for way in ways]
    assert len({id(engines.of(client)) for client in clients}) == len(ways)
    assert len({client.key for client in clients}) == 1
    assert ["credential" in one for one in made] == [False, True, True, True, False, False]
    assert engines.of(clients[1]) is engines.of(clients[1])

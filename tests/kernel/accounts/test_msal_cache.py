"""A plain MSAL cache, written by MSAL itself, is imported as stored sign-ins."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import msal
import pytest

from nbauth.core.errors import ConfigurationError, PersistenceError
from nbauth.kernel.accounts.msal_cache import read_file
from tests.kernel.conftest import Bench

TENANT = "11111111-2222-3333-4444-555555555555"
AUTHORITY = f"https://login.microsoftonline.com/{TENANT}"
OURS, ANOTHER = "our-application", "another-application"


def written(path: Path, *signed_in: tuple[str, str]) -> Path:
    """Write what MSAL's own cache class writes after these (client_id, user) have signed in."""
    cache = msal.SerializableTokenCache()
    for client_id, user in signed_in:
        claims = {"oid": f"oid-{user}", "tid": TENANT, "name": user.title(), "sub": user,
                  "preferred_username": f"{user}@contoso.com", "aud": client_id}  # fmt: skip
        body = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
        info = json.dumps({"uid": f"oid-{user}", "utid": TENANT}).encode()
        cache.add(
            {
                "client_id": client_id,
                "scope": ["https://graph.microsoft.com/User.Read"],
                "token_endpoint": f"{AUTHORITY}/oauth2/v2.0/token",
                "response": {
                    "access_token": f"an access token of {user}",
                    "refresh_token": f"refresh-{user}-0",
                    "expires_in": 3600,
                    "token_type": "Bearer",
                    "id_token": f"e30.{body}.",
                    "client_info": base64.urlsafe_b64encode(info).decode().rstrip("="),
                },
            }
        )
    path.write_text(cache.serialize(), "utf-8")
    return path


@pytest.fixture
def bench(bench: Bench) -> Bench:
    bench.environ.update(NBAUTH_AUTHORITY=AUTHORITY, NBAUTH_CLIENT_ID=OURS)
    return bench


def test_the_accounts_of_the_client_are_read(bench: Bench, tmp_path: Path) -> None:
    file = written(tmp_path / "cache.json", (OURS, "ada"), (ANOTHER, "bob"), (OURS, "eve"))
    found = read_file(file, bench.session.client())
    ada, eve = found.accounts.values()
    assert (ada.account.username, ada.account.name) == ("ada@contoso.com", "Ada")
    assert ada.account.home_account_id == f"oid-ada.{TENANT}"
    assert ada.account.tenant_id == TENANT
    assert eve.account.username == "eve@contoso.com"
    assert found.others == (ANOTHER,)
    assert "refresh-ada" not in repr(found)


def test_accounts_of_another_cloud_are_not_read(bench: Bench, tmp_path: Path) -> None:
    bench.environ["NBAUTH_AUTHORITY"] = f"https://login.microsoftonline.us/{TENANT}"
    found = read_file(written(tmp_path / "c.json", (OURS, "ada")), bench.session.client())
    assert (found.accounts, found.others) == ({}, ())


def test_an_imported_sign_in_is_refreshed_at_first_use(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.kernel.accounts.shelf import Shelf

    shelf = Shelf()
    monkeypatch.setattr("nbauth.persistence.persistence_named", shelf.named)
    file = written(tmp_path / "cache.json", (OURS, "ada"))
    before = file.read_bytes()
    bench.session.import_cache(file, persist="keyring")
    assert file.read_bytes() == before
    assert len(shelf.kept_records) == 1
    key = (bench.session.client().authority.url, OURS)
    engine = bench._engine_for(bench.session.client().authority, OURS)
    engine.live["refresh-ada-0"] = "ada"
    assert key in bench.engines
    result = bench.session.acquire("User.Read", persist="keyring")
    assert result.source == "refresh"
    assert result.account.username == "ada@contoso.com"


def test_nothing_is_imported_into_memory(bench: Bench, tmp_path: Path) -> None:
    with pytest.raises(PersistenceError, match="Nothing was imported"):
        bench.session.import_cache(written(tmp_path / "c.json", (OURS, "ada")))


@pytest.mark.parametrize(
    "content", ["", "null", "[]", "{", '{"RefreshToken": []}', "\x00", "DPAPI…"]
)
def test_a_file_that_is_no_msal_cache_is_reported(
    bench: Bench, tmp_path: Path, content: str
) -> None:
    file = tmp_path / "cache.json"
    file.write_text(content, "utf-8")
    with pytest.raises(ConfigurationError) as caught:
        read_file(file, bench.session.client())
    assert caught.value.code == "bad_cache_file"
    with pytest.raises(ConfigurationError):
        read_file(tmp_path / "nowhere.json", bench.session.client())


@pytest.mark.parametrize(
    "record",
    [7, {}, {"environment": "login.microsoftonline.com"}, {"secret": None, "client_id": OURS}],
)
def test_invalid_records_are_skipped(bench: Bench, tmp_path: Path, record: Any) -> None:
    file = written(tmp_path / "cache.json", (OURS, "ada"))
    cache = json.loads(file.read_text("utf-8"))
    cache["RefreshToken"]["odd"] = record
    cache["Account"]["odd"] = record
    file.write_text(json.dumps(cache), "utf-8")
    assert len(read_file(file, bench.session.client()).accounts) == 1

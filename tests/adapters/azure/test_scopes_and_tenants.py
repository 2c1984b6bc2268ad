"""For which scopes and tenants a credential gives tokens."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import nbauth
from nbauth.core.errors import ConfigurationError
from tests.adapters.azure.entra import CLIENT, OTHER_TENANT, TENANT, EntraBench
from tests.kernel.conftest import Bench

GRAPH = "https://graph.microsoft.com"
STORAGE = "https://storage.azure.com"
ARM = "https://management.azure.com"

NARROWED: list[tuple[tuple[str, ...], tuple[str, ...], str]] = [
    # the credential's own scopes, what a library requests, the scopes of the token
    ((), (f"{STORAGE}/.default",), f"{STORAGE}/.default"),
    ((), ("User.Read",), f"{GRAPH}/User.Read"),
    ((), (), f"{GRAPH}/User.Read"),
    (("User.Read",), (f"{GRAPH}/.default",), f"{GRAPH}/User.Read"),
    (("User.Read",), (f"{GRAPH}/User.Read",), f"{GRAPH}/User.Read"),
    (("User.Read",), ("user.read",), f"{GRAPH}/user.read"),
    (("User.Read",), (), f"{GRAPH}/User.Read"),
    (("User.Read", "Mail.Read"), ("Mail.Read",), f"{GRAPH}/Mail.Read"),
    (("User.Read", "Mail.Read"), (f"{GRAPH}/.default",), f"{GRAPH}/User.Read {GRAPH}/Mail.Read"),
    ((f"{GRAPH}/.default",), ("Mail.Send",), f"{GRAPH}/Mail.Send"),
    ((f"{STORAGE}/user_impersonation",), (f"{STORAGE}/.default",), f"{STORAGE}/user_impersonation"),
    ((f"{STORAGE}/.default",), (f"{STORAGE}/.default",), f"{STORAGE}/.default"),
    # Azure Resource Manager's own resource ends with a slash
    ((f"{ARM}/.default",), (f"{ARM}//.default",), f"{ARM}//.default"),
    ((f"{ARM}//.default",), (f"{ARM}/.default",), f"{ARM}/.default"),
    ((f"{ARM}//user_impersonation",), (f"{ARM}/.default",), f"{ARM}//user_impersonation"),
]
REFUSED: list[tuple[tuple[str, ...], tuple[str, ...]]] = [
    (("User.Read",), (f"{STORAGE}/.default",)),
    (("User.Read",), ("Mail.Read",)),
    (("User.Read",), ("User.Read", "Mail.Read")),
    ((f"{STORAGE}/.default",), (f"{GRAPH}/.default",)),
    ((f"{STORAGE}/.default",), ("User.Read",)),
    ((f"{STORAGE}/.default",), ("https://storage.azure.com.evil.example/.default",)),
    ((f"{STORAGE}/.default",), ("http://storage.azure.com/.default",)),
    ((f"{STORAGE}/.default",), (f"{STORAGE}/evil/.default",)),
]
INVALID: list[tuple[str, ...]] = [
    ("User.Read", f"{STORAGE}/.default"),
    (STORAGE,),
    (f"{STORAGE}/",),
    ('"',),
]


@pytest.mark.parametrize(("own", "asked", "given"), NARROWED)
def test_scopes_of_the_token(
    bench: EntraBench, own: tuple[str, ...], asked: tuple[str, ...], given: str
) -> None:
    bench.sign_in("Files.Read")
    token = nbauth.credential(*own).get_token(*asked).token
    assert " ".join(bench.entra.issued[token].scopes) == given


@pytest.mark.parametrize(("own", "asked"), REFUSED)
def test_scopes_that_are_not_the_credentials_own(
    bench: EntraBench, own: tuple[str, ...], asked: tuple[str, ...]
) -> None:
    bench.sign_in("Files.Read")
    made = nbauth.credential(*own)
    for call in (made.get_token, made.get_token_info):
        with pytest.raises(ConfigurationError) as refused:
            call(*asked)
        assert refused.value.code == "other_scopes"
        assert f"nbauth.credential({asked[0]!r}" in refused.value.hint
    assert bench.refreshes == 0


@pytest.mark.parametrize("asked", INVALID)
def test_scopes_that_are_none(bench: EntraBench, asked: tuple[str, ...]) -> None:
    bench.sign_in("Files.Read")
    with pytest.raises(ConfigurationError):
        nbauth.credential().get_token(*asked)
    with pytest.raises(ConfigurationError):
        nbauth.credential(*asked)
    assert bench.refreshes == 0


@pytest.mark.parametrize("asked", [("read",), (f"{STORAGE}/.default",), ()])
def test_scopes_of_libraries_mean_nothing_at_another_issuer(
    bench: EntraBench, clock: Any, monkeypatch: pytest.MonkeyPatch, asked: tuple[str, ...]
) -> None:
    elsewhere = Bench(clock)
    monkeypatch.setattr(nbauth.process_session, "_session", elsewhere.session)
    elsewhere.sign_in("read")
    token = nbauth.credential("read").get_token(*asked).token
    assert token == str(nbauth.acquire("read").access_token)
    elsewhere.session.rest()


@pytest.mark.parametrize(
    "tenant", [TENANT, TENANT.upper(), "", None, "contoso.com", "common", "organizations"]
)
def test_the_accounts_tenant(bench: EntraBench, tenant: str | None) -> None:
    bench.sign_in("User.Read")
    made = nbauth.credential()
    assert made.get_token("User.Read", tenant_id=tenant).token == bench.entra.newest


@pytest.mark.parametrize("authority", [TENANT, "organizations", "contoso.com"])
def test_another_tenant(bench: EntraBench, authority: str) -> None:
    bench.environ["NBAUTH_TENANT"] = authority
    bench.entra.tenant = TENANT  # the ID token says which one it is
    bench.sign_in("User.Read")
    made = nbauth.credential()
    asked = {"tenant_id": OTHER_TENANT}
    calls = (
        lambda: made.get_token("User.Read", **asked),
        lambda: made.get_token_info("User.Read", options=asked),
        lambda: asyncio.run(made.aio.get_token("User.Read", **asked)),
        lambda: asyncio.run(made.aio.get_token_info("User.Read", options=asked)),
    )
    for call in calls:
        with pytest.raises(ConfigurationError) as refused:
            call()
        assert refused.value.code == "other_tenant"
        assert f"%login --tenant {OTHER_TENANT}" in refused.value.hint
        assert TENANT in str(refused.value)


@pytest.mark.parametrize("authority", ["organizations", "contoso.com"])
def test_a_tenant_that_nobody_knows(bench: EntraBench, authority: str) -> None:
    """The service decides then. A domain and a GUID may name one tenant."""
    bench.environ["NBAUTH_TENANT"] = authority
    bench.entra.tenant = ""
    bench.sign_in("User.Read")
    assert nbauth.credential().get_token("User.Read", tenant_id=OTHER_TENANT)


def test_a_guest_in_another_tenant(bench: EntraBench) -> None:
    """As the hint of the error says."""
    bench.sign_in("User.Read")
    bench.sign_in("User.Read", tenant=OTHER_TENANT)
    guest = nbauth.credential(tenant=OTHER_TENANT)
    engine = bench.engines[f"https://login.microsoftonline.com/{OTHER_TENANT}", CLIENT]
    token = guest.get_token("User.Read", tenant_id=OTHER_TENANT).token
    assert engine.accepts(token)  # type: ignore[attr-defined]
    assert not bench.entra.accepts(token)
    with pytest.raises(ConfigurationError, match=OTHER_TENANT):
        guest.get_token("User.Read", tenant_id=TENANT)
    assert nbauth.credential().get_token("User.Read", tenant_id=TENANT).token != token

"""A client with a secret, at a real provider that requires it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from nbauth.core.errors import ConfigurationError, NbAuthError
from nbauth.kernel.session import Session
from nbauth.kernel.sign_in.attempt import SignIn
from tests.harness.panva import Panva
from tests.interop.peers import assert_plain, device_shown, new_session, our_threads, until
from tests.interop.scripted_browser import ScriptedBrowser


@pytest.fixture(params=["basic", "post"])
def issuer(request: pytest.FixtureRequest, panva: Panva) -> str:
    """``post``: expected by the issuer whose address looks like Microsoft's. That one needs a
    metadata_url, since its address alone selects MSAL."""
    return panva.issuer if request.param == "basic" else panva.ms_issuer


@pytest.fixture
def settings(issuer: str, panva: Panva) -> dict[str, Any]:
    made: dict[str, Any] = {
        "authority": issuer,
        "client_id": panva.confidential_client_id,
        "client_secret_from": "environment",
        "verify": panva.ca_file,
    }
    if issuer == panva.ms_issuer:
        made["metadata_url"] = f"{issuer}/.well-known/openid-configuration"
    return made


@pytest.fixture
def session(settings: dict[str, Any]) -> Iterator[Session]:
    made = new_session(**settings)
    yield made
    for pending in made.pending():
        pending.cancel()
    until(lambda: not our_threads(), 2)


@pytest.mark.parametrize("flow", ["browser", "device"])
def test_every_request_of_a_sign_in_sends_it(
    session: Session,
    panva: Panva,
    scripted: ScriptedBrowser,
    monkeypatch: pytest.MonkeyPatch,
    flow: str,
) -> None:
    monkeypatch.setenv("NBAUTH_CLIENT_SECRET", panva.client_secret)
    if flow == "browser":
        session.login("openid", web_ui=scripted)
    else:
        sign_in = session.login("openid", flow="device", background=True)
        assert isinstance(sign_in, SignIn)
        scripted.approve(*device_shown(sign_in))
        sign_in.wait(15)
    (account,) = session.accounts()
    before = session.acquire("openid")
    after = session.acquire("openid", force_refresh=True)
    assert (before.source, after.source) == ("cache", "refresh")
    assert str(before.access_token) != str(after.access_token)
    session.logout(account, revoke=True)
    assert len(panva.requests("revocation")) == 1
    told = repr((session.settings(), session.client(), session.screen.said, panva.requests()))
    assert panva.client_secret not in told


@pytest.mark.parametrize("value", [None, "wrong"])
def test_a_missing_or_wrong_secret_is_reported(
    session: Session,
    panva: Panva,
    scripted: ScriptedBrowser,
    monkeypatch: pytest.MonkeyPatch,
    value: str | None,
) -> None:
    monkeypatch.delenv("NBAUTH_CLIENT_SECRET", raising=False)
    if value:
        monkeypatch.setenv("NBAUTH_CLIENT_SECRET", value)
    with pytest.raises(NbAuthError) as refused:
        session.login("openid", web_ui=scripted)
    assert_plain(refused.value)
    assert refused.value.code == ("invalid_client" if value else "no_client_secret")
    assert isinstance(refused.value, ConfigurationError)
    assert len(panva.requests("authorization")) == bool(value), "the browser is not opened"

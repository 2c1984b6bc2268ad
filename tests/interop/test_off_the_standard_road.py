"""Sign-ins at providers that need their own settings, as those document them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from nbauth.core.account import Account
from nbauth.core.errors import InteractionRequired, NbAuthError
from nbauth.jupyter.places.doctor import parts
from nbauth.kernel.session import Session
from nbauth.kernel.sign_in.attempt import SignIn
from tests.harness.certificates import Certificates
from tests.interop.documented import (
    CLIENT_ID,
    CLIENT_SECRET,
    Documented,
    GitHub,
    Google,
    followed,
    serving,
)
from tests.interop.peers import assert_plain, device_shown, new_session, our_threads, until

SCHEMES = ("https", "http")
FLOWS = ("browser", "device")


@pytest.fixture(params=SCHEMES)
def google(request: pytest.FixtureRequest, certificates: Certificates) -> Iterator[Google]:
    with serving(Google, certificates if request.param == "https" else None) as made:
        yield made


@pytest.fixture(params=SCHEMES)
def github(request: pytest.FixtureRequest, certificates: Certificates) -> Iterator[GitHub]:
    with serving(GitHub, certificates if request.param == "https" else None) as made:
        yield made


@pytest.fixture
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NBAUTH_CLIENT_SECRET", CLIENT_SECRET)


@pytest.fixture
def sessions(certificates: Certificates) -> Iterator[list[Session]]:
    made: list[Session] = []
    yield made
    for session in made:
        for pending in session.pending():
            pending.cancel()
    until(lambda: not our_threads(), 2)


def session_at(sessions: list[Session], certificates: Certificates, **settings: Any) -> Session:
    common = {"client_id": CLIENT_ID, "verify": str(certificates.ca_file)}
    sessions.append(new_session(**common, **settings))
    return sessions[-1]


def sign_in(
    session: Session, provider: Documented, certificates: Certificates, flow: str, *scopes: str
) -> Account:
    if flow == "browser":
        account = session.login(*scopes, web_ui=followed(str(certificates.ca_file)))
        assert isinstance(account, Account)
        return account
    pending = session.login(*scopes, flow="device", background=True)
    assert isinstance(pending, SignIn)
    address, _ = device_shown(pending)
    assert address.startswith(provider.url)
    provider.approve()
    return pending.wait(15)


# ── Google ──────────────────────────────────────────────────────────────────────────────────


def at_google(google: Google) -> dict[str, Any]:
    return {
        "authority": google.url,
        "client_secret_from": "environment",
        "extra_parameters": {"access_type": "offline", "prompt": "consent"},
    }


@pytest.mark.parametrize("flow", FLOWS)
def test_google(
    google: Google, certificates: Certificates, sessions: list[Session], secret: None, flow: str
) -> None:
    session = session_at(sessions, certificates, **at_google(google))
    account = sign_in(session, google, certificates, flow, Google.DRIVE)
    assert (account.username, account.name) == ("ada@example.org", "Ada Lovelace")
    first = session.acquire(Google.DRIVE)
    second = session.acquire(Google.DRIVE, force_refresh=True)
    assert (first.source, second.source) == ("cache", "refresh")
    assert str(first.access_token) != str(second.access_token)
    assert google.methods == {"basic"}
    session.logout(account, revoke=True)
    assert len(google.to("/revoke")) == 1
    assert google.grants == {}


@pytest.mark.parametrize("flow", FLOWS)
def test_google_reports_a_missing_secret(
    google: Google, certificates: Certificates, sessions: list[Session], flow: str
) -> None:
    session = session_at(sessions, certificates, authority=google.url)
    with pytest.raises(NbAuthError, match="client_secret is missing") as refused:
        sign_in(session, google, certificates, flow, Google.DRIVE)
    assert_plain(refused.value)


# ── GitHub ──────────────────────────────────────────────────────────────────────────────────


def at_github(github: GitHub) -> dict[str, Any]:
    return {
        **github.settings(),
        "client_secret_from": "environment",
        "scopes": ("read:user", "gist"),
    }


@pytest.mark.parametrize("flow", FLOWS)
def test_github(
    github: GitHub, certificates: Certificates, sessions: list[Session], secret: None, flow: str
) -> None:
    session = session_at(sessions, certificates, **at_github(github))
    account = sign_in(session, github, certificates, flow)
    assert (account.username, account.home_account_id) == ("octocat", "583231")
    first = session.acquire()
    assert sorted(first.scopes) == ["gist", "read:user"]
    for _ in range(2):  # rotation
        assert session.acquire(force_refresh=True).source == "refresh"
    assert session.acquire("gist", interactive=False).source == "cache"
    asked = {one.fields.get("scope") for one in github.asked} - {None}
    assert asked == {"read:user gist"}
    assert "basic" not in github.methods
    session.logout(account, revoke=True)
    assert session.accounts() == []


def test_github_by_device_code_without_a_secret(
    github: GitHub, certificates: Certificates, sessions: list[Session]
) -> None:
    settings = {**at_github(github), "client_secret_from": None}
    session = session_at(sessions, certificates, **settings)
    assert sign_in(session, github, certificates, "device").username == "octocat"


def test_github_revokes_a_grant(
    github: GitHub, certificates: Certificates, sessions: list[Session], secret: None
) -> None:
    session = session_at(sessions, certificates, **at_github(github))
    sign_in(session, github, certificates, "browser")
    github.grants.clear()
    with pytest.raises(InteractionRequired):
        session.acquire(force_refresh=True, interactive=False)


def test_a_sign_in_at_github_is_stored(
    github: GitHub,
    certificates: Certificates,
    sessions: list[Session],
    secret: None,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Any,
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setenv("NBAUTH_PASSPHRASE", "correct horse battery staple")
    settings = {**at_github(github), "persist": "file"}
    session = session_at(sessions, certificates, **settings)
    sign_in(session, github, certificates, "browser")
    session.rest()
    begun = len(github.to("/login/oauth/authorize"))
    later = session_at(sessions, certificates, **settings)
    result = later.acquire("gist", interactive=False)
    assert result.account.username == "octocat"
    assert str(result.access_token) in github.access
    assert later.acquire("gist", force_refresh=True, interactive=False).source == "refresh"
    assert len(github.to("/login/oauth/authorize")) == begun
    later.rest()


@pytest.mark.parametrize("flow", FLOWS)
def test_no_secret_is_logged_or_stored(
    github: GitHub,
    certificates: Certificates,
    sessions: list[Session],
    secret: None,
    flow: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("DEBUG", "nbauth")
    session = session_at(sessions, certificates, **at_github(github))
    sign_in(session, github, certificates, flow)
    session.acquire(force_refresh=True)
    engines = [vars(one) for one in session._engines._engines.values()]
    told = caplog.text + repr((session.settings(), session.client(), engines))
    assert CLIENT_SECRET not in told


def test_the_doctor_for_a_provider_without_metadata(
    github: GitHub, certificates: Certificates, sessions: list[Session], secret: None
) -> None:
    session = session_at(sessions, certificates, **at_github(github))
    here, there = parts(session, {}, ask=True)
    assert (here.trouble, there.trouble) == ((), ())
    said = " ".join(" ".join(there.lines).split())
    assert "metadata: none; the endpoints are in the profile" in said
    assert "scopes sent read:user gist grants offered not known: the metadata does not" in said
    assert "flows offered browser, callback, paste, device" in said
    assert CLIENT_SECRET not in said

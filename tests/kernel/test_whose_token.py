"""Calls that name no account: service identities and people are not mixed up."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from nbauth.core.account import Account
from nbauth.core.errors import InteractionRequired, NotSignedIn, TokenError
from nbauth.core.settings_reader import SettingsReader
from nbauth.kernel.session import Session
from nbauth.testing.engine import FakeEngine
from tests.kernel.conftest import Bench, at_once, in_a_thread, redirect, until

TENANT = "00000000-0000-0000-0000-000000000001"
AUTHORITY = f"https://login.microsoftonline.com/{TENANT}"
APPLICATION = {"AZURE_TENANT_ID": TENANT, "AZURE_CLIENT_ID": "job", "AZURE_CLIENT_SECRET": "s3"}
VAULT = "https://vault.azure.net/.default"


@pytest.fixture
def engine(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    """The engine of a profile at Entra; a person is there, and variables name an application."""
    bench.environ["NBAUTH_AUTHORITY"] = AUTHORITY
    bench.session.configure(refresh_ahead=False)
    bench.session.new_cell()
    for name, value in APPLICATION.items():
        monkeypatch.setenv(name, value)
    made = bench.session.new_engine(bench.session.client())
    assert isinstance(made, FakeEngine)
    return made


def obtained(engine: FakeEngine) -> int:
    return engine.count("obtain")


def person(bench: Bench, **options: Any) -> Account:
    account = bench.session.login("User.Read", web_ui=redirect, **options)
    assert isinstance(account, Account)
    assert not account.application
    return account


CALLS = {
    "acquire": lambda session, **call: session.acquire("User.Read", **call).account,
    "token": lambda session, **call: session.token("User.Read", **call).account,
    "auth": lambda session, **call: (
        session.authorise(**call).bound.get(session.client(**call).scopes(("User.Read",))).account
    ),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("of_the_call", [True, False])
def test_a_flow_of_a_service_identity_never_gives_a_token_of_a_person(
    bench: Bench, engine: FakeEngine, call: str, of_the_call: bool
) -> None:
    ada = person(bench)
    options: dict[str, Any] = {"flow": "app"} if of_the_call else {}
    if not of_the_call:
        bench.session.configure(flow="app")
    for _ in range(2):
        assert CALLS[call](bench.session, **options).application
    assert obtained(engine) == 1, "the second call finds it"
    bench.session.configure(flow="auto")
    assert CALLS[call](bench.session) == ada


@pytest.mark.parametrize("call", CALLS)
def test_an_identity_that_was_used_since_nobody_was_asked_serves_no_call_that_may_ask(
    bench: Bench, engine: FakeEngine, call: str
) -> None:
    for _ in range(2):
        assert bench.session.acquire("User.Read", interactive=False).account.application
    assert obtained(engine) == 1
    thread, outcome = in_a_thread(lambda: CALLS[call](bench.session))
    until(lambda: bench.screen.shown or outcome)
    assert not outcome, "the person is asked"
    bench.session.logout(all=True)
    thread.join(5)


def test_login_asks_the_person_then_too(bench: Bench, engine: FakeEngine) -> None:
    bench.session.acquire("User.Read", interactive=False)
    sign_in = bench.session.login("User.Read", background=True)
    assert not isinstance(sign_in, Account)
    sign_in.cancel()
    ada = person(bench)
    assert bench.session.acquire("User.Read").account == ada
    assert bench.session.acquire("User.Read", interactive=False).account == ada


def test_the_account_that_a_person_chose_serves_calls(bench: Bench, engine: FakeEngine) -> None:
    application = bench.session.acquire("User.Read", interactive=False).account
    ada = person(bench)
    bench.session.use(application)
    assert bench.session.acquire("User.Read").account == application
    bench.session.use(ada)
    bench.session.configure(flow="app")
    assert bench.session.acquire("User.Read").account == ada


def test_two_profiles_of_one_client(bench: Bench, engine: FakeEngine) -> None:
    call: dict[str, Any] = {"authority": AUTHORITY, "client_id": "notebooks"}
    job: dict[str, Any] = {**call, "profile": "default", "flow": "app"}
    bench.session.login("User.Read", **job)
    ada = person(bench)
    assert bench.session.acquire("User.Read").account == ada
    assert bench.session.acquire("User.Read", **job).account.application
    assert bench.session.acquire("User.Read").account == ada


def test_a_profile_uses_no_service_identity_of_another_profile(
    engine: FakeEngine, bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Both have the same client."""
    file = tmp_path / "config.toml"
    client = f'authority = "{AUTHORITY}"\nclient_id = "notebooks"\n'
    file.write_text(f'[profiles.me]\n{client}[profiles.job]\n{client}flow = "app"\n')
    reader = SettingsReader({}, lambda: (file,), look_every=0)
    session = Session(reader, bench.screen, bench._engine_for)
    assert session.acquire("User.Read", profile="job").account.application
    thread, outcome = in_a_thread(lambda: session.acquire("User.Read", profile="me"))
    until(lambda: bench.screen.shown or outcome)
    assert not outcome, "the person is asked"
    session.logout(all=True)
    thread.join(5)
    session.rest()


def test_a_sign_in_of_a_person_is_not_joined_by_one_of_an_application(
    bench: Bench, engine: FakeEngine
) -> None:
    of_person = bench.session.login("User.Read", flow="paste", background=True)
    assert not isinstance(of_person, Account)
    until(lambda: of_person.flow != "auto")
    application = bench.session.login("User.Read", flow="app")
    assert isinstance(application, Account)
    assert application.application
    assert of_person.state == "waiting"
    assert bench.session.acquire(VAULT, flow="app").account.application
    assert of_person.state == "waiting"
    of_person.cancel()


def test_a_sign_in_of_an_application_is_not_joined_by_a_person(
    bench: Bench, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = threading.Event()
    obtain = FakeEngine.obtain
    monkeypatch.setattr(FakeEngine, "obtain", lambda *a: (go.wait(5), obtain(*a))[1])
    of_application = bench.session.login("User.Read", flow="app", background=True)
    assert not isinstance(of_application, Account)
    of_person = bench.session.login("User.Read", flow="device", background=True)
    assert of_person is not of_application
    of_person.cancel()  # type: ignore[union-attr]
    go.set()
    assert of_application.wait(5).application


def test_threads_that_may_not_ask_share_one_sign_in_of_an_application(
    bench: Bench, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    obtain = FakeEngine.obtain
    monkeypatch.setattr(FakeEngine, "obtain", lambda *a: (time.sleep(0.2), obtain(*a))[1])
    outcomes = at_once(8, lambda: bench.session.acquire("User.Read", interactive=False).account)
    assert all(getattr(one, "application", False) for one in outcomes), outcomes
    assert obtained(engine) == 1


def test_a_call_that_may_not_ask_waits_for_no_person(bench: Bench, engine: FakeEngine) -> None:
    of_person = bench.session.login("User.Read", flow="paste", background=True)
    with pytest.raises(InteractionRequired, match="must not wait"):
        bench.session.acquire("User.Read", interactive=False)
    of_person.cancel()  # type: ignore[union-attr]


class Credential:
    """As azure-core's ``TokenCredential``."""

    def __init__(self, go: threading.Event | None = None) -> None:
        self.go = go

    def get_token(self, *scopes: str, **options: Any) -> Any:
        if self.go is not None:
            self.go.wait(5)

        class Answer:
            token, expires_on = f"token-of-{id(self)}", time.time() + 3600

        return Answer()


@pytest.mark.parametrize("then", ["another", "none"])
def test_a_credential_replaced_while_it_signs_in_gives_no_account(
    bench: Bench, engine: FakeEngine, then: str
) -> None:
    go = threading.Event()
    first, second = Credential(go), Credential()
    bench.session.configure(credential=first)
    sign_in = bench.session.login(VAULT, background=True)
    assert not isinstance(sign_in, Account)
    bench.session.configure(credential=second if then == "another" else None)
    go.set()
    with pytest.raises(Exception, match=r"cancelled|signed out"):
        sign_in.wait(5)
    assert bench.session.accounts() == []
    if then == "another":
        assert bench.read(VAULT) == f"token-of-{id(second)}"


def test_a_sign_out_while_an_application_renews(
    bench: Bench, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = bench.session.token("User.Read", flow="app")
    bench.clock.advance(engine.lifetime)
    began, go = threading.Event(), threading.Event()
    obtain = FakeEngine.obtain
    monkeypatch.setattr(FakeEngine, "obtain", lambda *a: (began.set(), go.wait(5), obtain(*a))[2])
    thread, outcome = in_a_thread(lambda: str(token))
    assert began.wait(5)
    bench.session.logout(all=True, revoke=True)
    go.set()
    thread.join(5)
    assert isinstance(outcome[0], NotSignedIn)
    assert bench.session.accounts() == []
    assert bench.session.cache.tokens == {}


def test_a_store_beside_a_flow_that_renews_itself(
    bench: Bench, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The person is stored, and signs in again with a flow that is never stored."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    ada = person(bench)
    application = bench.session.login("User.Read", flow="app")
    assert isinstance(application, Account)
    assert [one.application for one in bench.session.accounts()] == [True, False]
    bench.session.logout()
    assert bench.session.accounts() == [ada]
    assert bench.session.acquire("User.Read").account == ada


def test_no_host_gets_a_token_of_an_application_that_was_not_asked_for(
    bench: Bench, engine: FakeEngine
) -> None:
    """An ``auth()`` that is made before anybody signs in is bound to the first account that a
    call gets."""
    auth = bench.session.authorise()
    bench.session.acquire("User.Read", interactive=False)
    ada = person(bench)
    assert auth.bound.get(bench.session.client().scopes(("User.Read",))).account == ada
    bench.session.use(bench.session.acquire("User.Read", flow="app").account)
    assert auth.bound.get(bench.session.client().scopes(("User.Read",))).account == ada


def test_a_changed_tenant_or_client_of_the_variables_gives_no_token_of_another_application(
    bench: Bench, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = bench.session.token("User.Read", flow="app")
    for name in ("AZURE_CLIENT_ID", "AZURE_TENANT_ID"):
        bench.clock.advance(engine.lifetime)
        with monkeypatch.context() as patch:
            patch.setenv(name, "another")
            with pytest.raises(TokenError, match="is signed in there now"):
                str(token)
        assert str(token)


def test_ahead_of_need_a_failing_application_is_not_asked_in_a_loop(
    bench: Bench, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.session.configure(refresh_ahead=True)
    token = bench.session.token("User.Read", flow="app")
    asked: list[None] = []

    def fail(*_: Any) -> Any:
        asked.append(None)
        raise TokenError("no")

    monkeypatch.setattr(FakeEngine, "obtain", fail)
    bench.clock.advance(engine.lifetime - 100)
    for _ in range(20):
        assert str(token)
        bench.session._refresh_ahead._tick()
    assert len(asked) <= 3

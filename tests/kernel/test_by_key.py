"""Accounts are identified by key: two profiles, tenants or issuers may share a user name."""

from __future__ import annotations

from typing import Any

import pytest

from nbauth.core.account import Account, AccountKey
from nbauth.core.errors import ConfigurationError, NotSignedIn, SignInCancelled, SignInError
from nbauth.kernel.sign_in.attempt import SignIn
from nbauth.testing.engine import PENDING
from tests.kernel.conftest import Bench, redirect, until

WORK = {"authority": "https://work.example", "client_id": "notebooks", "profile": None}
IDP = {"authority": "https://idp.example", "client_id": "notebooks", "profile": None}
ADA = "ada@example.com"


@pytest.fixture
def twins(bench: Bench) -> tuple[Account, Account]:
    """One user name at two clients; the newer one at idp."""
    work = bench.session.login("read", web_ui=redirect, **WORK)
    idp = bench.session.login("read", web_ui=redirect, **IDP)
    assert isinstance(work, Account)
    assert isinstance(idp, Account)
    assert work.username == idp.username == ADA
    return work, idp


def names_at_one_client(bench: Bench) -> tuple[Account, Account]:
    """One user name, two subjects, one client: a guest in two tenants."""
    accounts = []
    for subject in ("guest-1", "guest-2"):
        claims = {"sub": subject, "preferred_username": ADA, "name": "Ada"}
        response = bench.engine.response(
            bench.session.client().scopes(("read",)), user=subject, id_token_claims=claims
        )
        bench.engine.will("redeem", response)
        accounts.append(bench.session.login("read", web_ui=redirect, force=True))
    one, other = accounts
    assert isinstance(one, Account)
    assert isinstance(other, Account)
    return one, other


def test_an_account_knows_its_client(twins: tuple[Account, Account]) -> None:
    work, idp = twins
    assert work.key == AccountKey("https://work.example", "notebooks", "ada")
    assert idp.key == AccountKey("https://idp.example", "notebooks", "ada")
    assert work.key.client != idp.key.client


@pytest.mark.parametrize("by", ["account", "key"])
@pytest.mark.parametrize(
    "call",
    [
        "token", "acquire", "authorise", "authorised_session", "bind", "login", "start", "check",
        "use", "logout",
    ],
)  # fmt: skip
def test_an_account_of_another_client_is_refused_before_anything_happens(
    bench: Bench, twins: tuple[Account, Account], by: str, call: str
) -> None:
    """Its key was accepted: ``auth()`` at idp sent work's token to idp's host."""
    work, _ = twins
    bench.session.configure(authority=IDP["authority"], hosts={"api.idp.example": ["read"]})
    asked: Any = work if by == "account" else work.key
    of_idp = {"authority": IDP["authority"]}
    scopes = () if call in {"use", "logout", "bind"} else ("read",)
    with pytest.raises(ConfigurationError) as caught:
        if call in {"use", "logout"}:
            getattr(bench.session, call)(asked, **of_idp)
        else:
            getattr(bench.session, call)(*scopes, account=asked)
    assert caught.value.code == "other_client"
    assert "https://work.example" in str(caught.value)
    assert bench.session.pending() == []
    assert len(bench.session.accounts()) == 2
    assert bench.session.acquire("read", account=asked, authority="https://work.example")


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("by", ["account", "key", "profile"])
def test_a_sign_out_by_name_concerns_one_client(
    bench: Bench, twins: tuple[Account, Account], which: int, by: str
) -> None:
    meant, other = twins[which], twins[1 - which]
    name: Any = {"account": meant, "key": meant.key, "profile": ADA}[by]
    call = {"authority": meant.authority, "client_id": "notebooks"} if by == "profile" else {}
    (gone,) = bench.session.logout(name, revoke=True, **call)
    assert gone.account == meant
    assert bench.session.accounts() == [other]
    for account in twins:
        engine = bench.engines[(account.authority, "notebooks")]
        assert engine.count("revoke") == (account is meant)


@pytest.mark.parametrize("call", ["logout", "use"])
def test_an_ambiguous_name_is_refused_and_lists_the_profiles(
    bench: Bench, twins: tuple[Account, Account], call: str
) -> None:
    with pytest.raises(ConfigurationError, match="matches 2 accounts") as caught:
        getattr(bench.session, call)(ADA)
    assert caught.value.code == "ambiguous_account"
    assert str(caught.value).count("profile 'default'") == 2
    assert "--profile" in caught.value.hint
    assert len(bench.session.accounts()) == 2
    assert bench.session.use(twins[0]) == twins[0]


@pytest.mark.parametrize("call", ["logout", "use", "acquire", "authorise", "token", "login"])
def test_a_name_that_two_accounts_of_one_client_share_is_refused(bench: Bench, call: str) -> None:
    one, other = names_at_one_client(bench)
    assert one.key != other.key
    bench.session.configure(hosts={"api.example": ["read"]})
    arguments: dict[str, Any] = {"logout": [ADA], "use": [ADA]}.get(call, ["read"])
    options = {} if call in {"logout", "use"} else {"account": ADA}
    with pytest.raises(ConfigurationError) as caught:
        getattr(bench.session, call)(*arguments, **options)
    assert caught.value.code == "ambiguous_account"
    assert "guest-1" in str(caught.value)
    assert "guest-2" in str(caught.value)
    assert bench.read("read", account="guest-1").startswith("access-guest-1")
    assert bench.read("read", account=other).startswith("access-guest-2")
    (gone,) = bench.session.logout("guest-1")
    assert gone.account == one


def test_a_subject_is_case_sensitive(bench: Bench) -> None:
    """``sub`` is case sensitive (OpenID Connect Core §2), a user name is not."""
    bench.sign_in("read", user="ada")
    assert bench.read("read", account="ADA@Example.com")
    with pytest.raises(NotSignedIn):
        bench.session.logout("ADA")


def test_a_sign_out_without_a_name_concerns_the_current_client(bench: Bench, twins: Any) -> None:
    work, idp = twins
    bench.session.configure(authority=work.authority)
    (gone,) = bench.session.logout()
    assert gone.account == work
    assert bench.session.accounts() == [idp]


def test_the_current_account_of_another_client_stays_current(bench: Bench, twins: Any) -> None:
    work, idp = twins
    bench.session.logout(work)
    assert bench.session.cache.current == {idp.key.client: idp.key}


def test_a_sign_out_by_name_ends_the_attempts_for_that_account_only(bench: Bench) -> None:
    bench.sign_in("read", user="ada")
    bench.sign_in("read", user="bob", force=True)
    attempts = {}
    bench.engine.will("poll_device", *[PENDING] * 10_000)
    for user in ("ada", "bob"):
        attempts[user] = bench.session.login(
            "more", account=f"{user}@example.com", background=True, force=True
        )
    bench.session.logout("ada@example.com")
    assert [attempts[user].state for user in ("ada", "bob")] == ["cancelled", "waiting"]
    attempts["bob"].cancel()  # type: ignore[union-attr]


# ── a sign-out is complete ──────────────────────────────────────────────────────────────────


def test_tokens_that_arrive_after_the_sign_out_are_refused(bench: Bench) -> None:
    """The attempt names no account, so it is not ended; its tokens are refused."""
    bench.sign_in("read", user="ada")
    gate = bench.engine.hold("poll_device")
    sign_in = bench.session.login("read", background=True, force=True)
    assert isinstance(sign_in, SignIn)
    until(gate.reached.is_set)
    bench.session.logout("ada@example.com")
    assert sign_in.state == "waiting"
    gate.open()
    with pytest.raises(SignInCancelled, match="signed out during this sign-in"):
        sign_in.wait(5)
    assert sign_in.state == "cancelled"
    assert bench.session.accounts() == []
    assert bench.session.cache.tokens == {}


def test_another_persons_tokens_are_not_refused(bench: Bench) -> None:
    bench.sign_in("read", user="ada")
    gate = bench.engine.hold("poll_device")
    sign_in = bench.session.login("read", background=True, force=True)
    assert isinstance(sign_in, SignIn)
    until(gate.reached.is_set)
    bench.session.logout("ada@example.com")
    bench.engine.user = "bob"
    gate.open()
    assert sign_in.wait(5).name == "Bob"


def test_a_sign_in_after_a_sign_out_is_not_refused(bench: Bench) -> None:
    for _ in range(3):
        bench.sign_in("read", user="ada")
        bench.session.logout()
    bench.sign_in("read", user="ada")
    assert bench.read("read")


@pytest.mark.parametrize("everything", [{"all": True}, {"forget": True}, {}])
def test_sign_ins_in_progress_end_with_a_sign_out(
    bench: Bench, everything: dict[str, bool]
) -> None:
    gate = bench.engine.hold("poll_device")
    sign_in = bench.session.login("read", background=True)
    assert isinstance(sign_in, SignIn)
    until(gate.reached.is_set)
    bench.session.logout(**everything)
    assert sign_in.state == "cancelled"
    gate.open()
    until(lambda: not sign_in._thread.is_alive())
    assert bench.session.accounts() == []


def test_a_sign_out_without_a_current_account_lists_the_others(bench: Bench) -> None:
    """It reported that nobody was signed in, while eve's tokens remained."""
    with pytest.raises(SignInError, match="eve"):
        bench.sign_in("read", user="eve", account="ada@example.com")
    with pytest.raises(NotSignedIn, match=r"Signed in: eve@example\.com") as caught:
        bench.session.logout()
    assert "--account eve@example.com" in caught.value.hint
    bench.session.logout("eve@example.com")
    assert bench.session.logout() == []


@pytest.mark.parametrize("everybody", ["all", "forget"])
def test_an_account_and_everybody_exclude_each_other(bench: Bench, everybody: str) -> None:
    bench.sign_in("read", user="ada")
    bench.sign_in("read", user="bob", force=True)
    said = rf"Both an account \(ada@example\.com\) and {everybody}"
    with pytest.raises(ConfigurationError, match=said):
        bench.session.logout("ada@example.com", **{everybody: True})
    assert len(bench.session.accounts()) == 2


@pytest.mark.parametrize("all_", [False, True])
def test_a_client_and_forget_exclude_each_other(bench: Bench, all_: bool) -> None:
    """To forget deletes the sign-ins of every client."""
    bench.sign_in("read", user="ada")
    bench.sign_in("read", client_id="another")
    with pytest.raises(ConfigurationError, match="Both a client or profile and forget"):
        bench.session.logout(forget=True, all=all_, client_id="another")
    assert len(bench.session.cache.signed_in) == 2


def test_a_sign_out_that_ends_a_sign_in_does_not_sign_out_another_client(bench: Bench) -> None:
    bench.sign_in("read", client_id="another")
    bench.engine.hold("start_device")
    pending = bench.session.login("read", background=True)
    assert bench.session.logout() == []
    assert pending.state == "cancelled"  # type: ignore[union-attr]
    assert len(bench.session.accounts()) == 1


@pytest.mark.parametrize("asked", [5, ["ada@example.com"], {}, object()])
@pytest.mark.parametrize("call", ["acquire", "bind", "login", "logout", "use"])
def test_a_value_that_names_no_account_is_a_clear_error(
    bench: Bench, asked: Any, call: str
) -> None:
    bench.sign_in("read")
    session = bench.session
    with pytest.raises(ConfigurationError, match="does not identify an account"):
        match call:
            case "acquire":
                session.acquire("read", account=asked)
            case "bind":
                session.bind(asked)
            case "login":
                session.login("read", account=asked)
            case _:
                getattr(session, call)(asked)


def test_a_key_is_not_sent_as_a_login_hint(bench: Bench) -> None:
    """Its id is nbauth's own; the provider would show it as a user name."""
    account = bench.sign_in("read")
    bench.session.login("read", account=account.key, web_ui=redirect, force=True)
    hints = [
        call.arguments["request"].login_hint
        for call in bench.engine.calls
        if call.method == "authorize"
    ]
    assert hints == [None, None]


def test_superseded_grants_are_revoked_too(bench: Bench) -> None:
    bench.sign_in("read", user="ada")
    bench.sign_in("read", "write", user="ada", force=True)
    bench.sign_in("read", "write", user="ada", force=True)
    assert len(bench.engine.live) == 3
    bench.session.logout(revoke=True)
    assert bench.engine.live == {}
    assert bench.engine.count("revoke") == 3


def test_one_refused_revocation_does_not_stop_the_others(bench: Bench) -> None:
    from nbauth.testing.engine import refusal

    bench.sign_in("read", user="ada")
    bench.sign_in("write", user="ada", force=True)
    bench.engine.will("revoke", refusal("unsupported_token_type"))
    bench.session.logout(revoke=True)
    assert bench.engine.count("revoke") == 2
    assert len([line for line in bench.screen.said if "not revoked" in line]) == 1


def test_a_refresh_of_a_replaced_grant_is_dropped(bench: Bench) -> None:
    """After a sign-out and a new sign-in during the refresh, its result belongs to neither."""
    import threading

    bench.sign_in("read", user="ada")
    token = bench.session.token("read", interactive=False)
    bench.clock.advance(4000)
    gate = bench.engine.hold("refresh")
    errors: list[BaseException] = []

    def read() -> None:
        try:
            str(token)
        except NotSignedIn as error:
            errors.append(error)

    thread = threading.Thread(target=read)
    thread.start()
    until(gate.reached.is_set)
    bench.session.logout()
    bench.sign_in("read", user="ada")
    newest = bench.read("read")
    gate.open()
    thread.join(5)
    assert len(errors) == 1
    assert bench.read("read") == newest

"""What a call means is fixed when it is made: client, account and scopes do not change later.

Each held thing (``Token``, ``auth()``, ``session()``, a sign-in, a refresh ahead of need) is made,
then everything around it is switched, then it is used.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from nbauth.core.errors import ConfigurationError, NotSignedIn
from nbauth.core.tokens import Token
from nbauth.kernel.accounts.background import RefreshAhead
from nbauth.kernel.sign_in.attempt import SignIn
from tests.kernel.conftest import Bench, in_a_thread, redirect, until

OTHER = {"authority": "https://other.example", "client_id": "elsewhere"}
HOST = "api.example"
LISTED = {HOST: ["read"]}


def switch_account(bench: Bench) -> None:
    bench.sign_in("read", user="bob", force=True)


def switch_client(bench: Bench) -> None:
    bench.session.configure(**OTHER)
    bench.engines[(OTHER["authority"], OTHER["client_id"])] = engine = bench._engine_for(
        bench.session.client().authority, OTHER["client_id"]
    )
    engine.user = "mallory"
    bench.session.login("read", web_ui=redirect)


def sign_out_and_in_as_another(bench: Bench) -> None:
    bench.sign_in("read", user="bob", force=True)
    bench.session.logout("ada@example.com")
    bench.sign_in("read", user="ada", force=True)
    bench.session.use("bob@example.com")


def change_profile_hosts_and_scopes(bench: Bench) -> None:
    bench.session.configure(hosts={"evil.example": ["read"]}, scopes=["write"])


SWITCHES = [
    switch_account, switch_client, sign_out_and_in_as_another, change_profile_hosts_and_scopes,
]  # fmt: skip


def of_token(bench: Bench) -> Callable[[], str]:
    return bench.session.token("read").__str__


def of_header(bench: Bench) -> Callable[[], str]:
    token = bench.session.token("read")
    return lambda: token.header["Authorization"].removeprefix("Bearer ")


def of_auth(bench: Bench) -> Callable[[], str]:
    bench.session.configure(hosts=LISTED)
    auth = bench.session.authorise("read")
    return lambda: sent_by(auth)


def of_auth_for_any_scopes(bench: Bench) -> Callable[[], str]:
    bench.session.configure(hosts=LISTED)
    auth = bench.session.authorise()
    return lambda: sent_by(auth)


def of_session(bench: Bench) -> Callable[[], str]:
    bench.session.configure(hosts=LISTED)
    session = bench.session.authorised_session("read")
    return lambda: sent_by(session.auth)


def sent_by(auth: Any, url: str = f"https://{HOST}/x") -> str:
    import requests

    prepared = requests.Request("GET", url, auth=auth).prepare()
    return str(prepared.headers.get("Authorization", "")).removeprefix("Bearer ")


HELD = [of_token, of_header, of_auth, of_auth_for_any_scopes, of_session]


@pytest.mark.parametrize("switch", SWITCHES)
@pytest.mark.parametrize("held", HELD)
@pytest.mark.parametrize("stale", [False, True])
def test_held_objects_keep_their_account_and_client(
    bench: Bench, held: Callable[..., Any], switch: Callable[..., Any], stale: bool
) -> None:
    bench.session.configure(refresh_ahead=False)  # which would refresh the other client's too
    bench.sign_in("read", user="ada")
    read = held(bench)
    switch(bench)
    if stale:
        bench.clock.advance(4000)
    assert read().startswith("access-ada-")
    for key, engine in bench.engines.items():
        if key[0] == OTHER["authority"]:
            assert engine.count("refresh") == 0


@pytest.mark.parametrize("make", ["authorise", "authorised_session"])
def test_the_account_can_be_named(bench: Bench, make: str) -> None:
    bench.session.configure(hosts=LISTED)
    bench.sign_in("read", user="ada")
    bench.sign_in("read", user="bob", force=True)
    made = getattr(bench.session, make)("read", account="ada@example.com")
    assert sent_by(getattr(made, "auth", made)).startswith("access-ada-")
    assert sent_by(bench.session.authorise("read")).startswith("access-bob-")


def test_the_first_token_fixes_the_account_if_nobody_was_signed_in(bench: Bench) -> None:
    bench.session.configure(hosts=LISTED)
    auth = bench.session.authorise("read")
    assert auth.bound.key is None
    bench.sign_in("read", user="ada")
    assert sent_by(auth).startswith("access-ada-")
    bench.sign_in("read", user="bob", force=True)
    assert sent_by(auth).startswith("access-ada-")


def test_a_signed_out_account_is_not_replaced_by_another(bench: Bench) -> None:
    bench.session.configure(hosts=LISTED)
    bench.sign_in("read", user="ada")
    auth = bench.session.authorise("read")
    bench.sign_in("read", user="bob", force=True)
    bench.session.logout("ada@example.com")
    with pytest.raises(NotSignedIn):
        sent_by(auth)
    assert bench.screen.shown == []


def test_a_sign_in_keeps_its_client(bench: Bench) -> None:
    gate = bench.engine.hold("poll_device")
    sign_in = bench.session.login("read", background=True)
    assert isinstance(sign_in, SignIn)
    until(gate.reached.is_set)
    bench.session.configure(**OTHER, persist="memory")
    gate.open()
    account = sign_in.wait(5)
    assert (account.authority, account.client_id) == ("https://id.example", "notebooks")
    assert sign_in.again().request.client.key == account.key.client
    bench.session.logout(all=True)


def test_a_panels_second_attempt_has_the_same_client_and_account(bench: Bench) -> None:
    bench.engine.will("start_device", ZeroDivisionError("once"))
    first = bench.session.start("read", account="ada@example.com")
    first.ended.wait(5)
    bench.session.configure(**OTHER)
    second = first.again()
    assert second.request.client.key == first.request.client.key
    assert second.request.asked == "ada@example.com"
    assert second.result if second.ended.wait(5) else None


@pytest.mark.parametrize("changed", [{"proxies": {"https": "http://b:1"}}, {"verify": True}])
def test_a_refresh_ahead_of_need_uses_the_client_of_its_token(
    bench: Bench, changed: dict[str, Any]
) -> None:
    made: list[dict[str, Any]] = []

    def engine_for(authority: Any, client_id: str, **way: Any) -> Any:
        made.append(way)
        return bench.engine

    bench.session._engines.make = engine_for
    bench.session.configure(proxies={"https": "http://a:1"}, refresh_ahead=True)
    bench.session.cache.renewed.disconnect(bench.session._refresh_ahead.wake)
    bench.sign_in("read")
    bench.session.configure(**changed)
    bench.session.client()
    made.clear()
    bench.clock.advance(3600 - 400)
    worker = RefreshAhead(bench.session.cache, bench.session._renewal)
    worker._share = 1.0
    worker.tick()
    assert bench.refreshes == 1
    assert made == [{"proxies": {"https": "http://a:1"}, "verify": None}]


def test_a_switch_during_a_refresh_does_not_change_the_account(bench: Bench) -> None:
    bench.sign_in("read", user="ada")
    token = bench.session.token("read")
    bench.clock.advance(4000)
    gate = bench.engine.hold("refresh")
    read: list[str] = []
    thread = threading.Thread(target=lambda: read.append(str(token)))
    thread.start()
    until(gate.reached.is_set)
    switch_account(bench)
    gate.open()
    thread.join(5)
    assert read
    assert read[0].startswith("access-ada-")
    assert bench.read("read").startswith("access-bob-")


def test_scopes_of_a_held_token_are_those_it_was_made_with(bench: Bench) -> None:
    bench.session.configure(scopes=["read"])
    bench.sign_in(user="ada")
    token = bench.session.token()
    assert isinstance(token, Token)
    bench.session.configure(scopes=["write"])
    bench.clock.advance(4000)
    assert str(token)
    (refresh,) = [call for call in bench.engine.calls if call.method == "refresh"]
    assert tuple(refresh.arguments["scopes"]) == ("read",)


# ── a host gets its own token only ──────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("asked", "gets"),
    [
        (["orders.read"], {"orders.example"}),
        (["stock.read"], {"stock.example", "both.example"}),
        (["stock.read", "stock.write"], {"both.example"}),
        (["openid", "stock.read"], {"stock.example", "both.example"}),
        (["openid", "profile"], {"names.example"}),
    ],
)
def test_a_token_goes_only_to_hosts_whose_entry_covers_it(
    bench: Bench, asked: list[str], gets: set[str]
) -> None:
    listed = {
        "orders.example": ["orders.read"],
        "stock.example": ["stock.read"],
        "both.example": ["stock.read", "stock.write"],
        "names.example": ["openid", "profile"],
    }
    bench.session.configure(hosts=listed)
    bench.sign_in(*asked)
    auth = bench.session.authorise(*asked)
    assert {host for host in listed if sent_by(auth, f"https://{host}/")} == gets


@pytest.mark.parametrize("asked", [["unheard"], ["orders.read", "unheard"], ["email"]])
def test_scopes_without_a_listed_host_are_an_error(bench: Bench, asked: list[str]) -> None:
    bench.session.configure(hosts={"orders.example": ["orders.read"]})
    with pytest.raises(ConfigurationError) as caught:
        bench.session.authorise(*asked)
    assert caught.value.code == "unlisted_host"
    assert asked[-1] in str(caught.value)
    assert "hosts=" in caught.value.hint


@pytest.mark.parametrize("how", ["held token", "acquire", "auth"])
def test_a_token_for_a_named_account_does_not_change_the_current_one(
    bench: Bench, how: str
) -> None:
    """It depended on whether bob had to sign in which account later calls used."""
    bob = bench.sign_in("read", user="bob")
    held = bench.session.token("read")
    bench.session.configure(hosts=LISTED)
    auth = bench.session.authorise("read", account=bob)
    bench.sign_in("read", user="ada", force=True)
    bench.clock.advance(3600)
    bench.engine.live.clear()
    bench.engine.user = "bob"
    match how:
        case "held token":
            assert str(held)
        case "acquire":
            assert bench.session.acquire("read", account="bob@example.com").account == bob
        case _:
            assert auth.bound.get(bench.session.client().scopes(("read",))).account == bob
    assert bench.session.cache.find(bench.session.client().key).home_account_id == "ada"  # type: ignore[union-attr]
    bench.engine.user = "ada"
    assert bench.session.acquire("read").account.username == "ada@example.com"


def test_the_first_requested_account_becomes_current(bench: Bench) -> None:
    bench.engine.user = "bob"
    bench.session.acquire("read", account="bob@example.com")
    assert bench.session.acquire("read").account.username == "bob@example.com"


def test_a_login_that_joins_makes_the_account_current(bench: Bench) -> None:
    bob = bench.sign_in("read", user="bob")
    held = bench.session.token("read")
    bench.sign_in("read", user="ada", force=True)
    bench.clock.advance(3600)
    bench.engine.live.clear()
    bench.engine.user = "bob"
    gate = bench.engine.hold("start_device")
    reader, _ = in_a_thread(lambda: str(held))
    until(bench.session.pending)
    joiner, outcome = in_a_thread(lambda: bench.session.login("read", account=bob, force=True))
    until(lambda: bench.session.pending()[0].waiters == 2)
    gate.open()
    for thread in (reader, joiner):
        thread.join(5)
    assert outcome == [bob]
    assert bench.session.cache.find(bench.session.client().key) == bob.key

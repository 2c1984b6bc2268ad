"""The panel's messages, on a comm without a front end."""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from nbauth.core.account import ClientKey
from nbauth.core.errors import ConfigurationError, FlowUnavailable, SignInDeclined
from nbauth.core.scopes import application_name, short_names
from nbauth.jupyter.panel import panel as panel_module
from nbauth.jupyter.panel.panel import SignInPanel
from nbauth.kernel.sign_in.attempt import SignIn
from nbauth.oauth.engines.protocol import AuthorizationPending
from nbauth.testing.clock import FakeClock
from tests.jupyter.panel.front import Front, MakeFront
from tests.jupyter.panel.scripted import (
    CODE,
    ISSUER,
    NAME,
    OTHER,
    PAGE,
    USERNAME,
    Starter,
    tokens,
    ways_from,
)
from tests.kernel.accounts.shelf import Handle, Shelf
from tests.kernel.conftest import Bench


def names(state: dict[str, Any]) -> list[str]:
    """The offered flows, each with the text of its button."""
    assert all(way["label"] and way["how"] for way in state["ways"])
    return [way["name"] for way in state["ways"]]


def test_a_view_gets_the_state_when_it_is_ready(front: MakeFront) -> None:
    shown = front()
    assert not shown.panel.ready.is_set()
    shown.until("waiting", user_code=CODE)
    shown.say("ready")
    assert shown.panel.ready.is_set()
    state = shown.state
    assert state["verification_uri"] == PAGE
    assert 890 < state["expires_in"] <= 900
    assert state["asks"] == {
        "application": "notebooks",
        "permissions": ["openid", "profile"],
        "client_id": "notebooks",
        "authority": ISSUER,
        "scopes": ["openid", "profile"],
        "needed_by": "",
    }
    assert state["flow"] == "device"
    assert names(state) == ["device", "browser", "paste"]
    assert state["refusal"] is None
    assert state["id"] == shown.panel.comm_id == shown.panel.model_id


def test_from_waiting_to_signed_in_to_signed_out(front: MakeFront) -> None:
    shown = front()
    shown.until("waiting", user_code=CODE)
    shown.engine.answer = tokens()
    state = shown.until("done")
    account = state["account"]
    assert (account["name"], account["username"]) == (NAME, USERNAME)
    assert account["scopes"] == ["openid", "profile"]
    assert 3590 < account["expires_in"] <= 3600
    assert state["others"] == []
    shown.say("sign-out", account=account["n"])
    assert shown.session.accounts() == []
    assert names(shown.until("signed-out")) == list(ways_from("device"))
    shown.say("sign-out", account=account["n"])  # from a second view
    shown.engine.answer = AuthorizationPending()
    shown.say("sign-in")
    shown.until("waiting", user_code=CODE)


def test_cancel_and_try_again(front: MakeFront) -> None:
    shown = front()
    shown.until("waiting", user_code=CODE)
    shown.say("cancel")
    assert shown.until("cancelled")["error"][0] == "The sign-in was cancelled."
    shown.say("cancel")
    first = shown.sign_in
    shown.say("sign-in")
    shown.say("sign-in")  # a double click begins one
    second = shown.sign_in
    shown.until("waiting", user_code=CODE)
    assert first is not second
    assert not len(first.changed)
    assert shown.sign_in is second


def test_failed_and_expired(front: MakeFront) -> None:
    shown = front()
    shown.until("waiting", user_code=CODE)
    shown.engine.answer = SignInDeclined("You said no.", hint="Say yes.", correlation_id="c-1")
    failed = shown.until("failed")
    assert failed["error"] == ["You said no.", "Say yes."]
    details = dict(failed["error_details"])
    assert (details["code"], details["correlation_id"]) == ("access_denied", "c-1")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", details["time"])
    shown.say("ready")
    assert shown.state == failed  # with the time of the failure
    late = front(expires_in=0.2)
    assert "in time" in late.until("expired")["error"][0]


def test_a_sign_in_begins_only_on_a_press_and_a_failure_is_shown(front: MakeFront) -> None:
    shown = front(begun=False)
    shown.say("ready")
    assert shown.state["state"] == "signed-out"
    assert names(shown.state) == ["auto", "device", "paste"]
    shown.say("cancel")
    errors: list[Exception] = [ConfigurationError("No client_id.", hint="Set it."), KeyError("x")]

    def start(flow: str | None = None) -> SignIn:
        raise errors.pop(0)

    shown.panel._start = start
    shown.say("sign-in")
    assert shown.until("failed")["error"] == ["No client_id.", "Set it."]
    shown.say("sign-in")
    assert shown.state["error"][0] == "The sign-in could not begin: KeyError."


def test_the_browser_can_name_the_flow(front: MakeFront) -> None:
    shown = front(begun=False)
    shown.say("sign-in", flow="paste")
    shown.until("waiting", flow="paste")
    shown.say("cancel")
    for no_way in ("auto", None, 3):
        shown.say("sign-in", flow=no_way)
        shown.until("waiting", flow="device")
        shown.say("cancel")


def test_switching_to_another_flow_in_the_same_sign_in(front: MakeFront) -> None:
    shown = front()
    shown.until("waiting", user_code=CODE)
    sign_in = shown.sign_in
    shown.say("switch", flow="paste")
    state = shown.until("waiting", flow="paste", user_code=None)
    assert shown.sign_in is sign_in
    assert names(state) == list(ways_from("device"))
    shown.say("switch", flow="no such way")
    shown.say("switch", flow=None)
    assert shown.state["flow"] == "paste"
    shown.say("cancel")
    shown.say("switch", flow="device")
    assert shown.state["state"] == "cancelled"


def test_after_a_refused_flow_the_next_is_offered(front: MakeFront) -> None:
    shown = front("device", begun=False)
    shown.engine.refusal = FlowUnavailable(
        "Your organisation does not allow codes.", hint="Use the browser.", suggested_flow="browser"
    )
    shown.say("sign-in")
    refused = shown.until("waiting", flow="device", user_code=None, authorize_url=None)
    why = ["Your organisation does not allow codes.", "Use the browser."]
    refused = shown.until("waiting", refusal=why)
    assert names(refused) == ["browser", "paste", "device"]
    shown.say("switch", flow="browser")
    shown.until("waiting", flow="browser", refusal=None)
    assert address_in(shown).startswith(f"{ISSUER}/authorize?state=")


def address_in(shown: Front) -> str:
    """The authorize URL, once the panel has it."""
    end = time.monotonic() + 5
    while time.monotonic() < end:
        told = shown.messages("state")
        if told and told[-1].get("authorize_url"):
            return str(told[-1]["authorize_url"])
        time.sleep(0.01)
    raise AssertionError("no address")


def state_of(address: str) -> str:
    return parse_qs(urlsplit(address).query)["state"][0]


def test_paste(front: MakeFront, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    shown = front("paste")
    secret = state_of(address_in(shown))
    for wrong in (
        "",
        "no code",
        "http://localhost/?state=x",
        f"http://x/?code=SECRET&state={secret}x",
    ):
        shown.say("paste", typed=wrong)
        what, then = shown.messages("input-refused")[-1]["error"]
        assert what
        assert then
        assert shown.sign_in.state == "waiting"
    shown.say("paste")
    for nonsense in (None, 7, ["x"]):
        shown.say("paste", text=nonsense)
    assert len(shown.messages("input-refused")) == 4
    assert "another sign-in" in shown.messages("input-refused")[-1]["error"][0]
    shown.engine.answer = tokens()
    shown.say("paste", typed=f" http://localhost/?code=SECRET-CODE&state={secret}\n")
    shown.until("done")
    assert shown.engine.redeemed == ["SECRET-CODE"]
    shown.say("paste", typed="too late")
    everything = json.dumps([sent for _, sent in shown.panel.comm.sent], default=repr)
    assert "SECRET" not in everything + caplog.text + repr(vars(shown.panel))


@pytest.mark.parametrize("flow", ["browser", "paste"])
def test_paste_accepts_a_query(flow: str, front: MakeFront) -> None:
    for form in ("?code=C-1&state={}", "code=C-1&state={}"):
        shown = front(flow)
        shown.engine.answer = tokens()
        shown.say("paste", typed=form.format(state_of(address_in(shown))))
        shown.until("done")
        assert shown.engine.redeemed == ["C-1"]


def test_one_pasted_word_is_refused_and_the_provider_is_not_asked(front: MakeFront) -> None:
    shown = front("paste")
    address_in(shown)
    for word in ("hello", "WDJB-MJHT", "x" * 40, "ada@example.com"):
        shown.say("paste", typed=word)
        what, then = shown.messages("input-refused")[-1]["error"]
        assert what == "That is not the address of the last page."
        assert "begins with http" in then
    assert shown.sign_in.state == "waiting"
    assert shown.engine.redeemed == []


def test_a_new_panel_shows_the_sign_in_that_is_under_way(front: MakeFront) -> None:
    first = front()
    second = front(begun=False, beside=first)
    assert second.sign_in is first.sign_in
    second.say("cancel")
    assert first.until("cancelled")


def test_scopes_have_short_names_and_a_guid_is_no_name(front: MakeFront) -> None:
    asked = application_name("11111111-2222-3333-4444-555555555555"), application_name("notebooks")
    assert asked == ("", "notebooks")
    graph = "https://graph.microsoft.com"
    assert short_names([f"{graph}/User.Read", f"{graph}/Mail.Read", "openid"]) == [
        "User.Read",
        "Mail.Read",
        "openid",
    ]
    assert short_names(["api://11111111-2222-3333-4444-555555555555/read"]) == ["read"]
    assert short_names(["https://graph.microsoft.com.evil.example/User.Read"]) == [
        "User.Read (graph.microsoft.com.evil.example)"
    ]
    assert short_names(["https://vault.azure.net/.default", "repo", "read:user", "a/b"]) == [
        ".default (vault.azure.net)",
        "repo",
        "read:user",
        "a/b",
    ]
    assert short_names(["https://mail.google.com/"]) == ["mail.google.com"]
    shown = front("device", f"{graph}/Mail.Read")
    asks = shown.until("waiting", user_code=CODE)["asks"]
    assert asks["permissions"][0] == "Mail.Read"
    assert asks["scopes"][0] == f"{graph}/Mail.Read"


def test_the_host_that_needs_the_permissions_is_named(front: MakeFront) -> None:
    shown = front()
    shown.until("waiting", user_code=CODE)
    assert shown.sign_in is not None
    request = replace(shown.sign_in.request, asked_by="graph.microsoft.com\x1b\u202e")
    shown.sign_in._request = request
    shown.say("ready")
    assert shown.state["asks"]["needed_by"] == "graph.microsoft.com"


def test_two_panels_of_one_session_show_the_same(front: MakeFront) -> None:
    first = front(begun=False)
    second = front(begun=False, beside=first)
    second.say("sign-in")
    for one in (first, second):
        one.until("waiting", user_code=CODE)
    assert first.sign_in is second.sign_in
    first.say("cancel")
    second.until("cancelled")
    first.until("cancelled")
    first.engine.answer = tokens()
    first.say("sign-in")
    second.until("done")
    first.until("done")
    first.say("sign-out", account=first.state["account"]["n"])
    second.until("signed-out")


def test_a_failed_sign_in_of_another_panel_does_not_change_the_account(front: MakeFront) -> None:
    first = front()
    first.engine.answer = tokens()
    first.until("done")
    first.engine.answer = AuthorizationPending()
    more = Starter(first.session, "openid", "mail")()
    first.until("waiting", user_code=CODE)
    more.cancel()
    assert first.until("done")["account"]["username"] == USERNAME


def test_an_account_that_is_already_signed_in_is_shown(front: MakeFront) -> None:
    shown = front(begun=False)
    shown.engine.answer = tokens()
    shown.start()
    assert shown.until("done")["account"]["username"] == USERNAME
    shown.session.logout()
    shown.until("signed-out")


def test_switching_to_another_account_and_back(front: MakeFront) -> None:
    shown = front()
    twin = front(begun=False, beside=shown)
    shown.engine.answer = tokens()
    shown.until("done")
    shown.engine.answer = tokens("Charles", OTHER)
    shown.start()
    charles = [{"n": 0, "username": USERNAME, "tenant": ""}]
    (other,) = shown.until("done", others=charles)["others"]
    assert twin.until("done", others=charles)["account"]["username"] == OTHER
    shown.say("use", account=other["n"])
    assert shown.state["account"]["username"] == USERNAME
    assert twin.state["account"]["username"] == USERNAME
    (back,) = shown.state["others"]
    assert back == {"n": 1, "username": OTHER, "tenant": ""}
    for nonsense in (99, -99, "1", None):
        shown.say("use", account=nonsense)
    shown.say("use", account=back["n"])
    assert twin.state["account"]["username"] == OTHER
    for nonsense in (99, -1, "1", None):
        shown.say("sign-out", account=nonsense)
    shown.say("sign-out", account=back["n"])
    assert twin.state["account"]["username"] == USERNAME
    shown.say("use", account=back["n"])  # from a view that has not received the new state
    assert shown.state["account"]["username"] == USERNAME


def test_sign_out_signs_out_the_account_that_was_shown(front: MakeFront) -> None:
    """A cell made another account the current one before the click was handled."""
    shown = front()
    shown.engine.answer = tokens()
    ada = shown.until("done")["account"]
    shown.engine.answer = tokens("Charles", OTHER)
    shown.start()
    shown.until("done", others=[{"n": ada["n"], "username": USERNAME, "tenant": ""}])
    shown.say("sign-out", account=ada["n"])
    assert [account.username for account in shown.session.accounts()] == [OTHER]


def test_a_panel_of_one_client_shows_no_account_or_sign_in_of_another(front: MakeFront) -> None:
    """In the past, a panel of another issuer showed and signed out this account."""
    shown = front()
    shown.engine.answer = tokens()
    shown.until("done")
    elsewhere = ClientKey("https://another.example", "c")
    panel = SignInPanel(shown.session, shown.start, client=elsewhere)
    try:
        assert panel._shown.message()["state"] == "signed-out"
        shown.engine.answer = AuthorizationPending()
        pending = shown.start()
        assert panel.sign_in is None
        assert shown.session.pending() == [pending]
        pending.cancel()
        same = SignInPanel(shown.session, shown.start, client=pending.request.client.key)
        assert same._shown.message()["state"] == "done"
        same.close_quietly()
    finally:
        panel.close_quietly()


def test_a_panel_without_a_client_shows_the_configured_clients_account_first() -> None:
    """In the past, it showed the account that had signed in first at any client."""
    bench = Bench(FakeClock(time.time()))
    bench.session.configure(refresh_ahead=False)
    work = bench.sign_in("read", client_id="work")
    ida = bench.sign_in("read", user="ida")
    panel = SignInPanel(bench.session, lambda *_: bench.session.start())
    try:
        assert panel._shown.account() == (ida.key, ida)
        bench.session.logout(ida)
        assert panel._shown.account() == (work.key, work), "the configured client has no account"
    finally:
        panel.close_quietly()
        bench.session.rest()


def test_browser_flow(front: MakeFront) -> None:
    shown = front("browser")
    message = "Sign in with your browser; the notebook then continues."
    state = shown.until("waiting", flow="browser", user_code=None, message=message)
    assert state["authorize_url"].startswith(f"{ISSUER}/authorize?state=")
    assert state["verification_uri"] is None


@pytest.mark.parametrize("address", ["javascript:alert(1)//", "file:///x", "https://x/\u202e"])
def test_only_web_addresses_are_sent_as_addresses(front: MakeFront, address: str) -> None:
    shown = front(verification_uri=address, verification_uri_complete=address, user_code="A\u202eB")
    state = shown.until("waiting", user_code="A B")
    assert state["verification_uri"] is None
    assert state["verification_uri_complete"] is None


def test_the_complete_address_is_sent_for_the_same_origin_only(front: MakeFront) -> None:
    same = front(verification_uri_complete=f"{PAGE}?c=1").until("waiting", user_code=CODE)
    assert same["verification_uri_complete"] == f"{PAGE}?c=1"
    away = front(verification_uri_complete="https://x.example/").until("waiting", user_code=CODE)
    assert away["verification_uri_complete"] is None


def test_invalid_messages_from_the_front_end_change_nothing(front: MakeFront) -> None:
    shown = front()
    shown.until("waiting", user_code=CODE)
    for content in (None, [], "cancel", {}, {"kind": None}, {"kind": "probe"}, {"kind": "x"},
                    {"kind": "use"}, {"kind": "switch"}, {"kind": "paste"}):  # fmt: skip
        shown.panel._handle_custom_msg(content, [])
    assert shown.sign_in.state == "waiting"
    assert shown.state["user_code"] == CODE


def test_a_disconnected_front_end_ends_no_sign_in(front: MakeFront) -> None:
    shown = front()

    def broken(*args: Any, **options: Any) -> None:
        raise RuntimeError("gone")

    shown.panel.comm.publish_msg = broken
    shown.engine.answer = tokens()
    assert shown.sign_in.wait(5)
    assert shown.sign_in.state == "done"


def test_no_private_data_is_synced_or_in_the_bundle(front: MakeFront) -> None:
    shown = front()
    shown.until("waiting", user_code=CODE)
    shown.engine.answer = tokens()
    shown.until("done")
    data, _ = shown.panel._repr_mimebundle_()
    assert set(data) == {
        "text/plain", "text/html", "application/vnd.jupyter.widget-view+json",
    }  # fmt: skip
    assert "run the cell to use it" in data["text/plain"]
    saved = json.dumps([data, shown.panel.get_state(), repr(shown.panel)], default=repr)
    for private in (CODE, PAGE, NAME, USERNAME, "notebooks", ISSUER):
        assert private not in saved


def test_the_scripts_are_one_module_without_imports() -> None:
    source = panel_module.SignInPanel._esm
    assert f'saved: "{panel_module.STATIC_LINE}"' in source
    assert source.count("export default") == 1
    assert not re.search(r"^\s*import\b|\bimport\(|https?://[\w.]", source, re.MULTILINE)
    assert "innerHTML" not in source
    assert "window.open" not in source


def test_a_click_opens_no_store_that_needs_a_passphrase(
    front: MakeFront, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One account is in memory; a store with other sign-ins has not been opened."""

    class Locked(Handle):
        def exists(self) -> bool:
            return True

        def open(self) -> None:
            asks(f"Passphrase of {self.kept}: ")

    asks: Callable[[str], str] = str

    def named(kind: str, *, ask: Callable[[str], str], **_: Any) -> Locked:
        nonlocal asks
        asks = ask
        return Locked(Shelf(), kind)

    shown = front()
    shown.engine.answer = tokens()
    shown.until("done")
    shown.engine.answer = tokens("Charles", OTHER)
    shown.start()
    (other,) = shown.until("done", others=[{"n": 0, "username": USERNAME, "tenant": ""}])["others"]
    monkeypatch.setattr("nbauth.persistence.persistence_named", named)
    monkeypatch.setattr("nbauth.persistence.kinds_in_use", lambda: ["file"])
    asked: list[str] = []
    monkeypatch.setattr(shown.session.screen, "ask", lambda prompt: asked.append(prompt) or "")
    shown.say("use", account=other["n"])
    assert shown.state["account"]["username"] == USERNAME
    shown.say("sign-out", account=other["n"])
    assert [account.username for account in shown.session.accounts()] == [OTHER]
    assert asked == []

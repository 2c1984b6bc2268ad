"""A program in the place of the browser (``web_ui``), and scopes to consent to as well."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from nbauth.core.errors import NbAuthError, SignInCancelled, SignInError, SignInExpired
from nbauth.kernel.session import Session
from nbauth.kernel.sign_in.attempt import SignIn
from tests.harness.panva import Panva
from tests.interop.peers import Peer, assert_plain, peer_of, screen_of, until
from tests.interop.scripted_browser import ScriptedBrowser


def test_it_signs_in_where_nobody_can_answer(
    session: Session, peer: Peer, scripted: ScriptedBrowser
) -> None:
    screen_of(session).there = False
    account = session.login(peer.first, web_ui=scripted)
    assert account.username == peer.account[0]
    assert screen_of(session).shown == []  # nothing is shown to a person
    assert session.acquire(peer.first, interactive=False).source == "cache"


def _raises(kind: type[BaseException]) -> Callable[[str], str]:
    def web_ui(_: str) -> str:
        raise kind("secret-of-mine")

    return web_ui


def _of_another_state(scripted: ScriptedBrowser) -> Callable[[str], str]:
    def web_ui(address: str) -> str:
        ended = urlsplit(scripted(address))
        answer = {**dict(parse_qsl(ended.query)), "state": "another"}
        return ended._replace(query=urlencode(answer)).geturl()

    return web_ui


WRONG: dict[str, tuple[Callable[[ScriptedBrowser], Any], str]] = {
    "raises": (lambda _: _raises(ValueError), "web_ui_failed"),
    "exits": (lambda _: _raises(SystemExit), "sign_in_failed"),
    "interrupts": (lambda _: _raises(KeyboardInterrupt), "sign_in_failed"),
    "another state": (_of_another_state, "state_mismatch"),
    "bytes": (lambda scripted: lambda url: scripted(url).encode(), "web_ui_failed"),
    "nothing": (lambda _: lambda url: None, "web_ui_failed"),
    "no address": (lambda _: lambda url: "", "bad_answer"),
    "the page of the sign-in": (lambda _: lambda url: url, "bad_answer"),
    "no parameter": (lambda _: lambda: "", "web_ui_failed"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_one_is_a_clear_error(
    session: Session, peer: Peer, panva: Panva, scripted: ScriptedBrowser, what: str
) -> None:
    make, code = WRONG[what]
    with pytest.raises(NbAuthError) as failed:
        session.login(peer.first, web_ui=make(scripted))
    assert failed.value.code == code
    assert_plain(failed.value)
    if what == "raises":
        assert "secret-of-mine" not in " ".join(failed.value.lines())
    assert panva.token_requests() == 0
    assert session.accounts() == []
    assert session.login(peer.first, web_ui=scripted).username == peer.account[0]


@pytest.mark.timing
def test_one_that_never_returns_ends_by_time_or_cancel(session: Session, peer: Peer) -> None:
    forever = threading.Event()

    def web_ui(_: str) -> str:
        forever.wait(60)
        return ""

    began = time.monotonic()
    with pytest.raises(SignInExpired) as expired:
        session.login(peer.first, web_ui=web_ui, timeout=0.5)
    assert_plain(expired.value)
    pending = session.login(peer.first, web_ui=web_ui, background=True)
    assert isinstance(pending, SignIn)
    until(lambda: pending.authorize_url or pending.error)
    pending.cancel()
    with pytest.raises(SignInCancelled):
        pending.wait(2)
    assert time.monotonic() - began < 5
    forever.set()


@pytest.mark.parametrize("name", ["microsoft"])
def test_consent_also_is_for_the_authorize_step_only(
    panva: Panva, scripted: ScriptedBrowser, session_for: Callable[[Peer], Session], name: str
) -> None:
    """With a scope of another API, which one token request cannot contain."""
    peer = peer_of(panva, name)
    session = session_for(peer)
    also = ["api://nbauth-test/access_as_user", "Files.Read"]
    # Entra grants what the token request names; this provider grants all that was asked before.
    panva.control(token_answer={"scope": "User.Read openid profile"})
    session.login(peer.first, web_ui=scripted, consent_also=also)
    panva.control(token_answer={})
    (authorize,) = panva.requests("authorization")
    asked = authorize["scope"].split()
    full = ["api://nbauth-test/access_as_user", "https://graph.microsoft.com/Files.Read"]
    assert {*full, "https://graph.microsoft.com/User.Read"} <= {*asked}
    (token,) = panva.requests("token")
    assert not {*full} & {*token["scope"].split()}
    result = session.acquire(peer.first)
    assert (result.source, result.scopes) == ("cache", ("User.Read", "openid", "profile"))
    # The consent is used later, without a question.
    again = session.acquire("Files.Read", interactive=False)
    assert again.source == "refresh"
    other = session.acquire("api://nbauth-test/access_as_user", interactive=False)
    assert other.source in {"refresh", "cache"}  # as this provider grants them together
    assert len(panva.requests("authorization")) == 1


@pytest.fixture
def session_for() -> Any:
    from tests.interop.peers import new_session

    return lambda peer: new_session(**peer.settings)


def test_the_error_of_an_exit_names_it(session: Session, peer: Peer) -> None:
    with pytest.raises(SignInError, match="secret-of-mine"):
        session.login(peer.first, web_ui=_raises(KeyboardInterrupt))

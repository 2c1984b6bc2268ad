"""A host refuses a token and names what it requires: satisfied once, and the call repeated once."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
import requests

from nbauth.core.account import Account
from nbauth.core.errors import InteractionRequired, NbAuthError, SignInCancelled
from nbauth.kernel.accounts import renewal
from nbauth.kernel.calls import refusals
from nbauth.kernel.calls.refusals import PASS_ON
from nbauth.oauth.authorities import parse
from nbauth.testing.clock import FakeClock
from nbauth.testing.engine import FakeEngine, refusal, unreachable
from tests.harness.certificates import Certificates
from tests.kernel.calls import Caller
from tests.kernel.conftest import Bench, at_once, redirect
from tests.oauth.servers import Seen, Server, reply

HOW = ["requests", "httpx", "httpx_async"]
ENTRA = "https://login.microsoftonline.com/contoso.com"
CLAIMS = '{"access_token":{"acrs":{"essential":true,"value":"c1"}}}'
MANY = 10


def challenge(claims: str = CLAIMS) -> str:
    encoded = base64.b64encode(claims.encode()).decode()
    return f'Bearer realm="", error="insufficient_claims", claims="{encoded}"'


STEP_UP = 'Bearer error="insufficient_user_authentication", acr_values="gold silver", max_age="60"'


class Api(Caller):
    """A listed host over TLS that refuses chosen tokens, and a session that calls it."""

    def __init__(
        self, bench: Bench, server: Server, certificates: Certificates, authority: str = ENTRA
    ) -> None:
        self.bench, self.server = bench, server
        self.context = ssl.create_default_context(cafile=str(certificates.ca_file))
        self.host = f"127.0.0.1:{server.port}"
        self.microsoft = authority == ENTRA
        self.scope = "User.Read" if self.microsoft else "read"
        if self.microsoft:
            bench.engine = FakeEngine(parse(ENTRA), "notebooks", clock=bench.clock.time)
            bench.engines[(ENTRA, "notebooks")] = bench.engine
        bench.session.configure(
            authority=authority,
            hosts={self.host: [self.scope]},
            verify=str(certificates.ca_file),
            refresh_ahead=False,
        )
        self.account = self.sign_in("ada")
        self.session = bench.session.authorised_session(self.scope)
        self.challenge = challenge()
        self.refused: set[str] = set()
        server.answer = self.answer

    def sign_in(self, user: str, **options: Any) -> Account:
        return self.bench.sign_in(self.scope, user=user, **options)

    def answer(self, request: Seen) -> bytes:
        if request.headers.get("authorization") in self.refused:
            return reply(401, "{}", WWW_Authenticate=self.challenge)
        return reply(200, "{}")

    def refuse(self, token: str) -> None:
        self.refused.add(f"Bearer {token}")

    def refuse_present(self) -> str:
        """Refuse the token that calls have now."""
        assert self.call("requests").status_code == 200
        self.refuse(token := self.sent()[-1])
        self.server.seen.clear()
        self.bench.engine.calls.clear()
        return token

    def sent(self) -> list[str]:
        return [seen.headers["authorization"].removeprefix("Bearer ") for seen in self.server.seen]

    @property
    def asked(self) -> list[str | None]:
        """The claims of each refresh."""
        refreshes = [one for one in self.bench.engine.calls if one.method == "refresh"]
        return [one.arguments["claims"] for one in refreshes]

    @property
    def sign_ins(self) -> list[Any]:
        """The authorization request of each sign-in."""
        begun = [one for one in self.bench.engine.calls if one.method == "start_device"]
        return [one.arguments["request"] for one in begun]


@pytest.fixture
def api(bench: Bench, server: Server, certificates: Certificates) -> Api:
    """At Entra."""
    return Api(bench, server, certificates)


@pytest.fixture
def other(bench: Bench, server: Server, certificates: Certificates) -> Api:
    """At another OpenID Connect issuer."""
    return Api(bench, server, certificates, bench.environ["NBAUTH_AUTHORITY"])


# ── satisfied by a refresh ──────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("how", HOW)
def test_a_challenge_is_satisfied_silently_and_the_call_repeated_once(api: Api, how: str) -> None:
    before = api.refuse_present()
    assert api.call(how).status_code == 200
    first, second = api.sent()
    assert first == before != second
    assert api.asked == [CLAIMS]
    assert api.bench.screen.shown == []
    assert api.call(how).status_code == 200
    assert api.sent()[2:] == [second], "later calls have the new token"
    assert api.asked == [CLAIMS]


@pytest.mark.parametrize("how", HOW)
def test_the_body_is_sent_again(api: Api, how: str) -> None:
    api.refuse_present()
    body = {"data": b"x"} if how == "requests" else {"content": b"x"}
    assert api.call(how, "POST", **body).status_code == 200
    assert [seen.body for seen in api.server.seen] == [b"x", b"x"]


@pytest.mark.parametrize("how", HOW)
def test_a_challenge_for_each_token_is_handed_to_the_caller(api: Api, how: str) -> None:
    api.server.answer = reply(401, "{}", WWW_Authenticate=api.challenge)
    api.bench.engine.calls.clear()
    response = api.call(how)
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == api.challenge
    assert len(api.server.seen) == 2
    assert api.asked == [None, CLAIMS], "the token of calls, and the one for the challenge"
    assert {api.call(how).status_code for _ in range(MANY)} == {401}
    assert len(api.server.seen) == 2 + MANY
    assert len(api.asked) == 2, "for a minute"


@pytest.mark.parametrize("how", HOW)
def test_a_host_that_always_names_something_else_causes_one_refresh(api: Api, how: str) -> None:
    def answer(_: Seen) -> bytes:
        claims = json.dumps({"access_token": {"nbf": {"value": str(len(api.server.seen))}}})
        return reply(401, "{}", WWW_Authenticate=challenge(claims))

    api.refuse_present()
    api.server.answer = answer
    assert {api.call(how).status_code for _ in range(MANY)} == {401}
    assert len(api.asked) == 1


@pytest.mark.parametrize("how", HOW)
def test_after_a_plain_401_a_challenge_still_counts(api: Api, how: str) -> None:
    """A path that refuses every token must not keep another one from its challenge."""

    def answer(request: Seen) -> bytes:
        return reply(401, "{}") if request.target == "/broken" else api.answer(request)

    api.refuse_present()
    api.server.answer = answer
    assert {api.call(how, path="/broken").status_code for _ in range(3)} == {401}
    api.refuse(api.sent()[-1])
    assert api.call(how).status_code == 200
    assert api.asked == [None, CLAIMS]


@pytest.mark.parametrize("how", HOW)
def test_a_second_requirement_is_satisfied_too(api: Api, how: str) -> None:
    for value in ("c1", "c2", "c1"):
        claims = json.dumps({"access_token": {"acrs": {"value": value}}}, separators=(",", ":"))
        api.challenge = challenge(claims)
        api.refuse_present()
        assert api.call(how).status_code == 200
        assert api.asked == [claims]


@pytest.mark.parametrize("how", HOW)
def test_a_stream_is_not_sent_twice_but_the_next_call_has_the_new_token(api: Api, how: str) -> None:
    def parts() -> Iterator[bytes]:
        yield b"da"
        yield b"ta"

    async def parts_async() -> Any:
        for part in parts():
            yield part

    before = api.refuse_present()
    stream = parts_async() if how == "httpx_async" else parts()
    name = "data" if how == "requests" else "content"
    assert api.call(how, "POST", **{name: stream}).status_code == 401
    assert [seen.body for seen in api.server.seen] == [b"data"]
    assert api.asked == [CLAIMS]
    stream = parts_async() if how == "httpx_async" else parts()
    assert api.call(how, "POST", **{name: stream}).status_code == 200
    assert api.sent()[0] == before != api.sent()[1]
    assert api.asked == [CLAIMS]


# ── simultaneous calls ──────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("how", ["requests", "httpx"])
def test_threads_with_the_same_challenge_share_one_refresh(api: Api, how: str) -> None:
    before = api.refuse_present()
    gate = api.bench.engine.hold("refresh")
    outcomes = at_once(MANY, lambda: api.call(how).status_code, api.bench.flights, gate.open)
    assert outcomes == [200] * MANY
    assert api.asked == [CLAIMS]
    assert len({token for token in api.sent() if token != before}) == 1


def test_a_late_refusal_of_the_old_token_causes_no_refresh(api: Api) -> None:
    """Its request was sent before another one had satisfied the challenge."""
    api.refuse_present()
    assert api.call_during_another() == (200, 200)
    assert api.asked == [CLAIMS]


async def _all_at_once(api: Api) -> list[int]:
    async with api.client(httpx.AsyncClient) as here:
        calls = (here.get(f"https://{api.host}/{number}") for number in range(MANY))
        return [response.status_code for response in await asyncio.gather(*calls)]


def test_tasks_share_one_step_up(api: Api) -> None:
    api.refuse_present()
    api.bench.engine.will("refresh", *[refusal("interaction_required")] * MANY)
    assert asyncio.run(_all_at_once(api)) == [200] * MANY
    assert [request.claims for request in api.sign_ins] == [CLAIMS]
    assert len({id(sign_in) for sign_in in api.bench.screen.shown}) == 1
    assert len(set(api.sent())) == 2
    assert api.asked == [CLAIMS]


# ── satisfied by a sign-in ──────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("how", HOW)
def test_the_person_steps_up_and_the_call_goes_on(api: Api, how: str) -> None:
    before = api.refuse_present()
    api.bench.engine.will("refresh", refusal("interaction_required"))
    assert api.call(how).status_code == 200
    (request,) = api.sign_ins
    assert request.claims == CLAIMS
    assert request.scopes.declares
    assert request.login_hint == "ada@example.com"
    assert api.sent()[0] == before
    assert api.call(how).status_code == 200
    assert len(set(api.sent())) == 2
    assert len(api.sign_ins) == len(api.asked) == 1


@pytest.mark.parametrize("how", HOW)
def test_a_step_up_as_another_person_is_an_error(api: Api, how: str) -> None:
    api.refuse_present()
    api.bench.engine.will("refresh", refusal("interaction_required"))
    api.bench.engine.user = "bob"
    with pytest.raises(NbAuthError) as caught:
        api.call(how)
    assert caught.value.code == "wrong_account"
    assert len(api.server.seen) == 1


@pytest.mark.parametrize("how", HOW)
def test_unattended_it_says_what_the_host_requires(api: Api, how: str) -> None:
    bench = api.bench
    api.refuse_present()
    bench.screen.is_attended = False
    bench.engine.will("refresh", refusal("interaction_required"))
    for _ in range(3):
        with pytest.raises(InteractionRequired) as caught:
            api.call(how)
        assert str(caught.value).startswith("127.0.0.1")
        assert "requires a new sign-in" in str(caught.value)
        assert "--claims" in caught.value.hint
        assert "ada@example.com" in caught.value.hint
    assert len(api.asked) == 1, "for a minute"
    assert len(api.server.seen) == 3
    bench.session.login(api.scope, web_ui=redirect, claims=CLAIMS, force=True)
    assert api.call(how).status_code == 200
    assert api.asked[1:] == [CLAIMS], "the new sign-in is good enough"


def test_after_a_minute_it_is_tried_again(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FakeClock()
    monkeypatch.setattr(refusals, "time", clock)
    monkeypatch.setattr(renewal, "time", clock)
    api.refuse_present()
    api.bench.screen.is_attended = False
    api.bench.engine.will("refresh", refusal("interaction_required"))
    for _ in range(2):
        with pytest.raises(InteractionRequired):
            api.call("requests")
    clock.advance(PASS_ON + 1)
    assert api.call("requests").status_code == 200


def test_another_thread_asks_nobody(api: Api) -> None:
    """Only the main thread of a running cell shows a sign-in."""
    api.refuse_present()
    api.bench.engine.will("refresh", refusal("interaction_required"))
    screen, main = api.bench.screen, threading.current_thread()
    screen.attended = lambda: threading.current_thread() is main  # type: ignore[method-assign]
    with ThreadPoolExecutor(1) as pool, pytest.raises(InteractionRequired):
        pool.submit(lambda: api.call("requests")).result()
    assert screen.shown == []


def test_a_cancelled_step_up_is_an_error(api: Api) -> None:
    api.refuse_present()
    api.bench.engine.will("refresh", refusal("interaction_required"))
    api.bench.engine.hold("poll_device")
    api.bench.screen.person = lambda sign_in: sign_in.cancel()
    with pytest.raises(SignInCancelled):
        api.call("requests")
    assert len(api.server.seen) == 1


# ── other issuers: claims and RFC 9470 need a sign-in ───────────────────────────────────────


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize(
    ("header", "parameters"),
    [(challenge(), (CLAIMS, None, None)), (STEP_UP, (None, "gold silver", 60))],
    ids=["claims", "RFC 9470"],
)
def test_another_issuer_is_asked_by_a_sign_in(
    other: Api, how: str, header: str, parameters: tuple[Any, ...]
) -> None:
    """A refresh can't raise the level of an authentication there."""
    before = other.refuse_present()
    held = other.bench.session.token("read")
    other.challenge = header
    assert other.call(how).status_code == 200
    (request,) = other.sign_ins
    assert (request.claims, request.acr_values, request.max_age) == parameters
    assert other.asked == []
    assert other.sent() == [before, str(held)], "a held token is the new one"
    assert other.call(how).status_code == 200
    assert len(other.sign_ins) == 1


def test_unattended_at_another_issuer(other: Api) -> None:
    other.refuse_present()
    other.challenge = STEP_UP
    other.bench.screen.is_attended = False
    with pytest.raises(InteractionRequired) as caught:
        other.call("requests")
    assert caught.value.code == "step_up_required"
    assert "gold silver" in str(caught.value)
    assert "--max-age 60" in caught.value.hint
    assert other.asked == []


# ── which hosts are listened to ─────────────────────────────────────────────────────────────


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("where", ["directly", "after a redirect"])
def test_a_challenge_of_an_unlisted_host_does_nothing(
    api: Api, certificates: Certificates, how: str, where: str
) -> None:
    api.refuse_present()
    with Server(certificates, answer=reply(401, "", WWW_Authenticate=api.challenge)) as stranger:
        if where == "directly":
            host, api.host = api.host, f"127.0.0.1:{stranger.port}"
            assert api.call(how).status_code == 401
            api.host = host
        else:
            api.server.answer = reply(302, "", Location=f"{stranger.url}/")
            assert api.call(how).status_code == 401
        assert [seen.headers.get("authorization") for seen in stranger.seen] == [None]
    assert api.bench.engine.calls == []


@pytest.mark.parametrize("how", HOW)
def test_after_a_redirect_the_refused_request_is_repeated(api: Api, how: str) -> None:
    def answer(request: Seen) -> bytes:
        return reply(303, "", Location="/b") if request.target == "/a" else api.answer(request)

    api.refuse_present()
    api.server.answer = answer
    assert api.call(how, "POST", "/a").status_code == 200
    seen = [(one.method, one.target) for one in api.server.seen]
    assert seen == [("POST", "/a"), ("GET", "/b"), ("GET", "/b")]
    assert api.asked == [CLAIMS]


def test_a_header_of_the_caller_is_not_replaced(api: Api) -> None:
    api.refuse_present()
    api.refuse("mine")
    url, mine = f"https://{api.host}/", {"Authorization": "Bearer mine"}
    assert api.session.get(url, headers=mine).status_code == 401
    assert api.sent() == ["mine"]
    assert api.asked == []


@pytest.mark.parametrize("how", HOW)
def test_the_account_of_the_call_steps_up(api: Api, how: str) -> None:
    api.refuse_present()
    api.sign_in("bob", force=True)
    assert api.call(how).status_code == 200
    assert {token.split("-")[1] for token in api.sent()} == {"ada"}


@pytest.mark.parametrize("status", [400, 404, 407, 500])
def test_a_response_that_is_no_401_and_no_403_is_handed_on(api: Api, status: int) -> None:
    api.refuse_present()
    api.server.answer = reply(status, "{}", WWW_Authenticate=api.challenge)
    assert api.call("requests").status_code == status
    assert len(api.server.seen) == 1


# ── the capability ──────────────────────────────────────────────────────────────────────────


def declared(api: Api) -> list[bool]:
    """For each refresh: whether it declares the capability."""
    refreshes = [one for one in api.bench.engine.calls if one.method == "refresh"]
    return [one.arguments["scopes"].declares for one in refreshes]


def test_only_calls_declare_the_capability(api: Api) -> None:
    session = api.bench.session
    plain = str(session.token(api.scope))
    assert api.call("requests").status_code == 200
    assert declared(api) == [True], "one refresh more for a person who uses both kinds"
    of_calls = api.sent()[-1]
    assert of_calls != plain
    for _ in range(3):
        assert api.call("httpx").status_code == 200
        assert str(session.token(api.scope)) == api.bench.read(api.scope) == plain
    assert set(api.sent()) == {of_calls}
    assert api.bench.refreshes == 1
    session.acquire(api.scope, force_refresh=True)
    session.acquire(api.scope, claims=CLAIMS)
    session.login(api.scope, web_ui=redirect, force=True)
    assert declared(api) == [True, False, False]
    (begun,) = [one for one in api.bench.engine.calls[-2:] if one.method == "authorize"]
    assert not begun.arguments["request"].scopes.declares


def test_the_sign_in_of_a_call_leaves_the_other_kind_to_one_refresh(api: Api) -> None:
    api.bench.session.logout()
    session = api.bench.session.authorised_session(api.scope)
    assert session.get(f"https://{api.host}/").status_code == 200
    assert [request.scopes.declares for request in api.sign_ins] == [True]
    of_calls = api.sent()[-1]
    assert str(api.bench.session.token(api.scope)) != of_calls
    assert declared(api) == [False]
    assert api.bench.session.login(api.scope).username == "ada@example.com"
    assert len(api.sign_ins) == 1


def test_both_kinds_expire_and_are_renewed_apart(api: Api) -> None:
    token = api.bench.session.token(api.scope)
    assert api.call("requests").status_code == 200
    for expected in (3, 5):
        api.bench.clock.advance(3600)
        assert api.call("requests").status_code == 200
        assert str(token) != api.sent()[-1]
        assert api.call("requests").status_code == 200
        assert api.bench.refreshes == expected
    assert api.bench.engine.reused == []


@pytest.mark.parametrize(
    "authority",
    [
        "https://id.example",
        "https://contoso.b2clogin.com/contoso.onmicrosoft.com/b2c_1_in",
        "https://fs.contoso.com/adfs",
    ],
)
def test_other_authorities_have_no_second_token(bench: Bench, authority: str) -> None:
    bench.engine = bench._engine_for(parse(authority), "notebooks")
    bench.session.configure(authority=authority, hosts={"api.example": ["api://app/read"]})
    bench.sign_in("api://app/read")
    auth = bench.session.authorise("api://app/read")
    request = requests.Request("GET", "https://api.example/").prepare()
    assert auth(request).headers["Authorization"] == f"Bearer {bench.read('api://app/read')}"
    assert bench.refreshes == 0


def test_a_step_up_outdates_the_other_token_of_the_same_scopes(api: Api) -> None:
    held = api.bench.session.token(api.scope)
    before = str(held)
    api.refuse_present()
    api.bench.engine.will("refresh", refusal("interaction_required"))
    assert api.call("requests").status_code == 200
    after = str(held)
    assert before != after != api.sent()[-1]
    assert str(held) == after
    assert declared(api) == [True, False]


@pytest.mark.parametrize("why", [unreachable(), refusal("invalid_grant")], ids=["down", "ended"])
def test_without_a_second_token_calls_use_the_first(api: Api, why: NbAuthError) -> None:
    """As before a provider was asked for it; not at each call."""
    plain = api.bench.read(api.scope)
    api.bench.engine.will("refresh", *[why] * MANY)
    for _ in range(MANY):
        assert api.call("requests").status_code == 200
    assert set(api.sent()) == {plain}
    assert api.bench.refreshes == 1
    assert api.bench.read(api.scope) == plain
    api.bench.clock.advance(31)
    api.bench.engine._script["refresh"].clear()
    if why.code != "invalid_grant":
        assert api.call("requests").status_code == 200
        assert api.sent()[-1] != plain
        assert api.bench.read(api.scope) == plain


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("header", [{}, {"WWW_Authenticate": challenge()}], ids=["401", "named"])
def test_a_refused_call_does_not_use_the_other_token(
    api: Api, how: str, header: dict[str, str]
) -> None:
    """It is older, so the host would refuse it too, and nobody would be asked to sign in."""
    api.bench.read(api.scope)
    token = api.refuse_present()
    api.server.answer = lambda request: (
        reply(401, "{}", **header)
        if request.headers["authorization"].endswith(token)
        else reply(200, "{}")
    )
    api.bench.engine.will("refresh", refusal("invalid_grant"))
    assert api.call(how).status_code == 200
    assert len(api.sign_ins) == 1
    assert api.sent()[1] != api.bench.read(api.scope)


def test_without_a_refresh_token_calls_use_the_first_token(api: Api) -> None:
    engine = api.bench.engine
    api.bench.session.logout()
    engine.will("redeem", lambda: engine.response(("User.Read",), refresh_token=None))
    api.sign_in("ada")
    api.session = api.bench.session.authorised_session(api.scope)
    plain = api.bench.read(api.scope)
    for _ in range(3):
        assert api.call("requests").status_code == 200
    assert set(api.sent()) == {plain}
    assert api.bench.screen.shown == []
    serve: Callable[..., Any] = api.bench.session.cache.serve
    assert serve(api.account.key, api.session.auth._hosts[api.host].key) is not None, "at once"


def test_a_wider_token_of_calls_serves_fewer_scopes(api: Api) -> None:
    bench, host = api.bench, api.host
    bench.session.configure(hosts={host: ["User.Read", "Mail.Read"]})
    wide = bench.session.authorised_session("User.Read", "Mail.Read")
    assert wide.get(f"https://{host}/").status_code == 200
    refreshes = bench.refreshes
    assert bench.session.authorised_session("User.Read").get(f"https://{host}/").ok
    assert len(set(api.sent())) == 1
    assert bench.refreshes == refreshes
    assert bench.read("User.Read") not in api.sent()


def test_a_call_joins_a_sign_in_in_progress(api: Api) -> None:
    """It shows no second one, though its token is stored apart."""
    bench = api.bench
    bench.session.logout()
    gate = bench.engine.hold("poll_device")
    bench.engine.calls.clear()
    bench.session.login(api.scope, background=True)
    session = bench.session.authorised_session(api.scope)
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(lambda: session.get(f"https://{api.host}/").status_code)
        assert gate.reached.wait(5)
        gate.open()
        assert call.result() == 200
    assert len(api.sign_ins) == 1
    assert declared(api) == [True]


def test_a_call_joins_a_sign_in_that_consents_to_its_scopes(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench, attempts = api.bench, api.bench.session._attempts
    bench.session.configure(hosts={api.host: ["Mail.Read"]})
    bench.engine.ungranted = {"https://graph.microsoft.com/Mail.Read"}
    gate = bench.engine.hold("poll_device")
    bench.session.login("Mail.Read", background=True)
    assert gate.reached.wait(5)
    join, sign_in = attempts.join, attempts.sign_in

    def go_on(call: Callable[..., Any]) -> Callable[..., Any]:
        def called(*given: Any) -> Any:
            bench.engine.ungranted = set()
            gate.open()
            return call(*given)

        return called

    monkeypatch.setattr(attempts, "join", go_on(join))
    monkeypatch.setattr(attempts, "sign_in", go_on(sign_in))
    session = bench.session.authorised_session("Mail.Read")
    assert session.get(f"https://{api.host}/").status_code == 200
    assert len(api.sign_ins) == 1

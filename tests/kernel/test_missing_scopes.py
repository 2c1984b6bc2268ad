"""A host says that the token lacks scopes: consent is offered once, and the call repeated once."""

from __future__ import annotations

import asyncio
import gzip
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from nbauth.core.account import Account
from nbauth.core.interrupted import SignInInterrupted
from nbauth.kernel.calls import authorise, offers
from nbauth.kernel.calls.offers import PAUSE, Attempt
from nbauth.kernel.sign_in.attempt import SignIn
from nbauth.oauth.authorities import parse
from nbauth.oauth.missing_scopes import MOST_BODY
from nbauth.testing.clock import FakeClock
from nbauth.testing.engine import FakeEngine, refusal, unreachable
from tests.harness.certificates import Certificates
from tests.kernel.calls import Caller
from tests.kernel.conftest import Bench, redirect, until
from tests.kernel.test_claims_challenge import CLAIMS, challenge
from tests.oauth.servers import Seen, Server, reply

HOW = ["requests", "httpx", "httpx_async"]
ENTRA = "https://login.microsoftonline.com/contoso.com"
NARROW = "https://login.contoso.example/contoso.onmicrosoft.com"
GRAPH = "https://graph.microsoft.com/"
DEFAULT = f"{GRAPH}.default"
MANY = 10


def insufficient(*scopes: str) -> str:
    return f'Bearer realm="api", error="insufficient_scope", scope="{" ".join(scopes)}"'


def graph_text(*scopes: str) -> str:
    """As Microsoft Graph writes it."""
    text = (
        f"Missing scope permissions on the request. API requires one of '{', '.join(scopes)}'."
        " Scopes on the request 'User.Read'"
    )
    return json.dumps({"error": {"code": "Forbidden", "message": text}})


class Api(Caller):
    """A listed host over TLS that wants a scope, and a session that calls it."""

    def __init__(
        self,
        bench: Bench,
        server: Server,
        certificates: Certificates,
        *,
        microsoft: bool = True,
        entra: str = ENTRA,
    ) -> None:
        self.bench, self.server = bench, server
        self.context = ssl.create_default_context(cafile=str(certificates.ca_file))
        self.host = f"127.0.0.1:{server.port}"
        self.microsoft = microsoft
        self.has, self.needs = ("User.Read", "Mail.Read") if microsoft else ("read", "write")
        entry = [DEFAULT] if microsoft else ["read", "write"]
        authority = entra if microsoft else bench.environ["NBAUTH_AUTHORITY"]
        if microsoft:
            bench.engine = FakeEngine(parse(entra), "notebooks", clock=bench.clock.time)
            bench.engine.ungranted = {f"{GRAPH}Mail.Read"}
            bench.engines[(entra, "notebooks")] = bench.engine
        bench.session.configure(
            authority=authority,
            hosts={self.host: entry},
            verify=str(certificates.ca_file),
            refresh_ahead=False,
        )
        self.account = self.sign_in("ada")
        self.session = bench.session.authorised_session(self.has)
        self.body: str | bytes = "{}"
        self.headers = {"WWW_Authenticate": insufficient(self.needs)}
        self.status = 403
        server.answer = self.answer

    def sign_in(self, user: str, *scopes: str, **options: Any) -> Account:
        return self.bench.sign_in(*(scopes or [self.has]), user=user, **options)

    def answer(self, request: Seen) -> bytes:
        scopes = self.scopes_of(request.headers.get("authorization", ""))
        if self.needs in scopes or f"{GRAPH}{self.needs}" in scopes:
            return reply(200, "{}")
        return self.refusal()

    def refusal(self) -> bytes:
        return reply(self.status, self.body, **self.headers)

    def scopes_of(self, header: str) -> tuple[str, ...]:
        text = header.removeprefix("Bearer ")
        for token in list(self.bench.session.cache.tokens.values()):
            if token.response.access_token == text:
                return tuple(token.response.scopes)
        return ()

    def sent(self) -> list[str]:
        return [seen.headers["authorization"].removeprefix("Bearer ") for seen in self.server.seen]

    @property
    def said(self) -> list[str]:
        return self.bench.screen.said

    @property
    def line(self) -> str:
        (line,) = self.said
        return line

    @property
    def offered(self) -> list[SignIn]:
        return list(dict.fromkeys(self.bench.screen.shown))  # type: ignore[arg-type]

    @property
    def refreshes(self) -> int:
        return self.bench.engine.count("refresh")


@pytest.fixture
def api(bench: Bench, server: Server, certificates: Certificates) -> Api:
    """At Entra."""
    return Api(bench, server, certificates)


@pytest.fixture
def other(bench: Bench, server: Server, certificates: Certificates) -> Api:
    """At another OpenID Connect issuer."""
    return Api(bench, server, certificates, microsoft=False)


@pytest.fixture
def narrow(bench: Bench, server: Server, certificates: Certificates) -> Api:
    """At a provider with Entra's protocol, whose tokens have the requested scopes only."""
    return Api(bench, server, certificates, entra=NARROW)


@pytest.fixture(params=["entra", "other issuer"])
def any_api(
    request: pytest.FixtureRequest, bench: Bench, server: Server, certificates: Certificates
) -> Api:
    return Api(bench, server, certificates, microsoft=request.param == "entra")


# ── the person consents ─────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("status", [403, 401])
def test_the_person_consents_and_the_call_goes_on(any_api: Api, how: str, status: int) -> None:
    api = any_api
    api.status = status
    assert api.call(how).status_code == 200
    assert len(api.server.seen) == 2
    (sign_in,) = api.offered
    asked = sign_in.request.authorization
    assert [scope.removeprefix(GRAPH) for scope in asked.scopes] == [api.has, api.needs]
    assert asked.login_hint == "ada@example.com"
    assert sign_in.request.asked_by == api.host
    assert api.said == []
    assert api.call(how).status_code == 200
    assert len(api.server.seen) == 3, "later calls have the wider token at once"
    assert len(api.offered) == 1


@pytest.mark.parametrize("how", HOW)
def test_the_text_of_graph_names_the_scope(api: Api, how: str) -> None:
    api.headers = {"Content-Type": "application/json"}
    api.body = graph_text("Mail.ReadWrite", "Mail.Read")
    assert api.call(how).status_code == 200
    (sign_in,) = api.offered
    assert f"{GRAPH}Mail.Read" in sign_in.request.scopes, "the one that reads only"
    assert f"{GRAPH}Mail.ReadWrite" not in sign_in.request.scopes


@pytest.mark.parametrize("how", HOW)
def test_the_body_is_sent_again(any_api: Api, how: str) -> None:
    body = {"data": b"x"} if how == "requests" else {"content": b"x"}
    assert any_api.call(how, "POST", **body).status_code == 200
    assert [seen.body for seen in any_api.server.seen] == [b"x", b"x"]


@pytest.mark.parametrize("how", HOW)
def test_what_was_consented_to_before_needs_no_person(any_api: Api, how: str) -> None:
    """As after the %login of the line."""
    api = any_api
    api.bench.screen.is_attended = False
    assert api.call(how).status_code == 403
    line = api.line
    words = line.partition("%login ")[2].partition(",")[0].split()
    assert words == (["Mail.Read"] if api.microsoft else ["read", "write"])
    api.bench.engine.ungranted.clear()
    api.sign_in("ada", *words)
    assert api.call(how).status_code == 200, "at once, though a minute is not over"
    assert api.said == [line]


def test_the_scope_default_is_not_combined(api: Api) -> None:
    api.session = api.bench.session.authorised_session()
    api.bench.engine.will("refresh", api.bench.engine.response(["User.Read"]))
    assert api.call("requests").status_code == 200
    (sign_in,) = api.offered
    assert list(sign_in.request.scopes) == [f"{GRAPH}Mail.Read"]


def test_where_tokens_have_only_requested_scopes_none_is_lost(narrow: Api) -> None:
    """There, a token for one more scope alone would lack those that .default gave."""
    api = narrow
    gone = api.bench.engine.ungranted
    api.session = api.bench.session.authorised_session()
    api.bench.engine.will("refresh", api.bench.engine.response([f"{GRAPH}User.Read"]))
    for needs in ("Mail.Read", "Calendars.Read", "User.Read", "Mail.Read"):
        api.needs = needs
        gone |= set() if needs == "User.Read" else {f"{GRAPH}{needs}"}
        api.headers = {"WWW_Authenticate": insufficient(needs)}
        assert api.call("requests").status_code == 200, needs
    assert [set(one.request.authorization.scopes) for one in api.offered] == [
        {f"{GRAPH}User.Read", f"{GRAPH}Mail.Read"},
        {f"{GRAPH}User.Read", f"{GRAPH}Mail.Read", f"{GRAPH}Calendars.Read"},
    ]


def test_after_a_sign_out_it_is_offered_again(any_api: Api) -> None:
    """The new sign-in need not have what the last one had."""
    assert any_api.call("requests").status_code == 200
    any_api.bench.session.logout(all=True)
    any_api.sign_in("ada")
    any_api.session = any_api.bench.session.authorised_session(any_api.has)
    assert any_api.call("requests").status_code == 200
    assert len(any_api.offered) == 2


def test_what_was_in_vain_for_one_token_is_tried_for_another_one() -> None:
    """Another object may request other scopes for the same host."""
    known = offers.Offers()
    known.in_vain(("host", None, frozenset({"a"})), ("x",), 0, asking=True)
    assert known.is_in_vain(("host", None, frozenset({"a"})), ("x",), 0, asking=True)
    assert not known.is_in_vain(("host", None, frozenset({"b"})), ("x",), 0, asking=True)


def test_two_scopes_one_after_the_other(api: Api) -> None:
    assert api.call("requests").status_code == 200
    api.needs = "Calendars.Read"
    api.bench.engine.ungranted.add(f"{GRAPH}Calendars.Read")
    api.headers = {"WWW_Authenticate": insufficient("Calendars.Read")}
    assert api.call("requests").status_code == 200
    names = {scope.removeprefix(GRAPH) for scope in api.offered[-1].request.scopes}
    assert names == {"User.Read", "Mail.Read", "Calendars.Read"}


def test_the_wider_token_is_renewed_and_given_up_after_a_sign_out(api: Api) -> None:
    assert api.call("requests").status_code == 200
    api.bench.engine.ungranted.clear()
    api.bench.clock.advance(4000)
    assert api.call("requests").status_code == 200
    assert len(api.server.seen) == 3
    api.bench.session.logout()
    api.bench.screen.is_attended = False
    with pytest.raises(Exception, match="signed out"):
        api.call("requests")


@pytest.mark.parametrize("how", HOW)
def test_if_the_wider_token_is_gone_the_call_has_the_other_one(api: Api, how: str) -> None:
    assert api.call(how).status_code == 200
    api.bench.clock.advance(4000)  # ungranted: a refresh does not get Mail.Read
    api.bench.screen.is_attended = False
    assert api.call(how).status_code == 403
    assert api.scopes_of(f"Bearer {api.sent()[-1]}") == (f"{GRAPH}User.Read",)


# ── nobody consents ─────────────────────────────────────────────────────────────────────────


def nobody(api: Api) -> None:
    api.bench.screen.is_attended = False


def cancels(api: Api) -> None:
    api.bench.engine.hold("poll_device")
    api.bench.screen.person = lambda sign_in: sign_in.cancel()


def declines(api: Api) -> None:
    api.bench.engine.will("poll_device", *[refusal("access_denied")] * MANY)


def is_too_late(api: Api) -> None:
    api.bench.engine.will("poll_device", *[refusal("expired_token")] * MANY)


def is_somebody_else(api: Api) -> None:
    api.bench.engine.user = "bob"


def is_cut_off(api: Api) -> None:
    # At Entra the refresh is tried first.
    api.bench.engine.will("refresh", *[unreachable()] * MANY)
    api.bench.engine.will("start_device", *[unreachable()] * MANY)


NOT_GIVEN = [nobody, cancels, declines, is_too_late, is_somebody_else, is_cut_off]


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("why", NOT_GIVEN)
def test_the_caller_gets_the_403_and_one_line(
    any_api: Api, how: str, why: Callable[[Api], None]
) -> None:
    api = any_api
    api.body = json.dumps({"error": "x" * 999})
    api.headers["Content-Type"] = "application/json"
    assert api.bench.session.authorised_session(api.has).get(f"https://{api.host}/x").ok is not None
    fresh_bench(api)
    why(api)
    for _ in range(3):
        response = api.call(how)
        assert response.status_code == 403
        assert response.text == api.body
        assert response.headers["WWW-Authenticate"] == insufficient(api.needs)
    assert len(api.server.seen) == 3, "not repeated"
    assert len(api.offered) <= 1
    assert api.host in api.line
    assert f"The token has {api.has}" in api.line
    assert f"lacks {api.needs}" in api.line
    assert "%login" in api.line


def fresh_bench(api: Api) -> None:
    """Forget what setting up did."""
    refusals = api.bench.session._refusals
    refusals.offers = type(refusals.offers)()
    api.bench.session.logout(all=True)
    api.sign_in("ada")
    api.session = api.bench.session.authorised_session(api.has)
    api.bench.engine.ungranted = {f"{GRAPH}Mail.Read"}
    api.bench.screen.shown.clear()
    api.bench.screen.said.clear()
    api.server.seen.clear()
    api.bench.engine.calls.clear()


def test_after_a_minute_it_is_offered_again(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FakeClock()
    monkeypatch.setattr(offers, "time", clock)
    monkeypatch.setattr("nbauth.kernel.sign_in.attempt.time", clock)
    cancels(api)
    for expected in (1, 2):
        for _ in range(3):
            assert api.call("requests").status_code == 403
        assert len(api.offered) == len(api.said) == expected
        clock.advance(PAUSE + 1)
        cancels(api)


def test_without_a_person_many_calls_cost_one_refresh(api: Api) -> None:
    nobody(api)
    api.call("requests")
    before = api.refreshes
    for _ in range(MANY):
        assert api.call("requests").status_code == 403
    assert api.refreshes == before


@pytest.mark.parametrize("how", HOW)
def test_a_host_that_refuses_the_wider_token_too_is_asked_no_more(any_api: Api, how: str) -> None:
    api = any_api
    api.server.answer = lambda _: api.refusal()
    for number in range(MANY):
        assert api.call(how).status_code == 403
        assert len(api.server.seen) == 2 + number
    assert len(api.offered) == 1
    assert "requires" in api.line


def test_a_host_that_always_names_another_scope_shows_one_panel(api: Api) -> None:
    cancels(api)

    def answer(_: Seen) -> bytes:
        return reply(403, "{}", WWW_Authenticate=insufficient(f"S{len(api.server.seen)}.Read"))

    api.server.answer = answer
    api.bench.engine.ungranted |= {f"{GRAPH}S{number}.Read" for number in range(MANY * 2)}
    for _ in range(MANY):
        assert api.call("requests").status_code == 403
    assert len(api.offered) == 1


def test_an_interrupt_ends_the_cell(api: Api) -> None:
    """And the next run of the cell may offer it again."""
    gate = api.bench.engine.hold("poll_device")

    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    wait = api.bench.screen.wait
    api.bench.screen.wait = interrupted  # type: ignore[method-assign]
    with pytest.raises((SignInInterrupted, KeyboardInterrupt)):
        api.call("requests")
    api.bench.screen.wait = wait  # type: ignore[method-assign]
    gate.open()
    assert api.call("requests").status_code == 200


def test_a_provider_that_does_not_grant_it(other: Api) -> None:
    granted = other.bench.engine.response(["read"])
    other.bench.engine.will("poll_device", granted)
    for number in range(3):
        assert other.call("requests").status_code == 403
        assert len(other.server.seen) == number + 1
    assert len(other.offered) == 1


# ── at the same time ────────────────────────────────────────────────────────────────────────


def test_tasks_share_one_consent(any_api: Api) -> None:
    api = any_api

    async def all_at_once() -> list[int]:
        async with api.client(httpx.AsyncClient) as here:
            calls = (here.get(f"https://{api.host}/{number}") for number in range(MANY))
            return [response.status_code for response in await asyncio.gather(*calls)]

    assert asyncio.run(all_at_once()) == [200] * MANY
    assert len(api.offered) == 1
    assert len(api.server.seen) <= 2 * MANY


@pytest.mark.parametrize("consents", [True, False])
def test_tasks_that_lack_other_scopes_show_one_panel_at_a_time(api: Api, consents: bool) -> None:
    """The host names another scope in each response."""
    open_panels: list[int] = []
    gate = api.bench.engine.hold("poll_device")

    def person(sign_in: Any) -> None:
        until(lambda: len(api.server.seen) >= MANY)
        open_panels.append(sum(each.state == "waiting" for each in api.offered))
        if not consents:
            sign_in.cancel()
        gate.open()

    api.bench.screen.person = person
    api.bench.engine.ungranted |= {f"{GRAPH}S{number}.Read" for number in range(MANY)}

    def answer(request: Seen) -> bytes:
        name = f"S{request.target.strip('/')}.Read"
        if f"{GRAPH}{name}" in api.scopes_of(request.headers["authorization"]):
            return reply()
        return reply(403, "{}", WWW_Authenticate=insufficient(name))

    api.server.answer = answer

    async def all_at_once() -> list[int]:
        async with api.client(httpx.AsyncClient) as here:
            calls = (here.get(f"https://{api.host}/{number}") for number in range(MANY))
            return [response.status_code for response in await asyncio.gather(*calls)]

    statuses = asyncio.run(all_at_once())
    assert set(open_panels) == {1}
    assert statuses.count(200) == (len(api.offered) if consents else 0)
    assert statuses.count(200) + statuses.count(403) == MANY


def test_one_offer_at_a_time_for_a_host() -> None:
    place = ("host", None, frozenset[str]())
    known, attempt = offers.Offers(), Attempt(asking=True, asks=True, joins=True)
    with known.asking(attempt, place, ("a",)):
        with pytest.raises(KeyboardInterrupt), known.asking(attempt, place, ("a",)):
            assert known.may_offer(place, ("a",), 0)
            assert not known.may_offer(place, ("b",), 0)
            raise KeyboardInterrupt
        assert not known.may_offer(place, ("b",), 0)
    assert known.may_offer(place, ("b",), 0)


def test_another_thread_joins_the_panel_and_opens_none(api: Api) -> None:
    screen, main = api.bench.screen, threading.current_thread()
    screen.attended = lambda: threading.current_thread() is main  # type: ignore[method-assign]
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(lambda: api.call("requests")).result().status_code == 403
        assert api.offered == []
        fresh_bench(api)
        gate = api.bench.engine.hold("poll_device")
        joined: list[Any] = []

        def person(_: Any) -> None:
            joined.append(pool.submit(lambda: api.call("httpx").status_code))
            until(lambda: len(api.server.seen) == 2)
            gate.open()

        screen.person = person
        assert api.call("requests").status_code == 200
        assert joined[0].result() == 200
    assert len(api.offered) == 1


def test_the_thread_does_not_keep_the_main_thread_from_offering(api: Api) -> None:
    screen, main = api.bench.screen, threading.current_thread()
    screen.attended = lambda: threading.current_thread() is main  # type: ignore[method-assign]
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(lambda: api.call("requests")).result().status_code == 403
    assert api.call("requests").status_code == 200


def test_a_late_403_of_the_old_token_offers_nothing(api: Api) -> None:
    assert api.call_during_another() == (200, 200)
    assert len(api.offered) == 1


# ── the account changes ─────────────────────────────────────────────────────────────────────


def test_somebody_else_signs_in_and_no_token_of_theirs_is_sent(any_api: Api) -> None:
    any_api.bench.engine.user = "bob"
    assert any_api.call("requests").status_code == 403
    assert {token.split("-")[1] for token in any_api.sent()} == {"ada"}
    assert any_api.bench.session.acquire().account.username == "ada@example.com"


@pytest.mark.parametrize("act", ["logout", "switch"])
def test_a_change_while_the_panel_is_open(any_api: Api, act: str) -> None:
    api = any_api
    api.sign_in("bob", force=True)
    api.bench.session.use("ada@example.com")
    api.bench.engine.user = "ada"
    gate = api.bench.engine.hold("poll_device")

    def person(_: Any) -> None:
        if act == "logout":
            api.bench.session.logout("ada@example.com")
        else:
            api.bench.session.use("bob@example.com")
        gate.open()

    api.bench.screen.person = person
    assert api.call("requests").status_code == (403 if act == "logout" else 200)
    assert {token.split("-")[1] for token in api.sent()} == {"ada"}


def test_the_line_names_an_account_that_is_not_the_current_one(api: Api) -> None:
    api.sign_in("bob", force=True)
    nobody(api)
    assert api.call("requests").status_code == 403
    assert "%login --account ada@example.com Mail.Read" in api.line


# ── with the other repetitions ──────────────────────────────────────────────────────────────


@pytest.mark.parametrize("how", HOW)
def test_a_403_after_a_401(any_api: Api, how: str) -> None:
    """Each is repeated once."""
    api = any_api
    first: list[str] = []

    def answer(request: Seen) -> bytes:
        first.append(request.headers["authorization"])
        return reply(401, "{}") if first[0] == first[-1] else api.answer(request)

    api.server.answer = answer
    assert api.call(how).status_code == 200
    assert len(api.server.seen) == 3
    assert len(api.offered) == 1


@pytest.mark.parametrize("how", HOW)
def test_a_401_after_the_consent_is_the_callers(any_api: Api, how: str) -> None:
    api = any_api
    api.server.answer = lambda _: api.refusal() if len(api.server.seen) == 1 else reply(401, "{}")
    assert api.call(how).status_code == 401
    assert len(api.server.seen) == 2


@pytest.mark.parametrize("how", HOW)
def test_a_401_of_the_wider_token_renews_that_one(any_api: Api, how: str) -> None:
    api = any_api
    assert api.call(how).status_code == 200
    api.bench.engine.ungranted.clear()
    refused = f"Bearer {api.sent()[-1]}"

    def answer(request: Seen) -> bytes:
        return reply(401) if request.headers["authorization"] == refused else api.answer(request)

    api.server.answer = answer
    assert api.call(how).status_code == 200
    assert len(api.offered) == 1


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("status", [302, 307])
def test_a_403_at_the_second_hop(any_api: Api, how: str, status: int) -> None:
    """Only the refused request is repeated, not the one that was moved."""
    api = any_api

    def answer(request: Seen) -> bytes:
        moved = request.target == "/"
        return reply(status, "", Location="/done") if moved else api.answer(request)

    api.server.answer = answer
    body = {"data": b"x"} if how == "requests" else {"content": b"x"}
    assert api.call(how, "POST", **body).status_code == 200
    assert [seen.target for seen in api.server.seen] == ["/", "/done", "/done"]


@pytest.mark.parametrize("how", HOW)
def test_a_403_of_an_unlisted_host_is_handed_on(api: Api, how: str) -> None:
    with Server(answer=reply(403, "", WWW_Authenticate=insufficient("Mail.Read"))) as elsewhere:
        api.server.answer = reply(302, "", Location=f"{elsewhere.url}/")
        assert api.call(how).status_code == 403
    assert api.offered == []
    assert api.said == []


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("status", [401, 403])
def test_a_claims_challenge_is_satisfied_whatever_the_status(
    api: Api, how: str, status: int
) -> None:
    def answer(request: Seen) -> bytes:
        seen = [one.headers["authorization"] for one in api.server.seen]
        fresh = request.headers["authorization"] != seen[0]
        return reply(200) if fresh else reply(status, "{}", WWW_Authenticate=challenge())

    api.server.answer = answer
    api.bench.engine.calls.clear()
    assert api.call(how).status_code == 200
    claims = [one.arguments["claims"] for one in api.bench.engine.calls if one.method == "refresh"]
    assert claims[-1] == CLAIMS
    assert api.offered == []


@pytest.mark.parametrize("how", HOW)
def test_a_claims_challenge_in_each_403_is_handed_on(api: Api, how: str) -> None:
    api.server.answer = reply(403, "{}", WWW_Authenticate=challenge())
    for number in range(3):
        assert api.call(how).status_code == 403
        assert len(api.server.seen) == 2 + number
    assert api.said == []


def test_an_own_header_is_not_replaced(any_api: Api) -> None:
    url, mine = f"https://{any_api.host}/", {"Authorization": "Bearer mine"}
    assert any_api.session.get(url, headers=mine).status_code == 403
    assert any_api.offered == []
    assert any_api.said == []


# ── streams ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("how", HOW)
def test_an_upload_from_a_stream_is_not_repeated(any_api: Api, how: str) -> None:
    def parts() -> Iterator[bytes]:
        yield b"da"
        yield b"ta"

    async def parts_async() -> Any:
        for part in parts():
            yield part

    def stream() -> Any:
        return parts_async() if how == "httpx_async" else parts()

    api = any_api
    name = "data" if how == "requests" else "content"
    assert api.call(how, "POST", **{name: stream()}).status_code == 403
    assert len(api.server.seen) == len(api.offered) == 1
    assert api.call(how, "POST", **{name: stream()}).status_code == 200
    assert len(api.server.seen) == 2, "the next one has the wider token"


@pytest.mark.parametrize("how", HOW)
def test_a_body_is_not_read_if_the_header_names_the_scope(
    api: Api, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host may never send it, and a streamed call may have no time-out."""

    def read(*_: Any, **__: Any) -> None:
        raise AssertionError("the body was read")

    for name in ("peek", "peek_httpx", "peek_httpx_async"):
        monkeypatch.setattr(authorise, name, read)
    api.headers["Content_Type"] = "application/json"
    assert streamed(api, how, "whole")[0] == 200
    assert len(api.offered) == 1


BODIES = {
    "short": (graph_text("Mail.Read").encode(), True),
    "gzip": (gzip.compress(graph_text("Mail.Read").encode()), True),
    "limit": (graph_text("Mail.Read").encode().ljust(MOST_BODY), True),
    "long": (graph_text("Mail.Read").encode().ljust(MOST_BODY + 1), False),
    "very long": (graph_text("Mail.Read").encode().ljust(199_999), False),
    "bomb": (gzip.compress(b" " * 999_999), False),
    "no json": (b"<html>" + graph_text("Mail.Read").encode(), False),
    "deep": (b"[" * 9_999, False),
    "empty": (b"", False),
}


def streamed(api: Api, how: str, way: str) -> tuple[int, bytes]:
    """The status and the body of a streamed response."""
    url = f"https://{api.host}/"
    if how == "requests":
        with api.session.get(url, stream=True) as response:
            if way == "raw":
                return response.status_code, response.raw.read(decode_content=True)
            if way == "as it arrives":
                read = getattr(response.raw, "read1", response.raw.read)  # urllib3 1 lacks it
                parts = iter(lambda: read(777, decode_content=True), b"")
                return response.status_code, b"".join(parts)
            if way == "parts":
                return response.status_code, b"".join(response.iter_content(777))
            return response.status_code, response.content
    if how == "httpx":
        with api.client(httpx.Client) as here, here.stream("GET", url) as answer:
            if way == "raw":
                raw = b"".join(answer.iter_raw())
                return answer.status_code, unpacked(raw, answer)
            parts = answer.iter_bytes(777) if way == "parts" else [answer.read()]
            return answer.status_code, b"".join(parts)

    async def ask() -> tuple[int, bytes]:
        async with api.client(httpx.AsyncClient) as here, here.stream("GET", url) as answer:
            if way == "raw":
                raw = b"".join([part async for part in answer.aiter_raw()])
                return answer.status_code, unpacked(raw, answer)
            if way == "parts":
                parts = [part async for part in answer.aiter_bytes(777)]
                return answer.status_code, b"".join(parts)
            return answer.status_code, await answer.aread()

    return asyncio.run(ask())


def unpacked(raw: bytes, response: httpx.Response) -> bytes:
    return gzip.decompress(raw) if "Content-Encoding" in response.headers else raw


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("kind", BODIES)
@pytest.mark.parametrize(
    ("way", "chunked"),
    [
        ("whole", False),
        ("parts", False),
        ("parts", True),
        ("raw", True),
        ("as it arrives", False),
        ("as it arrives", True),
    ],
)
def test_the_caller_reads_the_whole_body(
    api: Api, how: str, way: str, kind: str, chunked: bool
) -> None:
    body, is_read = BODIES[kind]
    packed = kind in ("gzip", "bomb")
    headers = ["Content-Type: application/json; charset=utf-8"]
    headers += ["Content-Encoding: gzip"] if packed else []
    if chunked:
        parts = [body[at : at + 5_000] for at in range(0, len(body), 5_000)]
        data = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
        headers.append("Transfer-Encoding: chunked")
    else:
        data = body
        headers.append(f"Content-Length: {len(body)}")
    lines = ["HTTP/1.1 403 X", *headers, "Connection: close", "", ""]
    api.server.answer = "\r\n".join(lines).encode() + data
    nobody(api)
    status, got = streamed(api, how, way)
    assert (status, got) == (403, gzip.decompress(body) if packed else body)
    assert ("lacks Mail.Read" in api.line) is is_read


@pytest.mark.parametrize("how", HOW)
def test_a_streamed_call_goes_on_after_the_consent(api: Api, how: str) -> None:
    api.headers = {"Content-Type": "application/json"}
    api.body = graph_text("Mail.Read")
    assert streamed(api, how, "parts") == (200, b"{}")


@pytest.mark.parametrize("how", HOW)
def test_a_body_that_breaks_off_is_no_obstacle(api: Api, how: str) -> None:
    lines = ["HTTP/1.1 403 X", "Content-Type: application/json", "Content-Length: 99", "", ""]
    api.server.answer = "\r\n".join(lines).encode() + b'{"error"'
    nobody(api)
    with pytest.raises(Exception, match=r"(?i)incomplete|peer closed|not read|broken"):
        streamed(api, how, "parts")


# ── what a hostile host may not do ──────────────────────────────────────────────────────────


HOSTILE = [
    ("https://vault.azure.net/user_impersonation",),
    ("https://graph.microsoft.com.evil.example/Mail.Read",),
    ("https://graph.microsoft.com/x/Mail.Read",),
    ("api://other/read",),
    ("00000003-0000-0000-c000-000000000000/Mail.Read",),
    (".default",),
    (f"{GRAPH}.default",),
    (f"{GRAPH}.DEFAULT",),
    ("openid",),
    ("Offline_Access",),
    ("Mail.Read", "offline_access"),
    ("Mail.Read", "https://vault.azure.net/.default"),
    tuple(f"S{number}" for number in range(100)),
    ("x" * 201,),
    ("",),
    ("Mail.Read\\",),
    ("\u041cail.Read",),
    (f"{GRAPH}",),
    ("//Mail.Read",),
]


@pytest.mark.parametrize("scopes", HOSTILE)
def test_at_entra_only_scopes_of_the_hosts_own_api(api: Api, scopes: tuple[str, ...]) -> None:
    api.headers = {"WWW_Authenticate": insufficient(*scopes).encode().decode("latin-1")}
    response = api.call("requests")
    assert response.status_code == 403
    assert api.offered == []
    assert len(api.server.seen) == 1
    assert "%login" not in api.line
    assert "The token has User.Read." in api.line


@pytest.mark.parametrize(
    "scopes", [("openid",), ("email",), ("",), tuple("abcdefghi"), ("x" * 201,), ("a\x7f",)]
)
def test_elsewhere_too(other: Api, scopes: tuple[str, ...]) -> None:
    other.headers = {"WWW_Authenticate": insufficient(*scopes)}
    assert other.call("requests").status_code == 403
    assert other.offered == []
    assert "%login" not in other.line


@pytest.mark.parametrize("how", HOW)
def test_no_token_is_wider_than_the_hosts_entry(any_api: Api, how: str) -> None:
    """The line says what to add, and to whom."""
    api = any_api
    api.bench.session.configure(hosts={api.host: [api.has]})
    api.session = api.bench.session.authorised_session()
    assert api.call(how).status_code == 403
    assert api.offered == []
    assert len(api.server.seen) == 1
    assert f"lacks {api.needs}" in api.line
    assert "setting hosts" in api.line
    assert "%login" not in api.line


def test_another_issuers_default_means_nothing(other: Api) -> None:
    other.bench.session.configure(hosts={other.host: ["https://a.example/.default"]})
    other.sign_in("ada", "https://a.example/.default")
    other.session = other.bench.session.authorised_session()
    other.headers = {"WWW_Authenticate": insufficient("https://a.example/write")}
    assert other.call("requests").status_code == 403
    assert other.offered == []


def test_the_line_shows_no_control_characters(api: Api) -> None:
    token = api.bench.engine.response(["User.Read", "\x1b[31mred\u202e"])
    api.bench.engine.will("refresh", token)
    api.bench.clock.advance(4000)
    api.headers = {}
    assert api.call("requests").status_code == 403
    assert "User.Read" in api.line
    assert not set(api.line) & {"\x1b", "\u202e"}


# ── no scope is known ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("how", HOW)
def test_without_a_named_scope_the_line_says_what_the_token_has(any_api: Api, how: str) -> None:
    api = any_api
    api.headers = {}
    for number in range(3):
        assert api.call(how).status_code == 403
        assert len(api.server.seen) == number + 1
    assert api.offered == []
    assert f"{api.host} refused the request (403). The token has {api.has}." in api.line


def test_a_scope_that_the_token_has_is_not_asked_for(any_api: Api) -> None:
    any_api.headers = {"WWW_Authenticate": insufficient(any_api.has)}
    assert any_api.call("requests").status_code == 403
    assert any_api.offered == []
    assert "role" in any_api.line


def test_an_applications_role_is_granted_by_an_administrator(api: Api) -> None:
    text = "Missing role permissions on the request. API requires one of 'Mail.Read'."
    api.headers = {"Content-Type": "application/json"}
    api.body = json.dumps({"error": {"code": "Forbidden", "message": text}})
    assert api.call("requests").status_code == 403
    assert api.offered == []
    assert "administrator" in api.line


def test_a_service_identity_is_offered_no_consent(other: Api) -> None:
    other.bench.session.logout(all=True)
    other.bench.environ["NBAUTH_CLIENT_SECRET"] = "s"
    other.bench.session.configure(flow="app", client_secret_from="environment")
    other.session = other.bench.session.authorised_session("read")
    assert other.call("requests").status_code == 403
    assert other.offered == []
    assert "administrator" in other.line


def test_a_failed_screen_is_no_obstacle(api: Api) -> None:
    def broken(_: str) -> None:
        raise OSError

    api.bench.screen.say = broken  # type: ignore[method-assign]
    nobody(api)
    assert api.call("requests").status_code == 403


@pytest.mark.parametrize("options", [{"web_ui": redirect}, {}])
def test_a_401_without_a_named_scope_is_no_refresh(any_api: Api, options: Any) -> None:
    api = any_api
    api.status, api.headers = 401, {"WWW_Authenticate": 'Bearer error="insufficient_scope"'}
    api.call("requests")
    before = api.refreshes
    assert api.call("requests").status_code == 401
    assert api.refreshes == before
    assert "(401)" in api.line

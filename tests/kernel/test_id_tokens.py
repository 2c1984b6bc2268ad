"""Live ID tokens: renewed by their own lifetime, and refreshed no more often than needed."""

from __future__ import annotations

import copy
import json
import pickle
from dataclasses import replace
from typing import Any

import pytest

from nbauth.core.errors import InteractionRequired, NotSignedIn, TokenError
from nbauth.core.tokens import IdToken, Principal, Token
from nbauth.kernel.accounts.grants import FlowGrant
from nbauth.kernel.accounts.id_token_life import IdTokenLife
from nbauth.kernel.accounts.signed_in import signed_in_from
from nbauth.testing.engine import FakeEngine, unreachable
from tests.kernel.accounts.conftest import machine  # noqa: F401 - a fixture
from tests.kernel.accounts.machine import Machine
from tests.kernel.conftest import Bench, at_once, in_a_thread, redirect

HOUR = 3600.0


def held(bench: Bench, *scopes: str, **options: Any) -> Token:
    return bench.session.token(
        *(scopes or ("openid", "read")), id=True, interactive=False, **options
    )


def signed_in(bench: Bench) -> Token:
    bench.session.configure(refresh_ahead=False)
    bench.sign_in("openid", "read")
    return held(bench)


def test_it_is_the_id_token_and_masked(bench: Bench) -> None:
    token = signed_in(bench)
    result = bench.session.acquire("openid", "read")
    assert str(token) == f"{token}" == token.value == result.id_token == "id-ada-1"
    assert token.header == {"Authorization": "Bearer id-ada-1"}
    assert "Bearer " + token == "Bearer id-ada-1"
    assert (type(token), token.account, token.scopes) == (IdToken, result.account, ())
    assert (token.expires_on, token.owner) == (bench.clock.time() + HOUR, result.account.key)
    shown = repr(token) + repr(token.header) + repr(token.value)
    assert shown.startswith("<nbauth.IdToken ")
    assert "id-ada" not in shown
    assert copy.copy(token) is copy.deepcopy(token) is token
    for dump in (pickle.dumps, json.dumps):
        with pytest.raises(TypeError):
            dump(token)
    with pytest.raises(TypeError, match=r"nbauth\.token\(id=True\)"):
        pickle.dumps(token)
    assert bench.refreshes == 0


@pytest.mark.parametrize("id_lifetime", [50.0, 600.0, HOUR, 4 * HOUR])
@pytest.mark.parametrize("lifetime", [50.0, 600.0, HOUR, 4 * HOUR])
def test_it_is_renewed_by_its_own_lifetime(
    bench: Bench, lifetime: float, id_lifetime: float
) -> None:
    """A fifth of it is left, at most 300 s, whatever the access token's lifetime is."""
    bench.engine.lifetime, bench.engine.id_lifetime = lifetime, id_lifetime
    token = signed_in(bench)
    margin = min(id_lifetime / 5, 300.0)
    for count in range(4):
        assert bench.refreshes == count
        first = str(token)
        bench.clock.advance(id_lifetime - margin - 1)
        assert str(token) == first
        assert bench.refreshes == count
        bench.clock.advance(2)
        assert {str(token) for _ in range(5)}.isdisjoint({first})
        assert bench.session.acquire("openid", "read").id_token == str(token)


def test_a_refresh_of_the_access_token_renews_it_too(bench: Bench) -> None:
    bench.engine.lifetime = 50.0
    token = signed_in(bench)
    bench.clock.advance(45)
    access = bench.session.acquire("openid", "read")
    assert (access.source, access.id_token) == ("refresh", str(token))
    assert access.id_token_claims["exp"] == token.expires_on
    assert bench.refreshes == 1


def test_the_results_of_other_scopes_have_the_new_id_token(bench: Bench) -> None:
    token = signed_in(bench)
    bench.sign_in("openid", "write", force=True)
    before = bench.session.acquire("openid", "write")
    bench.clock.advance(1)
    bench.session.acquire("openid", "read", force_refresh=True)
    after = bench.session.acquire("openid", "write")
    assert after.access_token == before.access_token
    assert after.id_token == str(token) != before.id_token


def test_threads_make_one_refresh(bench: Bench) -> None:
    token = signed_in(bench)
    bench.clock.advance(HOUR - 200)
    gate = bench.engine.hold("refresh")
    texts = at_once(16, lambda: str(token), bench.flights, gate.open)
    assert len(set(texts)) == 1
    assert (bench.refreshes, texts[0]) == (1, str(token))
    for _ in range(3):  # and without a gate
        bench.clock.advance(HOUR - 200)
        assert len(set(at_once(16, lambda: str(token)))) == 1
    assert bench.refreshes == 4


class TestWithoutANewOne:
    """OpenID Connect Core §12.2: the response to a refresh need not contain an ID token."""

    def test_it_is_used_while_it_is_valid_and_then_the_error_says_what_to_do(
        self, bench: Bench
    ) -> None:
        token = signed_in(bench)
        bench.engine.renews_id_tokens = False
        first = str(token)
        for _ in range(29):
            bench.clock.advance(120)
            assert str(token) == first
        assert bench.refreshes <= 2  # one for each token
        bench.clock.advance(119)
        for _ in range(10):
            with pytest.raises(InteractionRequired) as caught:
                str(token)
        assert caught.value.code == "id_token_not_renewed"
        assert "only at a sign-in" in str(caught.value)
        assert "%login --account ada@example.com --force" in caught.value.hint
        assert bench.refreshes <= 3
        assert bench.screen.shown == []
        bench.sign_in("openid", "read", force=True)
        assert str(token) not in {first}

    def test_an_expired_one_is_asked_for_at_most_every_30_seconds(self, bench: Bench) -> None:
        token = signed_in(bench)
        bench.engine.renews_id_tokens, bench.engine.lifetime = False, 100 * HOUR
        bench.clock.advance(2 * HOUR)
        for _ in range(300):
            bench.clock.advance(1)
            with pytest.raises(InteractionRequired):
                str(token)
        assert 9 <= bench.refreshes <= 11
        bench.engine.renews_id_tokens = True
        bench.clock.advance(31)
        assert str(token)

    def test_the_same_one_again_is_no_new_one(self, bench: Bench) -> None:
        """Some providers send the first ID token again."""
        token = signed_in(bench)
        record = bench.session.cache.signed_in[token.owner]
        same = {"id_token": record.id_token, "id_token_claims": record.id_token_claims}
        scopes = bench.session.client().scopes(("openid", "read"))
        bench.engine.will("refresh", *(lambda: bench.engine.response(scopes, **same),) * 9)
        bench.clock.advance(HOUR - 250)
        for _ in range(20):
            bench.clock.advance(10)
            assert str(token) == "id-ada-1"
        assert bench.refreshes == 1

    def test_an_older_one_does_not_replace_it(self, bench: Bench) -> None:
        token = signed_in(bench)
        bench.engine.id_lifetime = 60.0
        bench.session.acquire("openid", "read", force_refresh=True)
        assert str(token) == "id-ada-1"


@pytest.mark.parametrize("ahead", [-4000, -600, 600, 4000])
def test_a_wrong_clock_makes_no_loop(bench: Bench, ahead: float) -> None:
    bench.engine.id_lifetime = 300.0
    now = bench.clock.time
    bench.engine._clock = lambda: now() - ahead  # the provider's clock
    token = signed_in(bench)
    for _ in range(120):
        bench.clock.advance(1)
        assert str(token)
    assert bench.refreshes <= 5


def test_one_that_arrives_near_its_expiry_is_not_refreshed_at_each_read(bench: Bench) -> None:
    token = signed_in(bench)
    scopes = bench.session.client().scopes(("openid", "read"))
    ends = bench.clock.time() + HOUR + 60

    def old() -> Any:
        made = bench.engine.response(scopes)
        return replace(
            made, id_token_claims={**made.id_token_claims, "exp": ends, "iat": ends - HOUR}
        )

    bench.engine.will("refresh", old)
    bench.clock.advance(HOUR - 10)
    assert {str(token) for _ in range(50)}
    assert bench.refreshes == 1


def test_an_outage_is_no_end_while_it_is_valid(bench: Bench) -> None:
    token = signed_in(bench)
    bench.clock.advance(HOUR - 200)
    bench.engine.will("refresh", *[unreachable()] * 100)
    for _ in range(150):
        bench.clock.advance(1)
        assert str(token) == "id-ada-1"
    assert 3 <= bench.refreshes <= 9
    bench.engine._script.clear()
    bench.clock.advance(60)
    assert str(token) != "id-ada-1"


def test_a_dead_grant(bench: Bench) -> None:
    token = signed_in(bench)
    bench.engine.live.clear()
    bench.clock.advance(HOUR - 200)
    assert str(token) == "id-ada-1"
    bench.clock.advance(200)
    for _ in range(5):
        with pytest.raises(InteractionRequired) as caught:
            str(token)
        assert "%login" in caught.value.hint
    assert bench.refreshes == 1
    assert bench.screen.shown == []


def test_after_sign_out(bench: Bench) -> None:
    token = signed_in(bench)
    bench.session.logout()
    for read in (str, lambda t: t.header, lambda t: t.expires_on, lambda t: t.account):
        with pytest.raises(NotSignedIn):
            read(token)


class TestWithoutIdTokens:
    def test_a_sign_in_without_openid(self, bench: Bench) -> None:
        bench.engine.will("redeem", lambda: bench.engine.response(("read",), id_token=None))
        bench.sign_in("read")
        with pytest.raises(TokenError) as caught:
            held(bench, "read")
        assert (caught.value.code, bench.refreshes) == ("no_id_token", 0)
        assert "without the scope openid" in str(caught.value)
        assert "%login --account ada@example.com openid --force" in caught.value.hint
        bench.sign_in("openid", "read", force=True)
        assert str(held(bench, "read")).startswith("id-ada-")

    def test_a_provider_that_issues_none(self, bench: Bench) -> None:
        scopes = ("openid", "read")
        bench.engine.will("redeem", lambda: bench.engine.response(scopes, id_token=None))
        bench.sign_in(*scopes)
        with pytest.raises(TokenError, match="The provider issued no ID token") as caught:
            held(bench)
        assert caught.value.code == "no_id_token"

    @pytest.mark.parametrize("flow", ["azure-cli", "app"])
    def test_another_program_and_an_application(self, bench: Bench, flow: str) -> None:
        who = Principal("x", "robot", application=flow == "app")
        response = bench.engine.response((), id_token=None, principal=who, refresh_token=None)
        client = bench.session.client()
        grant = FlowGrant(flow, lambda *_: response, None, frozenset())  # type: ignore[arg-type]
        record, asked = signed_in_from(client, response), client.scopes(("read",))
        bench.session.cache.sign_in(record, response, asked, grant=grant)
        with pytest.raises(TokenError) as caught:
            held(bench, "read", account=record.key)
        assert caught.value.code == "no_id_token"
        assert "%login --flow browser" in caught.value.hint
        assert ("is an application" in str(caught.value)) == (flow == "app")
        assert ("--flow azure-cli" in str(caught.value)) == (flow == "azure-cli")

    @pytest.mark.parametrize("kind", ["an import", "a sign-in"])
    def test_at_microsoft_a_refresh_brings_the_first_one(self, bench: Bench, kind: str) -> None:
        bench.environ["NBAUTH_AUTHORITY"] = "https://login.microsoftonline.com/contoso.com"
        bench.session.new_cell()
        engine = bench.session.new_engine(bench.session.client())
        assert isinstance(engine, FakeEngine)
        engine.renews_id_tokens = kind == "an import"
        engine.will("redeem", lambda: engine.response(("User.Read",), id_token=None))
        bench.session.login("User.Read", web_ui=redirect)
        for _ in range(5):
            if kind == "an import":
                assert str(held(bench, "User.Read")).startswith("id-ada-")
            else:
                with pytest.raises(TokenError) as caught:
                    held(bench, "User.Read")
                assert caught.value.code == "no_id_token"
        assert engine.count("refresh") == 1


def test_if_a_person_is_there_a_read_after_the_end_of_the_grant_begins_a_sign_in(
    bench: Bench,
) -> None:
    signed_in(bench)
    token = bench.session.token("openid", "read", id=True)
    bench.session.configure(flow="device")
    bench.engine.live.clear()
    bench.clock.advance(HOUR - 200)
    assert str(token) == "id-ada-1"
    assert bench.screen.shown == []
    bench.clock.advance(200)
    bench.engine.hold("poll_device").open()
    thread, outcome = in_a_thread(lambda: str(token))
    thread.join(5)
    assert len(bench.screen.shown) == 1
    assert outcome == [str(token)] != ["id-ada-1"]


def test_a_sign_in_without_openid_leaves_the_id_token_of_the_earlier_one(bench: Bench) -> None:
    token = signed_in(bench)
    bench.engine.will("redeem", lambda: bench.engine.response(("write",), id_token=None))
    bench.sign_in("write", force=True)
    assert str(token) == "id-ada-1"
    bench.clock.advance(HOUR - 100)
    assert str(held(bench, "write")) == str(token) != "id-ada-1"
    assert bench.refreshes == 1  # with the grant that has openid


def test_other_kernels_get_the_renewed_one(
    machine: Machine,  # noqa: F811
) -> None:
    one, other = machine.signed_in(), machine.kernel()
    tokens = [kernel.token("read", id=True, interactive=False) for kernel in (one, other)]
    for count in range(1, 4):
        machine.clock.advance(HOUR - 200)
        assert len({str(token) for token in tokens}) == 1
        assert machine.refreshes == count
    assert str(machine.kernel().token("read", id=True)) == str(tokens[0])
    machine.engine.renews_id_tokens = False
    machine.clock.advance(HOUR - 200)
    for _ in range(20):
        assert len({str(token) for token in tokens}) == 1
    assert machine.refreshes <= 5


@pytest.mark.parametrize(
    ("claims", "fresh", "valid"),
    [
        ({"exp": 1_800_000_400}, True, True),
        ({"exp": "1800000400"}, True, True),
        ({"exp": 1_800_000_100, "iat": 1_799_999_000}, False, True),
        ({"exp": 1_800_000_005}, True, True),
        ({"exp": 1_800_000_005, "iat": 1_799_999_000}, False, False),
        ({"exp": 1_799_999_999}, False, False),
        ({"exp": None}, False, False),
        ({"exp": True}, False, False),
        ({"exp": float("nan")}, False, False),
        ({"exp": 10**400}, False, False),
        ({"exp": 1_800_000_400, "iat": 10**400}, True, True),
        ({}, False, False),
    ],
)
def test_times_of_a_stored_one(
    bench: Bench, claims: dict[str, Any], fresh: bool, valid: bool
) -> None:
    life = IdTokenLife(claims, received=False)
    assert (life.fresh, life.valid_for > 0) == (fresh, valid)

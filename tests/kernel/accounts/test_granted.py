"""A grant covers the granted scopes: it is renewed as a whole and serves narrower requests."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from nbauth.core.account import AccountKey
from nbauth.core.errors import (
    REFRESH_REFUSED,
    ConsentRequired,
    InteractionRequired,
    NbAuthError,
    SignInError,
)
from nbauth.kernel.accounts.background import RefreshAhead
from nbauth.kernel.accounts.token_table import TokenKey
from nbauth.testing.engine import refusal
from tests.kernel.accounts.machine import Machine
from tests.kernel.conftest import ISSUER, Bench, in_a_thread, redirect

ADA = AccountKey(ISSUER, "notebooks", "ada")


def granting(bench: Bench, *granted: str, **options: Any) -> None:
    """The next sign-in is granted these scopes, whatever it requests."""
    scopes = bench.session.client().scopes(granted)
    bench.engine.will("redeem", bench.engine.response(scopes, **options))


@pytest.fixture
def alone(bench: Bench) -> Bench:
    """A bench where nobody can be asked."""
    bench.screen.is_attended = False
    bench.session.configure(refresh_ahead=False)  # no refreshes in the background
    return bench


# ── a refresh asks for what was granted ─────────────────────────────────────────────────────


def test_two_apis_of_one_sign_in_are_renewed_by_one_refresh(alone: Bench) -> None:
    alone.sign_in("a", "b")
    for _ in range(3):
        alone.clock.advance(4000)
        assert alone.read("a") == alone.read("b") == alone.read("a", "b")
    assert alone.refreshes == 3
    assert alone.engine.reused == []


@pytest.mark.parametrize("first", ["a", "b"])
def test_a_refresh_for_one_api_gets_all_granted_scopes(alone: Bench, first: str) -> None:
    told: list[tuple[str, ...]] = []
    refresh = alone.engine.refresh

    def telling(*args: Any, granted: Any = (), **options: Any) -> Any:
        told.append(tuple(granted))
        return refresh(*args, granted=granted, **options)

    alone.engine.refresh = telling  # type: ignore[method-assign]
    alone.sign_in("a", "b")
    alone.clock.advance(4000)
    alone.read(first)
    assert told == [("a", "b")]


def test_a_wider_token_serves_a_narrower_request_and_is_found_at_once(alone: Bench) -> None:
    alone.sign_in("a", "b")
    held = alone.session.token("a")
    assert str(held) == alone.read("b") == alone.read("a", "b")
    assert alone.refreshes == 0
    key = TokenKey(ADA, alone.session.client().scopes(("b",)).key)
    assert alone.session.cache.tokens[key].response.scopes == ("a", "b")
    alone.clock.advance(4000)
    assert str(held) == alone.read("b")
    assert alone.refreshes == 1, "the held token is the same"


def test_a_narrower_token_does_not_serve_a_wider_request(alone: Bench) -> None:
    alone.sign_in("a")
    with pytest.raises(ConsentRequired, match="Consent has not been given yet for: b"):
        alone.read("b")
    with pytest.raises(ConsentRequired, match="a b"):
        alone.read("a", "b")
    assert alone.refreshes == 0, "a refresh cannot bring more than was granted (RFC 6749 §6)"


def test_a_forced_refresh_of_a_narrower_request_renews_the_wider_token(alone: Bench) -> None:
    alone.sign_in("a", "b")
    before = alone.read("b")
    after = alone.read("b", force_refresh=True)
    assert after != before
    assert alone.read("a") == alone.read("a", "b") == after


def test_a_claims_challenge_for_one_is_answered_for_all(alone: Bench) -> None:
    alone.sign_in("a", "b")
    after = alone.read("a", claims='{"access_token": {}}')
    assert alone.read("b") == after
    assert alone.refreshes == 1


def test_each_of_two_sign_ins_renews_with_its_own_grant(alone: Bench) -> None:
    alone.sign_in("a")
    alone.sign_in("b")
    alone.clock.advance(4000)
    assert alone.read("a") != alone.read("b")
    assert alone.refreshes == 2
    assert alone.session.acquire("a").scopes == ("a",)
    assert alone.session.acquire("b").scopes == ("b",)


def test_a_later_wider_sign_in_supersedes_the_narrower_one(alone: Bench) -> None:
    alone.sign_in("a")
    alone.sign_in("a", "b")
    alone.clock.advance(4000)
    assert alone.read("a") == alone.read("b")
    assert alone.refreshes == 1


# ── granted is not asked ────────────────────────────────────────────────────────────────────


def test_scopes_that_were_not_granted_are_reported_once(bench: Bench) -> None:
    granting(bench, "a")
    bench.sign_in("a", "x")
    said = [line for line in bench.screen.said if "did not grant" in line]
    assert said == [
        "The provider did not grant x; it granted a. Calls that need more may be refused."
    ]
    bench.session.acquire("a", "x")
    bench.clock.advance(4000)
    bench.session.acquire("a", "x")
    assert [line for line in bench.screen.said if "did not grant" in line] == said


@pytest.mark.parametrize(
    "granted", [("a", "openid"), ("a", "b"), ("a", "openid", "profile", "email", "offline_access")]
)
def test_nothing_is_reported_if_all_scopes_were_granted(
    bench: Bench, granted: tuple[str, ...]
) -> None:
    granting(bench, *granted)
    bench.sign_in("a", "openid", "offline_access")
    assert not [line for line in bench.screen.said if "did not grant" in line]


def test_at_microsoft_another_spelling_counts_as_granted(bench: Bench) -> None:
    """Entra may name ``<GUID>/read`` by the application's address."""
    bench.session.configure(authority="https://login.microsoftonline.com/contoso.com")
    client = bench.session.client()
    engine = bench._engine_for(client.authority, client.client_id)
    engine.will("redeem", engine.response(("api://app/read",)))
    guid = "11111111-2222-3333-4444-555555555555"
    bench.session.login(f"{guid}/read", web_ui=redirect)
    assert engine.count("redeem") == 1
    assert not [line for line in bench.screen.said if "did not grant" in line]


def test_a_grant_for_fewer_scopes_is_renewed_with_the_granted_scopes(alone: Bench) -> None:
    granting(alone, "a")
    alone.sign_in("a", "x")
    alone.clock.advance(4000)
    assert alone.session.acquire("a", "x").scopes == ("a",), "the same request is served again"
    assert alone.session.acquire("a").scopes == ("a",)
    with pytest.raises(ConsentRequired):
        alone.read("x")
    assert alone.refreshes == 1


def test_scopes_under_other_names_serve_the_request_that_they_came_for(alone: Bench) -> None:
    """Some providers name the granted scopes differently from the request."""
    granting(alone, "read:all")
    alone.sign_in("read")
    alone.clock.advance(4000)
    assert alone.session.acquire("read").scopes == ("read:all",)
    alone.clock.advance(4000)
    assert alone.session.acquire("read").scopes == ("read:all",)


def test_a_refresh_response_with_fewer_scopes_narrows_the_grant(alone: Bench) -> None:
    alone.sign_in("a", "b")
    alone.clock.advance(4000)
    alone.engine.will(
        "refresh", replace(alone.engine.response(alone.session.client().scopes(("a",))))
    )
    assert alone.session.acquire("a").scopes == ("a",)
    with pytest.raises(ConsentRequired, match="b"):
        alone.read("b")


# ── tokens for different APIs, selected by extra parameters ─────────────────────────────────


@pytest.mark.parametrize("name", ["audience", "resource"])
def test_a_token_for_one_api_is_not_used_for_another(alone: Bench, name: str) -> None:
    one, other, none = ({name: "https://one"}, {name: "https://other"}, {"ui_locales": "de"})
    alone.sign_in("read", extra_parameters=one)
    first = alone.read("read", extra_parameters=one)
    for elsewhere in (other, none):
        with pytest.raises(ConsentRequired):
            alone.read("read", extra_parameters=elsewhere)
    alone.sign_in("read", extra_parameters=other)
    assert alone.read("read", extra_parameters=one) == first
    assert alone.read("read", extra_parameters=other) != first
    alone.clock.advance(4000)
    told = [alone.session.acquire("read", extra_parameters=extra).scopes for extra in (one, other)]
    assert told == [("read",)] * 2
    sent = [
        call.arguments["refresh_token"] for call in alone.engine.calls if call.method == "refresh"
    ]
    assert sent == ["refresh-ada-1", "refresh-ada-2"], "each renewed with its own grant"


def test_a_stored_token_for_one_api_is_not_used_for_another(machine: Machine) -> None:
    one, other = {"audience": "https://one"}, {"audience": "https://other"}
    machine.kernel().login("read", web_ui=redirect, extra_parameters=one)
    with pytest.raises(InteractionRequired):
        machine.kernel().acquire("read", extra_parameters=other)
    with pytest.raises(InteractionRequired):
        machine.kernel().acquire("read")
    assert machine.kernel().acquire("read", extra_parameters=one).source == "cache"
    assert machine.refreshes == 0


def test_a_token_requested_without_scopes_is_stored_as_such(machine: Machine) -> None:
    """No default scopes are added for a provider that only the profile describes."""
    described = {
        "authorization_endpoint": f"{ISSUER}/authorize",
        "token_endpoint": f"{ISSUER}/token",
    }
    machine.kernel(**described).login(web_ui=redirect)
    assert machine.kernel(**described).acquire().scopes == ()
    with pytest.raises(InteractionRequired):
        machine.kernel(scopes="repo", **described).acquire("repo")
    with pytest.raises(InteractionRequired):
        machine.kernel().acquire("openid", "repo")


# ── an ended grant does not hide a usable one ───────────────────────────────────────────────


def test_an_ended_grant_does_not_hide_a_usable_one(alone: Bench) -> None:
    alone.sign_in("a", "b")
    alone.sign_in("b", "c")
    alone.clock.advance(4000)
    alone.engine.will("refresh", refusal("invalid_grant"))
    assert alone.read("b"), "the first grant has ended, the other serves"
    assert alone.refreshes == 2
    alone.clock.advance(4000)
    assert alone.read("b")
    assert alone.refreshes == 3, "the ended grant is not tried again"


@pytest.mark.timing
@pytest.mark.parametrize("asked", [{"force_refresh": True}, {"claims": "{}"}])
def test_a_wider_token_with_an_ended_grant_is_not_renewed(
    alone: Bench, asked: dict[str, Any]
) -> None:
    alone.sign_in("openid", "a", "b")
    wider = alone.read("a")
    alone.sign_in("openid", "a")
    alone.engine.will("refresh", refusal("invalid_grant"))
    thread, outcome = in_a_thread(lambda: alone.read("a", **asked))
    thread.join(5)
    assert outcome, "it ends"
    assert outcome[0] not in (wider, None) and isinstance(outcome[0], str)
    assert alone.refreshes == 2
    assert alone.read("a") == outcome[0]
    assert alone.read("a", "b") == wider, "it is valid and covers the scopes"


def test_a_narrower_response_does_not_replace_a_wider_token(alone: Bench) -> None:
    """At Microsoft's authorities a refresh requests its own scopes, and may return no others."""
    tenant = {"authority": "https://login.microsoftonline.com/contoso.com"}
    both = alone.session.client(**tenant).scopes(("Mail.Read", "User.Read"))
    alone.sign_in(*both, **tenant)
    assert alone.read("Mail.Read", **tenant) == alone.read(*both, **tenant)
    alone.clock.advance(4000)
    assert len(alone.session.acquire("Mail.Read", **tenant).scopes) == 1
    assert alone.session.acquire(*both, **tenant).scopes == both.resource_scopes


def test_a_key_that_a_narrower_response_does_not_serve_is_not_renewed_for_ever(
    alone: Bench,
) -> None:
    alone.session.configure(refresh_ahead=True)
    alone.sign_in("a", "b")
    assert alone.read("a") == alone.read("b")
    alone.clock.advance(3500)
    alone.engine.will("refresh", alone.engine.response(alone.session.client().scopes(("a",))))
    assert alone.session.acquire("a").scopes == ("a",)
    cache = alone.session.cache
    assert {tuple(key.scopes) for key in cache.tokens if "b" not in key.scopes} == {("a",)}
    assert RefreshAhead(cache, alone.session._renewal).tick() != 0.0
    with pytest.raises(ConsentRequired):
        alone.read("b")


def test_a_grant_that_returns_another_person_does_not_hide_a_usable_one(alone: Bench) -> None:
    alone.sign_in("a", "b")
    alone.sign_in("b", "c")
    alone.clock.advance(4000)
    scopes = alone.session.client().scopes(("b", "c"))
    alone.engine.will("refresh", alone.engine.response(scopes, user="eve"))
    assert alone.read("b").startswith("access-ada")
    assert alone.refreshes == 2


def test_a_key_from_before_a_new_sign_in_is_not_renewed_for_ever(alone: Bench) -> None:
    alone.session.configure(refresh_ahead=True)
    alone.sign_in("a", "b")
    assert alone.read("a") == alone.read("b")
    alone.sign_in("a", "b", force=True)
    alone.clock.advance(3500)
    ahead = RefreshAhead(alone.session.cache, alone.session._renewal)
    assert any(ahead.tick() != 0.0 for _ in range(5)), "it naps"
    assert alone.refreshes == 1
    assert alone.read("a") == alone.read("a", "b")


def test_a_grant_refused_without_an_error_code_may_be_tried_again(
    alone: Bench,
) -> None:
    alone.sign_in("a", "b")
    alone.sign_in("b", "c")
    alone.clock.advance(4000)
    alone.engine.will("refresh", InteractionRequired("HTTP 401.", code=REFRESH_REFUSED))
    assert alone.read("b"), "renewed with the other grant"
    alone.clock.advance(4000)
    assert alone.read("a", "b")
    assert alone.read("b", "c")


def test_if_all_grants_have_ended_the_last_error_is_raised(alone: Bench) -> None:
    alone.sign_in("a", "b")
    alone.sign_in("b", "c")
    alone.clock.advance(4000)
    alone.engine.will("refresh", refusal("invalid_grant"), refusal("invalid_grant"))
    with pytest.raises(InteractionRequired) as caught:
        alone.read("b")
    assert caught.value.code == "invalid_grant"


@pytest.mark.parametrize("error", [refusal("server_error"), refusal("invalid_client")])
def test_an_error_that_does_not_concern_the_grant_does_not_end_it(
    alone: Bench, error: NbAuthError
) -> None:
    alone.sign_in("a", "b")
    alone.sign_in("b", "c")
    alone.clock.advance(4000)
    alone.engine.will("refresh", error)
    with pytest.raises(NbAuthError):
        alone.read("b")
    assert alone.refreshes == 1
    assert alone.read("a")
    assert alone.read("c")


def test_an_error_is_never_its_own_cause(alone: Bench) -> None:
    alone.sign_in("a")
    alone.clock.advance(4000)
    alone.engine.will("refresh", SignInError("odd", code="odd"))
    with pytest.raises(SignInError) as caught:
        alone.read("a")
    seen: list[BaseException] = []
    error: BaseException | None = caught.value
    while error is not None:
        assert error not in seen
        seen.append(error)
        error = error.__cause__

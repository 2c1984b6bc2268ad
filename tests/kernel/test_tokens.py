"""Tokens of a session: served, renewed, refused."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from nbauth.core.errors import (
    AuthorityUnreachable,
    ConfigurationError,
    ConsentRequired,
    InteractionRequired,
    NbAuthError,
    NotSignedIn,
)
from nbauth.kernel.accounts.renewal import FRESH_AFTER_FAILURE
from nbauth.testing.engine import refusal, unreachable
from tests.kernel.conftest import Bench, at_once, redirect, until


def test_many_uses_of_a_short_lived_token_make_no_request(bench: Bench) -> None:
    bench.engine.lifetime = 60
    bench.sign_in("read")
    token = bench.session.token("read")
    for _ in range(100):
        assert str(token) == bench.read("read") == "access-ada-1"
    assert bench.refreshes == 0


@pytest.mark.parametrize(
    ("lifetime", "fresh_for"), [(60, 48), (300, 240), (3600, 3300), (86_400, 86_100)]
)
def test_a_token_is_renewed_at_its_margin_and_not_before(
    bench: Bench, lifetime: float, fresh_for: float
) -> None:
    bench.engine.lifetime = lifetime
    bench.sign_in("read")
    token = bench.session.token("read")
    bench.clock.advance(fresh_for - 1)
    assert bench.session.acquire("read").source == "cache"
    bench.clock.advance(2)
    assert bench.session.acquire("read").source == "refresh"
    assert str(token) == "access-ada-2"
    assert bench.refreshes == 1


def test_a_held_token_never_goes_stale(bench: Bench) -> None:
    bench.engine.lifetime = 300
    bench.sign_in("read")
    token = bench.session.token("read")
    seen = set()
    for _ in range(10):
        seen.add(str(token))
        assert token.header["Authorization"] == f"Bearer {token}"
        bench.clock.advance(290)
    assert len(seen) == 10
    assert bench.refreshes == 9


def test_threads_that_need_one_expired_token_make_one_request(bench: Bench) -> None:
    bench.sign_in("read")
    token = bench.session.token("read")
    bench.clock.advance(4000)
    gate = bench.engine.hold("refresh")
    outcomes = at_once(32, lambda: token.value, bench.flights, gate.open)
    assert {str(outcome) for outcome in outcomes} == {"access-ada-2"}
    assert bench.refreshes == 1


def test_threads_share_the_error_of_one_failed_refresh(bench: Bench) -> None:
    bench.screen.is_attended = False
    bench.sign_in("read")
    token = bench.session.token("read")
    bench.clock.advance(4000)
    gate = bench.engine.hold("refresh", then=unreachable())
    outcomes = at_once(32, lambda: token.value, bench.flights, gate.open)
    assert {type(outcome) for outcome in outcomes} == {AuthorityUnreachable}
    assert bench.refreshes == 1


def test_threads_with_two_scope_sets_never_send_one_refresh_token_twice(bench: Bench) -> None:
    bench.sign_in("read", "write")
    for _ in range(5):
        bench.clock.advance(4000)
        mixed = iter([("read",), ("write",), ("read", "write")] * 8)
        lock = threading.Lock()

        def ask(mixed: Any = mixed, lock: Any = lock) -> Any:
            with lock:
                scopes = next(mixed)
            return bench.session.acquire(*scopes)

        outcomes = at_once(24, ask)
        assert not [outcome for outcome in outcomes if isinstance(outcome, Exception)]
    assert bench.engine.reused == []
    assert bench.refreshes == 5, "one response covers the whole grant"
    assert bench.engine.most_at_once == 1


def test_two_accounts_renew_at_the_same_time(bench: Bench) -> None:
    bench.engine.rotates = False
    bench.sign_in("read", user="ada")
    bench.sign_in("read", user="bob")
    bench.clock.advance(4000)
    first, second = bench.engine.hold("refresh"), bench.engine.hold("refresh")
    read: dict[str, str] = {}

    def renew(user: str) -> None:
        read[user] = bench.read("read", account=f"{user}@example.com")

    threads = [threading.Thread(target=renew, args=(user,)) for user in ("ada", "bob")]
    for thread in threads:
        thread.start()
    until(lambda: first.reached.is_set() and second.reached.is_set())
    first.open()
    second.open()
    for thread in threads:
        thread.join(5)
    assert bench.engine.most_at_once == 2
    assert sorted(token.split("-")[1] for token in read.values()) == ["ada", "bob"]
    assert all(token.startswith(f"access-{user}-") for user, token in read.items())


@pytest.mark.parametrize("failure", [unreachable(), refusal("server_error"), refusal("odd")])
def test_after_a_failed_refresh_a_valid_token_is_used_and_not_refreshed_again_at_once(
    bench: Bench, failure: NbAuthError
) -> None:
    bench.sign_in("read")
    bench.clock.advance(3400)
    bench.engine.will("refresh", failure)
    for _ in range(20):
        result = bench.session.acquire("read")
        assert (str(result.access_token), result.source) == ("access-ada-1", "cache")
    assert bench.refreshes == 1
    bench.clock.advance(FRESH_AFTER_FAILURE + 1)
    assert bench.read("read") == "access-ada-2"


def test_a_failed_refresh_of_an_expired_token_is_an_error_and_the_next_goes_through(
    bench: Bench,
) -> None:
    bench.sign_in("read")
    bench.clock.advance(4000)
    bench.engine.will("refresh", unreachable())
    with pytest.raises(AuthorityUnreachable):
        bench.read("read")
    assert bench.screen.shown == []
    assert bench.read("read") == "access-ada-2"


def test_an_invalid_refresh_token_needs_a_person_and_is_never_sent_again(bench: Bench) -> None:
    bench.screen.is_attended = False
    bench.sign_in("read")
    bench.clock.advance(4000)
    bench.engine.live.clear()
    for _ in range(5):
        with pytest.raises(InteractionRequired):
            bench.read("read")
    assert bench.engine.reused == ["refresh-ada-1"]


def test_another_persons_tokens_are_refused(bench: Bench) -> None:
    """A refresh may return an ID token, but of the same person (OpenID Connect Core §12.2)."""
    bench.sign_in("read", user="ada")
    scopes = bench.session.client().scopes(("read",))
    bench.engine.will("refresh", bench.engine.response(scopes, user="mallory"))
    bench.clock.advance(4000)
    with pytest.raises(NbAuthError) as caught:
        bench.read("read")
    assert caught.value.code == "id_token_subject"
    for cached in bench.session.cache.tokens.values():
        assert str(cached.response.access_token) == "access-ada-1"
    (record,) = bench.session.cache.signed_in.values()
    assert "mallory" not in str(record.grants[0].record())


@pytest.mark.parametrize("claims", [{}, {"sub": "ada"}], ids=["none", "the same"])
def test_an_id_token_need_not_come_with_a_refresh(bench: Bench, claims: dict[str, str]) -> None:
    bench.sign_in("read", user="ada")
    scopes = bench.session.client().scopes(("read",))
    bench.engine.will("refresh", bench.engine.response(scopes, id_token_claims=claims))
    bench.clock.advance(4000)
    assert bench.read("read") == "access-ada-2"


def test_a_refresh_is_announced_and_a_token_from_the_cache_is_not(bench: Bench) -> None:
    bench.sign_in("read")
    renewed: list[int] = []
    bench.session.cache.renewed.connect(lambda: renewed.append(1))
    bench.read("read")
    assert renewed == []
    bench.read("read", force_refresh=True)
    assert renewed == [1]


def test_an_invalid_refresh_token_leaves_the_valid_token_in_use(bench: Bench) -> None:
    bench.sign_in("read")
    bench.clock.advance(3400)
    bench.engine.live.clear()
    for _ in range(5):
        assert bench.read("read") == "access-ada-1"
        bench.clock.advance(31)
    assert bench.refreshes == 1


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("interaction_required", "More proof."),
        ("interaction_required", "AADSTS50076: More proof."),
        ("interaction_required", "AADSTS16000: A number that nothing here knows."),
        ("invalid_grant", "AADSTS50072: More proof."),
        ("invalid_grant", "AADSTS50074: More proof."),
        ("invalid_grant", "AADSTS50076: More proof."),
        ("invalid_grant", "AADSTS50079: More proof."),
        ("invalid_grant", "AADSTS50158: More proof."),
    ],
)
def test_a_stronger_requirement_of_one_resource_does_not_end_the_sign_in(
    bench: Bench, word: str, told: str
) -> None:
    """The refresh token is valid; one resource requires stronger authentication."""
    bench.screen.is_attended = False
    bench.sign_in("read")
    bench.engine.will("refresh", refusal(word, told))
    with pytest.raises(InteractionRequired):
        bench.read("read", force_refresh=True)
    bench.clock.advance(4000)
    assert bench.read("read") == "access-ada-2"


def test_scopes_without_consent_raise_and_leave_earlier_tokens_usable(bench: Bench) -> None:
    bench.screen.is_attended = False
    bench.sign_in("read")
    bench.engine.ungranted = {"write"}
    with pytest.raises(
        InteractionRequired, match="Consent has not been given yet for: write"
    ) as caught:
        bench.read("write")
    assert isinstance(caught.value.__cause__, ConsentRequired)
    assert caught.value.code == "consent_required"
    assert bench.read("read") == "access-ada-1"


def test_new_scopes_start_a_sign_in_if_a_person_is_there(bench: Bench) -> None:
    bench.sign_in("read")
    bench.engine.ungranted = {"write"}
    result = bench.session.acquire("write")
    assert result.source == "flow"
    assert len(bench.screen.shown) == 1
    assert bench.screen.shown[0].request.authorization.login_hint == "ada@example.com"
    assert bench.read("read") == "access-ada-1"
    assert bench.session.acquire("write").source == "cache"
    bench.clock.advance(4000)
    assert bench.session.acquire("read").source == "refresh"


def test_simultaneous_forced_refreshes_make_one_request(bench: Bench) -> None:
    bench.sign_in("read")
    assert bench.session.acquire("read", force_refresh=True).source == "refresh"
    gate = bench.engine.hold("refresh")
    at_once(16, lambda: bench.read("read", force_refresh=True), bench.flights, gate.open)
    assert bench.refreshes == 2


def test_claims_are_sent_and_never_served_from_the_cache(bench: Bench) -> None:
    bench.sign_in("read")
    claims = '{"access_token": {"acrs": {"essential": true, "value": "c1"}}}'
    for _ in range(2):
        assert bench.session.acquire("read", claims=claims).source == "refresh"
    assert [call.arguments["claims"] for call in bench.engine.calls[-2:]] == [claims, claims]


@pytest.mark.parametrize("claims", ["", "no json", "[]", "5", '"x"'])
def test_claims_that_are_no_object_are_refused_before_any_request(
    bench: Bench, claims: str
) -> None:
    bench.sign_in("read")
    before = len(bench.engine.calls)
    with pytest.raises(ConfigurationError) as caught:
        bench.read("read", claims=claims)
    assert caught.value.code == "bad_claims"
    assert len(bench.engine.calls) == before


def test_a_result_has_all_details(bench: Bench) -> None:
    account = bench.sign_in("read")
    result = bench.session.acquire("read")
    assert result.account == account
    assert (result.unique_id, result.source, result.token_type) == ("ada", "cache", "Bearer")
    assert result.expires_on == bench.clock.time() + 3600
    assert result.scopes[0] == "read"
    assert result.id_token_claims["name"] == "Ada"
    assert (account.username, account.name, account.tenant_id) == ("ada@example.com", "Ada", "")


# ── signing out ─────────────────────────────────────────────────────────────────────────────


def test_signing_out_during_a_refresh_does_not_bring_the_account_back(bench: Bench) -> None:
    bench.sign_in("read")
    token = bench.session.token("read")
    bench.clock.advance(4000)
    gate = bench.engine.hold("refresh")
    outcome: list[Any] = []
    thread = threading.Thread(target=lambda: outcome.extend(at_once(1, lambda: token.value)))
    thread.start()
    until(gate.reached.is_set)
    bench.session.logout()
    gate.open()
    thread.join(5)
    assert isinstance(outcome[0], NotSignedIn)
    assert (bench.session.accounts(), bench.session.cache.tokens) == ([], {})


def test_a_held_token_ends_with_its_account(bench: Bench) -> None:
    bench.sign_in("read")
    token = bench.session.token("read")
    bench.session.logout()
    for read in (str, repr, lambda value: value.header, lambda value: value.expires_on):
        if read is repr:
            assert repr(token)
            continue
        with pytest.raises(NotSignedIn):
            read(token)
    assert bench.screen.shown == []


def test_logout_of_one_leaves_the_others(bench: Bench) -> None:
    bench.sign_in("read", user="ada")
    bench.sign_in("read", user="bob")
    assert [gone.account.username for gone in bench.session.logout("ADA@example.com")] == [
        "ada@example.com"
    ]
    assert [account.username for account in bench.session.accounts()] == ["bob@example.com"]
    assert bench.session.logout(all=True)
    assert bench.session.accounts() == []
    assert bench.session.logout() == []


def test_logout_of_an_unknown_account_lists_the_known_ones(bench: Bench) -> None:
    bench.sign_in("read")
    with pytest.raises(NotSignedIn, match=r"bob@x is not signed in here; signed in: ada@example"):
        bench.session.logout("bob@x")


def test_revoking_sends_each_refresh_token_to_the_provider(bench: Bench) -> None:
    bench.sign_in("read")
    bench.sign_in("write")
    bench.session.logout(revoke=True)
    sent = [c.arguments["refresh_token"] for c in bench.engine.calls if c.method == "revoke"]
    assert sent == ["refresh-ada-1", "refresh-ada-2"]
    assert bench.engine.live == {}


def test_revoking_uses_the_client_that_signed_in(bench: Bench) -> None:
    bench.session.login("read", web_ui=redirect, client_id="other", authority="https://b.example")
    bench.session.logout(all=True, revoke=True)
    assert bench.engines[("https://b.example", "other")].count("revoke") == 1
    assert bench.engine.count("revoke") == 0


@pytest.mark.parametrize("failure", ["unreachable", "not offered"])
def test_if_revoking_fails_the_account_is_still_removed(bench: Bench, failure: str) -> None:
    bench.sign_in("read")
    if failure == "unreachable":
        bench.engine.will("revoke", unreachable())
    bench.engine.offers_revocation = False
    bench.session.logout(revoke=True)
    assert bench.session.accounts() == []
    assert len(bench.screen.said) == 1


# ── whose token ─────────────────────────────────────────────────────────────────────────────


def test_the_account_that_is_named_is_served(bench: Bench) -> None:
    bench.sign_in("read", user="ada")
    bench.sign_in("read", user="bob")
    assert bench.read("read") == "access-bob-2"
    assert bench.read("read", account="ada@example.com") == "access-ada-1"
    assert bench.read("read", account="ADA@Example.com") == "access-ada-1"
    bench.session.use("ada@example.com")
    assert bench.read("read") == "access-ada-1"
    assert [account.name for account in bench.session.accounts()] == ["Ada", "Bob"]


def test_asking_for_another_account_says_who_is_signed_in(bench: Bench) -> None:
    bench.screen.is_attended = False
    bench.sign_in("read")
    with pytest.raises(InteractionRequired, match=r"bob@example.com is not signed in") as caught:
        bench.read("read", account="bob@example.com")
    assert "signed in: ada@example.com" in str(caught.value)
    assert caught.value.code == "not_signed_in"


def test_requesting_another_account_sends_a_login_hint_and_accepts_no_other(bench: Bench) -> None:
    bench.sign_in("read")
    bench.engine.user = "eve"
    with pytest.raises(NbAuthError, match=r"bob@example.com.*eve@example.com") as caught:
        bench.read("read", account="bob@example.com")
    assert caught.value.code == "wrong_account"
    assert bench.screen.shown[0].request.authorization.login_hint == "bob@example.com"
    bench.engine.user = "bob"
    assert "access-bob" in bench.read("read", account="bob@example.com")


def test_a_held_token_does_not_change_its_account(bench: Bench) -> None:
    bench.sign_in("read")
    token = bench.session.token("read")
    bench.clock.advance(4000)
    bench.engine.live.clear()
    bench.engine.user = "eve"
    with pytest.raises(NbAuthError, match=r"ada@example.com.*eve@example.com"):
        str(token)


# ── nobody can be asked ─────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("interactive", [True, False])
def test_unattended_it_raises_at_once_and_says_what_to_do(bench: Bench, interactive: bool) -> None:
    bench.screen.is_attended = not interactive
    with pytest.raises(InteractionRequired, match="Nobody") as caught:
        bench.read("read", interactive=interactive)
    says_why = ("Nobody can be asked here", "This call does not ask anybody to sign in")
    assert says_why[not interactive] in str(caught.value)
    assert says_why[interactive] not in str(caught.value)
    assert ("attended" in caught.value.hint) is interactive, "nothing is wrong with the place"
    assert "%login" in caught.value.hint
    assert caught.value.code == "not_signed_in"
    assert bench.engine.calls == []
    assert bench.screen.shown == []


def test_unattended_a_login_raises_at_once(bench: Bench) -> None:
    bench.screen.is_attended = False
    for options in ({}, {"background": True}, {"flow": "device"}):
        with pytest.raises(InteractionRequired) as caught:
            bench.session.login("read", **options)
        assert caught.value.code == "nobody_there"
    assert bench.engine.calls == []
    assert bench.session.pending() == []


def test_unattended_a_web_ui_still_signs_in(bench: Bench) -> None:
    """It is a program, not a prompt."""
    bench.screen.is_attended = False
    assert bench.sign_in("read").username == "ada@example.com"

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from nbauth.core.account import Account, AccountKey
from nbauth.core.scopes import Scopes
from nbauth.core.secret import SecretStr
from nbauth.core.settings import Settings
from nbauth.core.tokens import TokenResponse
from nbauth.kernel.accounts.cache import TokenCache
from nbauth.kernel.accounts.cached_token import CachedToken
from nbauth.kernel.accounts.grants import RefreshTokenGrant
from nbauth.kernel.accounts.signed_in import SignedIn
from nbauth.kernel.accounts.token_table import TokenKey
from nbauth.oauth.client import Client
from nbauth.testing.clock import FakeClock
from nbauth.testing.engine import FakeEngine

READ = Scopes.parse(["read"], microsoft=False)
WRITE = Scopes.parse(["write"], microsoft=False)
ADA = AccountKey("https://id.example", "notebooks", "ada")


def client_of(key: AccountKey) -> Client:
    return Client.from_settings(Settings(authority=key.issuer, client_id=key.client_id))


def signed_in(key: AccountKey) -> SignedIn:
    name = key.home_account_id
    account = Account(name, name, "", name, key.issuer, client_id=key.client_id)
    return SignedIn(account, client_of(key), name, None, {})


def a_token(response: TokenResponse) -> CachedToken:
    return CachedToken(response, RefreshTokenGrant(None, READ.key), READ, client_of(ADA))


def kept(cache: TokenCache, key: AccountKey = ADA) -> None:
    """As if everything of an account had been stored."""
    for grant in cache.signed_in[key].grants:
        grant.kept = True


def take_in(
    cache: TokenCache, clock: FakeClock, key: AccountKey = ADA, scopes: Scopes = READ
) -> CachedToken:
    engine = FakeEngine(clock=clock.time)
    engine.user = key.home_account_id
    assert cache.sign_in(signed_in(key), engine.response(scopes), scopes)
    return cache.tokens[TokenKey(key, scopes.key)]


@pytest.fixture
def cache(clock: FakeClock) -> TokenCache:
    return TokenCache()


@pytest.mark.parametrize(
    ("lifetime", "fresh_for"), [(60, 48), (300, 240), (3600, 3300), (86_400, 86_100)]
)
def test_a_token_is_fresh_until_its_margin_and_valid_until_its_end(
    clock: FakeClock, lifetime: float, fresh_for: float
) -> None:
    engine = FakeEngine(clock=clock.time)
    engine.lifetime = lifetime
    token = a_token(engine.response(READ))
    assert token.expires_on == clock.time() + lifetime
    clock.advance(fresh_for - 0.5)
    assert token.fresh
    clock.advance(1)
    assert not token.fresh
    assert token.valid
    clock.advance(lifetime - fresh_for - 0.5)
    assert not token.valid


def test_the_age_of_a_token_on_arrival_counts(clock: FakeClock) -> None:
    """A token stored for 1000 seconds; then the wall clock is set back."""
    engine = FakeEngine(clock=clock.time)
    token = a_token(engine.response(READ, received_at=clock.time() - 1000))
    assert token.fresh_for == pytest.approx(3300 - 1000)
    clock.set_wall(-5000)
    clock.advance(3300 - 1000 - 1)
    assert token.fresh
    clock.advance(2)
    assert not token.fresh


def test_a_token_from_a_clock_that_is_ahead_lasts_no_longer(clock: FakeClock) -> None:
    token = a_token(FakeEngine(clock=clock.time).response(READ, received_at=clock.time() + 250))
    clock.advance(3301)
    assert not token.fresh


@pytest.mark.parametrize("ahead", [400, 86_400])
def test_a_token_that_was_kept_while_the_clock_was_far_ahead_is_stale(
    clock: FakeClock, ahead: float
) -> None:
    """After the clock was corrected, the token served for as long as the clock had been ahead."""
    token = a_token(FakeEngine(clock=clock.time).response(READ, received_at=clock.time() + ahead))
    assert not token.fresh
    assert not token.valid


def test_a_token_ends_though_the_clock_is_set_back(clock: FakeClock) -> None:
    token = a_token(FakeEngine(clock=clock.time).response(READ))
    clock.set_wall(-86_400)
    clock.advance(3599)
    assert token.valid
    clock.advance(2)
    assert not token.valid


def test_a_token_without_a_life_is_never_fresh(clock: FakeClock) -> None:
    response = FakeEngine(clock=clock.time).response(READ, expires_in=0.0)
    token = a_token(response)
    assert not token.fresh
    assert not token.valid


def test_a_token_treated_as_fresh_is_not_used_beyond_its_end(clock: FakeClock) -> None:
    token = a_token(FakeEngine(clock=clock.time).response(READ))
    clock.advance(3400)
    assert not token.fresh
    token.treat_as_fresh(30)
    assert token.fresh
    clock.advance(31)
    assert not token.fresh
    clock.advance(3600 - 3431 - 10)
    token.treat_as_fresh(30)
    clock.advance(4)
    assert token.fresh
    clock.advance(2)
    assert not token.fresh


def test_the_time_of_a_token_treated_as_fresh_ends_during_sleep(
    clock: FakeClock,
) -> None:
    token = a_token(FakeEngine(clock=clock.time).response(READ))
    clock.advance(3500)
    token.treat_as_fresh(30)
    clock.sleep_through(29)
    assert token.fresh
    clock.sleep_through(1)
    assert not token.fresh


@pytest.mark.parametrize("change", ["set_wall", "sleep_through", "advance"])
def test_a_clock_put_forward_or_a_sleep_makes_a_token_stale(clock: FakeClock, change: str) -> None:
    token = a_token(FakeEngine(clock=clock.time).response(READ))
    getattr(clock, change)(3400)
    assert not token.fresh


def test_a_clock_put_back_does_not_make_a_token_last_longer(clock: FakeClock) -> None:
    token = a_token(FakeEngine(clock=clock.time).response(READ))
    clock.set_wall(-100_000)
    assert token.fresh
    clock.advance(3400)
    assert not token.fresh


@pytest.mark.parametrize(
    "other",
    [
        AccountKey("https://id.example:8443", "notebooks", "ada"),
        AccountKey("https://id.example/realms/a", "notebooks", "ada"),
        AccountKey("https://id.example", "other-client", "ada"),
        AccountKey("https://id.example", "notebooks", "bob"),
    ],
)
def test_two_issuers_on_one_host_two_clients_and_two_people_are_kept_apart(
    cache: TokenCache, clock: FakeClock, other: AccountKey
) -> None:
    first = take_in(cache, clock)
    second = take_in(cache, clock, other)
    assert cache.tokens[TokenKey(ADA, READ.key)] is first
    assert cache.tokens[TokenKey(other, READ.key)] is second
    cache.remove(other)
    assert list(cache.tokens) == [TokenKey(ADA, READ.key)]
    assert list(cache.signed_in) == [ADA]
    assert cache.current == {ADA.client: ADA}


def test_removing_an_account_leaves_nothing_of_it(cache: TokenCache, clock: FakeClock) -> None:
    take_in(cache, clock)
    take_in(cache, clock, scopes=WRITE)
    assert len(cache.tokens_of(ADA)) == 2
    removed = cache.remove(ADA)
    assert removed is not None
    assert (cache.tokens, cache.signed_in, cache.current) == ({}, {}, {})
    assert cache.remove(ADA) is None


def test_an_account_is_found_by_the_name_it_has_now(cache: TokenCache, clock: FakeClock) -> None:
    take_in(cache, clock)
    kept(cache)
    married = replace(cache.signed_in[ADA].account, username="Lovelace@id.example")
    record = replace(cache.signed_in[ADA], account=married)
    cache.restore(record, {})
    assert cache.find(ADA.client, "lovelace@ID.example") == ADA
    assert cache.find(ADA.client, "ADA") is None, "home account ids are case sensitive"
    assert cache.named("ada") == ADA
    cache.remove(ADA)
    assert cache.find(ADA.client, "lovelace@id.example") is None


def test_the_newest_other_account_follows_the_current_one(
    cache: TokenCache, clock: FakeClock
) -> None:
    keys = [ADA._replace(home_account_id=name) for name in ("ada", "bob", "cyd")]
    for key in keys:
        take_in(cache, clock, key)
    assert cache.current[ADA.client] == keys[2]
    cache.remove(keys[2])
    assert cache.current[ADA.client] == keys[1]
    cache.remove(keys[0])
    assert cache.current[ADA.client] == keys[1]


def test_signing_in_again_keeps_earlier_tokens_and_their_grants(
    cache: TokenCache, clock: FakeClock
) -> None:
    first = take_in(cache, clock)
    take_in(cache, clock, scopes=WRITE)
    assert cache.tokens[TokenKey(ADA, READ.key)] is first
    record = cache.signed_in[ADA]
    assert [grant.scopes for grant in record.grants] == [READ.key, WRITE.key]
    assert record.grants_for(READ.key) == [first.grant]


def test_signing_in_for_more_replaces_the_grants_that_it_covers(
    cache: TokenCache, clock: FakeClock
) -> None:
    take_in(cache, clock)
    take_in(cache, clock, scopes=Scopes.parse(["read", "write"], microsoft=False))
    record = cache.signed_in[ADA]
    assert [grant.scopes for grant in record.grants] == [{"read", "write"}]
    assert [grant.scopes for grant in record.superseded] == [READ.key], "they are revoked with it"


def test_a_refresh_that_ends_after_signing_out_is_dropped(
    cache: TokenCache, clock: FakeClock
) -> None:
    token = take_in(cache, clock)
    cache.remove(ADA)
    late = FakeEngine(clock=clock.time).response(READ)
    assert cache.refreshed(ADA, late, READ, token.grant, token.client) is None
    assert (cache.tokens, cache.signed_in) == ({}, {})


def test_a_refresh_without_a_new_refresh_token_keeps_the_old(
    cache: TokenCache, clock: FakeClock
) -> None:
    token = take_in(cache, clock)
    before = refresh_token_of(token)
    answer = FakeEngine(clock=clock.time).response(READ, refresh_token=None)
    refreshed = cache.refreshed(ADA, answer, READ, token.grant, token.client)
    assert refreshed is not None
    assert refresh_token_of(refreshed) == before


@pytest.mark.timing
@pytest.mark.parametrize("crowd", [1, 10_000])
def test_a_look_up_takes_the_same_time_with_many_accounts(crowd: int) -> None:
    """It is one dictionary look-up; the cache is not searched."""
    clock = FakeClock()
    cache = TokenCache()
    response = FakeEngine(clock=clock.time).response(READ)
    for number in range(crowd):
        key = ADA._replace(home_account_id=f"user-{number}")
        cache.tokens[TokenKey(key, READ.key)] = a_token(response)
    wanted = TokenKey(ADA._replace(home_account_id="user-0"), READ.key)
    best = min(_timed(cache, wanted) for _ in range(5))
    assert best < 2e-3  # 1000 look-ups; searching 10,000 entries takes a thousand times longer


def _timed(cache: TokenCache, wanted: TokenKey) -> float:
    began = time.perf_counter()
    for _ in range(1000):
        assert cache.tokens.get(wanted) is not None
    return time.perf_counter() - began


def test_a_restored_token_stays_the_same_object_with_the_stored_grant(
    cache: TokenCache, clock: FakeClock
) -> None:
    """Another kernel has renewed for other scopes: the token is the same, its grant is not."""
    token = take_in(cache, clock)
    kept(cache)
    anew = signed_in(ADA)
    anew.grants = [RefreshTokenGrant(SecretStr("rotated"), READ.key)]
    again = CachedToken(token.response, anew.grants[0], READ, token.client)
    cache.restore(anew, {READ.key: again})
    assert cache.tokens == {TokenKey(ADA, READ.key): token}
    assert token.grant is anew.grants[0]
    assert cache.signed_in[ADA] is anew


def test_restoring_replaces_older_tokens_and_removes_tokens_that_are_not_stored(
    cache: TokenCache, clock: FakeClock
) -> None:
    take_in(cache, clock)
    take_in(cache, clock, scopes=WRITE)
    kept(cache)
    newer = a_token(FakeEngine(clock=clock.time).response(READ, access_token=SecretStr("newer")))
    cache.restore(signed_in(ADA), {READ.key: newer})
    assert cache.tokens == {TokenKey(ADA, READ.key): newer}


def test_nothing_of_the_cache_shows_a_refresh_token(cache: TokenCache, clock: FakeClock) -> None:
    take_in(cache, clock)
    assert "refresh-ada" not in repr(cache.signed_in)
    assert "refresh-ada" not in repr([token.grant for token in cache.tokens.values()])


def refresh_token_of(token: CachedToken) -> str | None:
    assert isinstance(token.grant, RefreshTokenGrant)
    return token.grant.refresh_token

from __future__ import annotations

import time

import pytest

from nbauth.core.accounts import Account
from nbauth.core.scopes import Scopes
from nbauth.kernel.cache import AccountKey, CachedToken, Grant, SignedIn, TokenCache
from nbauth.testing.clock import FakeClock
from nbauth.testing.engine import FakeEngine

READ = Scopes.parse(["read"], microsoft=False)
WRITE = Scopes.parse(["write"], microsoft=False)
ADA: AccountKey = ("https://id.example", "notebooks", "ada")


def signed_in(name: str = "ada", authority: str = "https://id.example") -> SignedIn:
    return SignedIn(Account(name, name, "", name, authority), name, None, {})


def take_in(
    cache: TokenCache, clock: FakeClock, key: AccountKey = ADA, scopes: Scopes = READ
) -> CachedToken:
    engine = FakeEngine(clock=clock.time)
    engine.user = key[2]
    cache.sign_in(key, signed_in(key[2], key[0]), engine.response(scopes), scopes.key)
    return cache.tokens[(*key, scopes.key)]


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
    token = CachedToken(engine.response(READ), Grant(None, READ.key))
    assert token.expires_on == clock.time() + lifetime
    clock.advance(fresh_for - 0.5)
    assert token.fresh
    clock.advance(1)
    assert not token.fresh
    assert token.valid
    clock.advance(lifetime - fresh_for - 0.5)
    assert not token.valid


def test_a_token_without_a_life_is_never_fresh(clock: FakeClock) -> None:
    response = FakeEngine(clock=clock.time).response(READ, expires_in=0.0)
    token = CachedToken(response, Grant(None, READ.key))
    assert not token.fresh
    assert not token.valid


def test_holding_a_token_makes_it_do_for_a_while_but_not_beyond_its_end(clock: FakeClock) -> None:
    token = CachedToken(FakeEngine(clock=clock.time).response(READ), Grant(None, READ.key))
    clock.advance(3400)
    assert not token.fresh
    token.hold(30)
    assert token.fresh
    clock.advance(31)
    assert not token.fresh
    clock.advance(3600 - 3431 - 10)
    token.hold(30)
    clock.advance(4)
    assert token.fresh
    clock.advance(2)
    assert not token.fresh


@pytest.mark.parametrize("change", ["set_wall", "sleep_through", "advance"])
def test_a_clock_put_forward_or_a_sleep_makes_a_token_stale(clock: FakeClock, change: str) -> None:
    token = CachedToken(FakeEngine(clock=clock.time).response(READ), Grant(None, READ.key))
    getattr(clock, change)(3400)
    assert not token.fresh


def test_a_clock_put_back_does_not_make_a_token_last_longer(clock: FakeClock) -> None:
    token = CachedToken(FakeEngine(clock=clock.time).response(READ), Grant(None, READ.key))
    clock.set_wall(-100_000)
    assert token.fresh
    clock.advance(3400)
    assert not token.fresh


@pytest.mark.parametrize(
    "other",
    [
        ("https://id.example:8443", "notebooks", "ada"),
        ("https://id.example/realms/a", "notebooks", "ada"),
        ("https://id.example", "other-client", "ada"),
        ("https://id.example", "notebooks", "bob"),
    ],
)
def test_two_issuers_on_one_host_two_clients_and_two_people_never_meet(
    cache: TokenCache, clock: FakeClock, other: AccountKey
) -> None:
    first = take_in(cache, clock)
    second = take_in(cache, clock, other)
    assert cache.tokens[(*ADA, READ.key)] is first
    assert cache.tokens[(*other, READ.key)] is second
    cache.remove(other)
    assert list(cache.tokens) == [(*ADA, READ.key)]
    assert list(cache.signed_in) == [ADA]
    assert cache.current == {ADA[:2]: ADA}


def test_removing_an_account_leaves_nothing_of_it(cache: TokenCache, clock: FakeClock) -> None:
    take_in(cache, clock)
    take_in(cache, clock, scopes=WRITE)
    assert len(cache.tokens_of(ADA)) == 2
    removed = cache.remove(ADA)
    assert removed is not None
    assert (cache.tokens, cache.signed_in, cache.current) == ({}, {}, {})
    assert cache.remove(ADA) is None


def test_when_the_current_account_goes_the_newest_of_the_others_takes_its_place(
    cache: TokenCache, clock: FakeClock
) -> None:
    keys: list[AccountKey] = [(*ADA[:2], name) for name in ("ada", "bob", "cyd")]
    for key in keys:
        take_in(cache, clock, key)
    assert cache.current[ADA[:2]] == keys[2]
    cache.remove(keys[2])
    assert cache.current[ADA[:2]] == keys[1]
    cache.remove(keys[0])
    assert cache.current[ADA[:2]] == keys[1]


def test_signing_in_again_keeps_earlier_tokens_and_their_grants(
    cache: TokenCache, clock: FakeClock
) -> None:
    first = take_in(cache, clock)
    take_in(cache, clock, scopes=WRITE)
    assert cache.tokens[(*ADA, READ.key)] is first
    record = cache.signed_in[ADA]
    assert [grant.scopes for grant in record.grants] == [READ.key, WRITE.key]
    assert record.grant_for(READ.key) is first.grant


def test_signing_in_for_more_replaces_the_grants_that_it_covers(
    cache: TokenCache, clock: FakeClock
) -> None:
    take_in(cache, clock)
    take_in(cache, clock, scopes=Scopes.parse(["read", "write"], microsoft=False))
    assert [grant.scopes for grant in cache.signed_in[ADA].grants] == [{"read", "write"}]


def test_the_lock_of_an_account_outlives_its_signing_in_again(
    cache: TokenCache, clock: FakeClock
) -> None:
    take_in(cache, clock)
    lock = cache.signed_in[ADA].lock
    take_in(cache, clock)
    assert cache.signed_in[ADA].lock is lock


def test_a_refresh_that_ends_after_signing_out_is_dropped(
    cache: TokenCache, clock: FakeClock
) -> None:
    token = take_in(cache, clock)
    cache.remove(ADA)
    late = FakeEngine(clock=clock.time).response(READ)
    assert cache.refreshed(ADA, late, READ.key, token.grant) is None
    assert (cache.tokens, cache.signed_in) == ({}, {})


def test_a_refresh_without_a_new_refresh_token_keeps_the_old(
    cache: TokenCache, clock: FakeClock
) -> None:
    token = take_in(cache, clock)
    before = token.grant.refresh_token
    answer = FakeEngine(clock=clock.time).response(READ, refresh_token=None)
    refreshed = cache.refreshed(ADA, answer, READ.key, token.grant)
    assert refreshed is not None
    assert refreshed.grant.refresh_token == before


@pytest.mark.timing
@pytest.mark.parametrize("crowd", [1, 10_000])
def test_a_look_up_costs_the_same_however_many_are_signed_in(crowd: int) -> None:
    """It is one dictionary look-up: nothing of the cache is walked."""
    clock = FakeClock()
    cache = TokenCache()
    response = FakeEngine(clock=clock.time).response(READ)
    for number in range(crowd):
        key = (*ADA[:2], f"user-{number}")
        cache.tokens[(*key, READ.key)] = CachedToken(response, Grant(None, READ.key))
    wanted = (*ADA[:2], "user-0", READ.key)
    best = min(_timed(cache, wanted) for _ in range(5))
    assert best < 2e-3  # 1000 look-ups; walking 10,000 entries takes a thousand times longer


def _timed(cache: TokenCache, wanted: tuple[str, str, str, frozenset[str]]) -> float:
    began = time.perf_counter()
    for _ in range(1000):
        assert cache.tokens.get(wanted) is not None
    return time.perf_counter() - began


def test_nothing_of_the_cache_shows_a_refresh_token(cache: TokenCache, clock: FakeClock) -> None:
    take_in(cache, clock)
    assert "refresh-ada" not in repr(cache.signed_in)
    assert "refresh-ada" not in repr([token.grant for token in cache.tokens.values()])

"""Renewal of a token: which grant is used, for which account, and what a refusal means."""

from __future__ import annotations

import pytest

from nbauth.core.errors import ConsentRequired, NbAuthError
from nbauth.core.secret import SecretStr
from nbauth.kernel.accounts.background import RefreshAhead
from nbauth.testing.clock import FakeClock
from nbauth.testing.engine import refusal, unreachable
from tests.kernel.conftest import Bench, in_a_thread


@pytest.mark.parametrize(("wanted", "is_consent"), [("read", False), ("write", True)])
def test_invalid_scope_means_missing_consent_only_for_scopes_not_granted(
    bench: Bench, wanted: str, is_consent: bool
) -> None:
    account = bench.sign_in("read")
    bench.clock.advance(4000)
    bench.engine.will("refresh", refusal("invalid_scope"))
    client = bench.session.client()
    with pytest.raises(NbAuthError) as caught:
        bench.session._renewal.silent(client, account.key, client.scopes((wanted,)))
    assert isinstance(caught.value, ConsentRequired) is is_consent


def test_a_reader_during_an_outage_counts_as_a_user_of_the_token(
    bench: Bench, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that it is refreshed ahead of need again once the provider is reachable."""
    monkeypatch.setattr("nbauth.kernel.accounts.background.time", clock)
    bench.session.cache.renewed.disconnect(bench.session._refresh_ahead.wake)
    bench.sign_in("read")
    worker = RefreshAhead(bench.session.cache, bench.session._renewal)
    clock.advance(3600 - 200)
    bench.engine.will("refresh", refusal("invalid_request"), unreachable())
    worker.tick()
    (token,) = bench.session.cache.tokens.values()
    assert not token.used, "only the worker has read it"
    assert bench.session.acquire("read").source == "cache"
    clock.advance(101)
    worker.tick()
    assert bench.refreshes == 3


# ── unusable responses, after the refresh token was used up ─────────────────────────────────


def refused_answer(rotated: str | None) -> NbAuthError:
    error = refusal("id_token_expired")
    error.rotated = SecretStr(rotated) if rotated else None
    return error


def test_the_refresh_token_of_an_unusable_response_is_not_lost(bench: Bench) -> None:
    """With rotation the old one is used up, so a fault in another field ended the sign-in."""
    bench.sign_in("read")
    bench.clock.advance(3600)
    bench.engine.live["successor"] = "ada"
    del bench.engine.live["refresh-ada-1"]
    error = refused_answer("successor")
    bench.engine.will("refresh", error)
    with pytest.raises(NbAuthError, match="id_token_expired"):
        bench.session.acquire("read")
    assert error.rotated is None, "errors may be kept in tracebacks"
    assert bench.session.acquire("read").source == "refresh"
    assert bench.engine.reused == []


def test_a_valid_token_is_used_and_the_new_refresh_token_is_taken(
    bench: Bench,
) -> None:
    bench.sign_in("read")
    bench.clock.advance(3500)
    bench.engine.live["successor"] = "ada"
    bench.engine.will("refresh", refused_answer("successor"))
    assert bench.session.acquire("read").source == "cache"
    (record,) = bench.session.cache.signed_in.values()
    assert [str(grant.refresh_token) for grant in record.grants] == ["successor"]  # type: ignore[attr-defined]


def test_a_refresh_of_a_superseded_grant_serves_only_its_caller(bench: Bench) -> None:
    """The new sign-in may have stronger authentication: its token stays."""
    bench.sign_in("read")
    gate = bench.engine.hold("refresh")
    thread, outcome = in_a_thread(lambda: bench.session.acquire("read", force_refresh=True))
    assert gate.reached.wait(5)
    bench.sign_in("read", force=True)
    stronger = bench.read("read")
    gate.open()
    thread.join(5)
    assert str(outcome[0].access_token) != stronger
    assert bench.read("read") == stronger
    bench.session.logout(revoke=True)
    assert bench.engine.live == {}

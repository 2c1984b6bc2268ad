"""A token renewed: with what, for whom, and what a refusal means."""

from __future__ import annotations

import pytest

from nbauth.core.errors import ConsentRequired, NbAuthError
from nbauth.core.secret import SecretStr
from nbauth.kernel.accounts.background import RefreshAhead
from nbauth.testing.clock import FakeClock
from nbauth.testing.engine import refusal, unreachable
from tests.kernel.conftest import Bench, in_a_thread


@pytest.mark.parametrize(("wanted", "is_consent"), [("read", False), ("write", True)])
def test_invalid_scope_asks_for_consent_only_to_what_was_not_granted(
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
    """So that it is refreshed ahead of need again once the provider is back."""
    monkeypatch.setattr("nbauth.kernel.accounts.background.time", clock)
    bench.session.cache.renewed.disconnect(bench.session._refresh_ahead.wake)
    bench.sign_in("read")
    worker = RefreshAhead(bench.session.cache, bench.session._renewal)
    clock.advance(3600 - 200)
    bench.engine.will("refresh", refusal("invalid_request"), unreachable())
    worker.tick()
    (token,) = bench.session.cache.tokens.values()
    assert not token.used, "nobody but the worker has looked at it"
    assert bench.session.acquire("read").source == "cache"
    clock.advance(101)
    worker.tick()
    assert bench.refreshes == 3


# ── an answer that cannot be used, after the refresh token was spent ────────────────────────


def refused_answer(rotated: str | None) -> NbAuthError:
    error = refusal("id_token_expired")
    error.rotated = SecretStr(rotated) if rotated else None
    return error


def test_the_refresh_token_of_an_answer_that_is_refused_is_not_lost(bench: Bench) -> None:
    """It rotates: the one before is spent, and the sign-in ended for a fault in another field."""
    bench.sign_in("read")
    bench.clock.advance(3600)
    bench.engine.live["successor"] = "ada"
    del bench.engine.live["refresh-ada-1"]
    error = refused_answer("successor")
    bench.engine.will("refresh", error)
    with pytest.raises(NbAuthError, match="id_token_expired"):
        bench.session.acquire("read")
    assert error.rotated is None, "an error is kept in tracebacks"
    assert bench.session.acquire("read").source == "refresh"
    assert bench.engine.reused == []


def test_a_token_that_is_valid_still_is_held_on_to_and_the_refresh_token_taken(
    bench: Bench,
) -> None:
    bench.sign_in("read")
    bench.clock.advance(3500)
    bench.engine.live["successor"] = "ada"
    bench.engine.will("refresh", refused_answer("successor"))
    assert bench.session.acquire("read").source == "cache"
    (record,) = bench.session.cache.signed_in.values()
    assert [str(grant.refresh_token) for grant in record.grants] == ["successor"]  # type: ignore[attr-defined]


def test_a_refresh_of_a_grant_that_was_superseded_is_the_callers_alone(bench: Bench) -> None:
    """The sign-in anew may have proved more: its token stays."""
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

"""A token renewed: with what, for whom, and what a refusal means."""

from __future__ import annotations

import pytest

from nbauth.core.errors import ConsentRequired, NbAuthError
from nbauth.kernel.accounts.background import RefreshAhead
from nbauth.testing.clock import FakeClock
from nbauth.testing.engine import refusal, unreachable
from tests.kernel.conftest import Bench


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

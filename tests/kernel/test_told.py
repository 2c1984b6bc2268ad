"""Messages are true: result, cache, store and provider agree, or the message says otherwise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from nbauth.core.account import Account
from nbauth.core.errors import ConsentRequired, InteractionRequired, SignInError
from nbauth.kernel.accounts.account_store import AccountStore
from nbauth.testing.engine import refusal
from tests.kernel.accounts.shelf import Handle, Shelf
from tests.kernel.conftest import Bench, redirect


@pytest.fixture
def shelf(monkeypatch: pytest.MonkeyPatch) -> Shelf:
    made = Shelf()
    monkeypatch.setattr("nbauth.persistence.persistence_named", made.named)
    return made


def breaks(error: Exception) -> Callable[..., Any]:
    def broken(*_: Any, **__: Any) -> Any:
        raise error

    return broken


@pytest.mark.parametrize("error", [KeyError("x"), OSError(5, "I/O error"), ValueError("odd")])
@pytest.mark.parametrize("method", ["save", "use", "stamp", "refreshing"])
def test_a_sign_in_that_could_not_be_stored_succeeds_and_the_person_is_told(
    bench: Bench,
    shelf: Shelf,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    error: Exception,
) -> None:
    """Whatever a persistence raises, also one from a plug-in."""
    monkeypatch.setattr(Handle, method, breaks(error))
    bench.session.configure(persist="keyring")
    account = bench.session.login("read", web_ui=redirect)
    assert isinstance(account, Account)
    assert bench.session.accounts() == [account]
    assert bench.read("read") == "access-ada-1"
    assert any(type(error).__name__ in line for line in bench.screen.said)
    assert len(bench.screen.said) == len(set(bench.screen.said)), "each thing is said once"


def test_a_sign_in_as_another_account_says_who_is_signed_in(
    bench: Bench,
) -> None:
    bench.engine.user = "eve"
    with pytest.raises(SignInError) as caught:
        bench.session.login("read", account="bob@example.com", web_ui=redirect)
    said = f"{caught.value} {caught.value.hint}"
    assert "bob@example.com is not signed in" in said
    assert "eve@example.com is now signed in too" in said
    assert [account.name for account in bench.session.accounts()] == ["Eve"]


def test_requested_scopes_do_not_count_as_granted(bench: Bench) -> None:
    """The provider grants ``read`` of ``read write``: a call for ``write`` asks for consent."""
    bench.screen.is_attended = False
    wanted = bench.session.client().scopes(("read", "write"))
    bench.engine.will("redeem", replace(bench.engine.response(wanted), scopes=("read",)))
    bench.session.login("read", "write", web_ui=redirect)
    (record,) = bench.session.cache.signed_in.values()
    assert [grant.scopes for grant in record.grants] == [{"read"}]
    assert bench.session.acquire("read", "write").scopes == ("read",), "it lists the granted scopes"
    bench.engine.will("refresh", refusal("invalid_scope"))
    with pytest.raises(InteractionRequired) as caught:
        bench.read("write")
    assert isinstance(caught.value.__cause__, ConsentRequired)


def test_microsofts_short_names_count_as_granted_scopes(bench: Bench) -> None:
    tenant = "11111111-2222-3333-4444-555555555555"
    bench.session.configure(authority=f"https://login.microsoftonline.com/{tenant}")
    client = bench.session.client()
    key = (client.authority.url, "notebooks")
    engine = bench.engines[key] = bench._engine_for(client.authority, "notebooks")
    wanted = client.scopes(("User.Read",))
    answer = replace(engine.response(wanted), scopes=("User.Read", "profile", "openid"))
    engine.will("redeem", answer)
    bench.session.login("User.Read", web_ui=redirect)
    (record,) = bench.session.cache.signed_in.values()
    assert wanted.key <= record.grants[0].scopes


def test_keep_returns_whether_the_account_was_stored(bench: Bench, shelf: Shelf) -> None:
    bench.session.configure(persist="keyring")
    bench.sign_in("read")
    (record,) = bench.session.cache.signed_in.values()
    assert isinstance(record.store, AccountStore)
    assert record.store.keep(record.key)
    assert not record.store.keep(record.key._replace(home_account_id="nobody"))

"""A new sign-in stays, whatever another kernel did before and whoever reads the store meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from nbauth.core.account import AccountKey
from nbauth.core.errors import NotSignedIn, SignInError
from nbauth.kernel.session import Session
from tests.kernel.accounts.machine import Machine, live, names
from tests.kernel.accounts.shelf import Handle
from tests.kernel.conftest import in_a_thread, redirect, until


def key_of(kernel: Session) -> AccountKey:
    (key,) = kernel.cache.signed_in
    return key


def has_signed_in_anew(kernel: Session, key: AccountKey) -> bool:
    record = kernel.cache.signed_in[key]
    return len(record.grants + record.superseded) > 1


@contextmanager
def both_refresh(machine: Machine, one: Session, other: Session) -> Iterator[list[Any]]:
    """The other kernel's refresh is at the provider; this kernel's refresh waits for the lock."""
    gate = machine.engine.hold("refresh")
    others, _ = in_a_thread(lambda: other.acquire("read", force_refresh=True))
    assert gate.reached.wait(5)
    ones, outcome = in_a_thread(lambda: one.acquire("read", force_refresh=True))
    until(one._account_locks.held)
    yield outcome
    gate.open()
    others.join(10)
    ones.join(10)


def test_a_refresh_does_not_treat_an_unsaved_sign_in_as_an_old_copy(machine: Machine) -> None:
    one = machine.signed_in()
    other = machine.kernel()
    other.acquire("read")
    key = key_of(one)
    with both_refresh(machine, one, other):
        login, brought = in_a_thread(lambda: one.login("write", web_ui=redirect, force=True))
        until(lambda: has_signed_in_anew(one, key))
    login.join(10)
    assert not isinstance(brought[0], BaseException)
    machine.engine.ungranted = {"write"}
    assert one.acquire("write", interactive=False).source == "cache"
    assert machine.engine.reused == []
    one.logout(revoke=True)
    assert live(machine) == set()


@pytest.mark.parametrize("look", ["accounts", "a name"])
def test_reading_the_store_does_not_treat_an_unsaved_sign_in_as_an_old_copy(
    machine: Machine, look: str
) -> None:
    one = machine.signed_in()
    other = machine.kernel()
    other.acquire("read", force_refresh=True)
    key = key_of(one)
    with one._account_locks.of(key):
        login, brought = in_a_thread(lambda: one.login("write", web_ui=redirect, force=True))
        until(lambda: has_signed_in_anew(one, key))
        if look == "accounts":
            one.accounts()
        else:
            one.new_cell()
            one.acquire("read", account="ada@example.com")
    login.join(10)
    assert not isinstance(brought[0], BaseException)
    assert sorted(sorted(token.scopes)[0] for token in one.cache.tokens) == ["read", "write"]
    one.logout(revoke=True)
    assert live(machine) == set()
    assert machine.engine.reused == []


def test_a_refresh_that_notices_an_earlier_sign_out_keeps_a_later_sign_in(
    machine: Machine,
) -> None:
    one = machine.signed_in()
    other, third = machine.kernel(), machine.kernel()
    other.acquire("read")
    key = key_of(one)
    for kernel in (one, other):
        kernel._stored.rest()
    with both_refresh(machine, one, other):
        third.logout()
        login, brought = in_a_thread(lambda: one.login("write", web_ui=redirect, force=True))
        until(lambda: has_signed_in_anew(one, key))
    login.join(10)
    assert not isinstance(brought[0], BaseException)
    assert names(one) == names(machine.kernel()) == ["ada@example.com"]
    assert machine.engine.reused == [], "the signed-out grant is not used"
    assert one.acquire("write", force_refresh=True, interactive=False)


def test_the_watch_that_notices_an_earlier_sign_out_keeps_a_later_sign_in(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = machine.signed_in()
    one.rest()
    store = one.cache.signed_in[key_of(one)].store
    machine.kernel().logout()
    gone = store.gone  # type: ignore[union-attr]

    def late() -> Any:
        seen = gone()
        monkeypatch.setattr(store, "gone", gone)
        machine.engine.user = "ada"
        one.login("read", web_ui=redirect, force=True)
        one.rest()
        return seen

    monkeypatch.setattr(store, "gone", late)
    one._stored._watch.look()
    assert [key.home_account_id for key in one.cache.signed_in] == ["ada"]
    assert len(machine.shelf.kept_records) == 1


def test_a_refresh_that_ends_during_a_sign_out_brings_no_account_back(machine: Machine) -> None:
    one, other = machine.signed_in(), machine.kernel()
    other.acquire("read")
    one.rest()
    gate = machine.engine.hold("refresh")
    thread, outcome = in_a_thread(lambda: one.acquire("read", force_refresh=True))
    assert gate.reached.wait(5)
    other.logout()
    remove = one.cache.remove

    def slow(*given: Any, **how: Any) -> Any:
        if not gate._opened.is_set():
            gate.open()
            thread.join(5)
        return remove(*given, **how)

    one.cache.remove = slow  # type: ignore[method-assign]
    one._stored._watch.look()
    assert isinstance(outcome[0], NotSignedIn)
    assert machine.shelf.kept_records == {}
    assert names(machine.kernel()) == names(one) == []


def test_a_sign_out_noticed_at_a_refresh_is_announced(machine: Machine) -> None:
    one, other = machine.signed_in(), machine.kernel()
    one.rest()
    other.logout()
    told = threading.Event()
    one.changed.connect(told.set)
    with pytest.raises(NotSignedIn):
        one.acquire("read", force_refresh=True, interactive=False)
    assert told.is_set()


def test_a_sign_out_between_stamp_and_load_of_a_refresh_is_noticed(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = machine.signed_in(), machine.kernel()
    one.rest()
    other.acquire("read", force_refresh=True)
    load, once = Handle.load, [other.logout]

    def late(*given: Any) -> bytes | None:
        if once:
            once.pop()()
        return load(*given)

    monkeypatch.setattr(Handle, "load", late)
    with pytest.raises(NotSignedIn):
        one.acquire("read", force_refresh=True, interactive=False)
    assert machine.refreshes == 1
    assert machine.engine.reused == []


def test_use_does_not_bring_back_an_account_signed_out_elsewhere(machine: Machine) -> None:
    one = machine.kernel()
    machine.engine.user = "bob"
    with pytest.raises(SignInError):
        one.login("read", web_ui=redirect, account="ada@example.com")
    other = machine.kernel()
    (bob,) = other.accounts()
    one.rest()
    other.logout(bob)
    one.use(bob)
    assert machine.shelf.kept_records == {}
    assert names(machine.kernel()) == []


def test_a_token_keeps_the_client_that_requested_it(machine: Machine) -> None:
    """After another kernel had renewed it, it had the proxies of the sign-in."""
    one = machine.signed_in()
    proxies = {"https": "http://proxy.example:1"}
    one.login("write", proxies=proxies, web_ui=redirect)
    other = machine.kernel()
    other.acquire("write", force_refresh=True)
    one.acquire("read", force_refresh=True)
    ways = {token.asked: token.client.settings.proxies for token in one.cache.tokens.values()}
    assert [ways[asked] for asked in ways if "write" in asked] == [proxies]


# ── the account that a sign-out means ───────────────────────────────────────────────────────


def test_a_sign_out_by_name_and_client_finds_an_account_in_another_store(machine: Machine) -> None:
    machine.signed_in()
    kernel = machine.kernel(persist="memory")
    assert len(kernel.logout("ada@example.com", client_id="notebooks")) == 1
    assert machine.shelf.kept_records == {}


@pytest.mark.parametrize("named", ["Account", "AccountKey"])
def test_a_signed_in_account_is_found_without_reading_a_store(
    machine: Machine, named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel = machine.kernel(persist="memory")
    (account,) = [kernel.login("read", web_ui=redirect)]
    asked = account if named == "Account" else account.key  # type: ignore[union-attr]
    monkeypatch.setattr(type(kernel._stored), "fetch_all", lambda *_: pytest.fail("a store"))
    assert kernel._accounts.the_one(None, asked) == account.key  # type: ignore[union-attr,arg-type]
    assert kernel._accounts.the_one(kernel.client(), asked) == account.key  # type: ignore[union-attr,arg-type]

"""One sign-in, many kernels: sessions that share one persistence, as kernels of a machine do."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from nbauth.core.errors import (
    ConfigurationError,
    InteractionRequired,
    NotSignedIn,
    PersistenceError,
    SignInCancelled,
    SignInError,
)
from nbauth.kernel.accounts.store_watch import LOOK_EVERY
from nbauth.testing.clock import FakeClock
from nbauth.testing.engine import ISSUER, FakeEngine, refusal, unreachable
from tests.kernel.accounts.machine import Machine, live, names, said
from tests.kernel.accounts.shelf import Handle
from tests.kernel.conftest import redirect, until

# ── the next kernel ─────────────────────────────────────────────────────────────────────────


def test_the_next_kernel_is_signed_in_without_a_prompt_or_a_request(machine: Machine) -> None:
    first = machine.signed_in().acquire("read")
    second = machine.kernel().acquire("read")
    assert second.access_token == first.access_token
    assert second.source == "cache"
    assert (second.account, second.id_token, second.unique_id, second.scopes) == (
        first.account, first.id_token, first.unique_id, first.scopes
    )  # fmt: skip
    assert machine.refreshes == 0
    assert "already" in str(machine.kernel().login("read") and said(machine.kernels[-1])).lower()


def test_a_stored_sign_in_is_refreshed_and_stored_again(machine: Machine) -> None:
    machine.signed_in()
    for day in range(1, 4):
        machine.clock.advance(86_400)
        assert machine.kernel().acquire("read").source == "refresh"
        assert machine.refreshes == day
    assert machine.engine.reused == []


def test_a_kernel_uses_the_result_of_another_kernels_refresh(machine: Machine) -> None:
    one, other = machine.signed_in(), machine.kernel()
    token = other.token("read")
    machine.clock.advance(3600)
    fresh = one.acquire("read").access_token
    assert token.value == fresh
    assert machine.refreshes == 1


def test_what_another_kernel_refreshed_long_ago_is_refreshed_again(machine: Machine) -> None:
    one, other = machine.signed_in(), machine.kernel()
    other.acquire("read")
    machine.clock.advance(3600)
    stale = one.acquire("read").access_token
    machine.clock.advance(3600)
    assert other.acquire("read").access_token != stale
    assert machine.refreshes == 2


def test_rotating_refresh_tokens_survive_eight_kernels(machine: Machine) -> None:
    machine.signed_in()
    kernels = [machine.kernel() for _ in range(8)]
    with ThreadPoolExecutor(32) as pool:
        for expiry in range(1, 11):
            machine.clock.advance(3600)
            texts = list(pool.map(lambda k: str(k.acquire("read").access_token), kernels * 4))
            assert len(set(texts)) == 1
            assert machine.refreshes == expiry
    assert machine.engine.reused == []


def test_the_account_used_last_is_current_in_the_next_kernel(machine: Machine) -> None:
    machine.signed_in("ada")
    bob = machine.signed_in("bob")
    assert machine.kernel().acquire("read").account.name == "Bob"
    bob.use("ada@example.com")
    new = machine.kernel()
    assert new.acquire("read").account.name == "Ada"
    assert new.acquire("read", account="bob@example.com").account.name == "Bob"
    assert sorted(names(machine.kernel())) == ["ada@example.com", "bob@example.com"]


@pytest.mark.parametrize("user", ["ada", "bob"])
def test_listing_the_accounts_leaves_the_last_used_one_current(machine: Machine, user: str) -> None:
    machine.signed_in("ada")
    machine.signed_in("bob").use(f"{user}@example.com")
    for other in ("ada", "bob"):
        for look in (
            lambda kernel: kernel.accounts(),
            lambda kernel, other=other: kernel.acquire("read", account=f"{other}@example.com"),
        ):
            kernel = machine.kernel()
            look(kernel)
            assert kernel.acquire("read").account.name.lower() == user


def test_the_current_account_after_a_sign_out_is_current_in_the_next_kernel(
    machine: Machine,
) -> None:
    kernel = machine.kernel()
    for user in ("ada", "bob", "carol"):
        machine.engine.user = user
        kernel.login("read", web_ui=redirect, force=True)
    kernel.use("ada@example.com")
    for gone in ("ada", "carol", "bob"):
        kernel.logout(f"{gone}@example.com")
        here = [account.username for account in kernel.cache.accounts()]
        there = machine.kernel()
        if here:
            assert there.acquire("read").account.username == here[0]
        else:
            with pytest.raises(InteractionRequired):
                there.acquire("read")


def test_another_clients_account_is_not_found(machine: Machine) -> None:
    machine.signed_in()
    with pytest.raises(InteractionRequired):
        machine.kernel(client_id="another").acquire("read")


def test_memory_touches_no_store(machine: Machine) -> None:
    kernel = machine.kernel(persist="memory")
    kernel.login("read", web_ui=redirect)
    kernel.accounts()
    kernel.logout()
    assert (machine.shelf.opened, machine.shelf.kept_records) == (0, {})


def test_a_signed_in_account_is_stored_on_request(machine: Machine) -> None:
    kernel = machine.kernel(persist="memory")
    kernel.login("read", web_ui=redirect)
    kernel.login("read", persist="keyring")
    assert machine.kernel().acquire("read").source == "cache"


def test_a_sign_in_in_memory_is_not_replaced_by_an_older_stored_one(
    machine: Machine,
) -> None:
    machine.signed_in()
    kernel = machine.kernel(persist="memory")
    kernel.login("write", web_ui=redirect)
    text = kernel.acquire("write").access_token
    kernel.configure(persist="keyring")
    assert names(kernel) == ["ada@example.com"]
    assert kernel.acquire("write").access_token == text
    assert kernel.acquire("write").source == "cache"


# ── signing out ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.timing
def test_a_sign_out_reaches_all_kernels_within_a_second(machine: Machine) -> None:
    one, other = machine.signed_in(), machine.kernel()
    token = other.token("read", interactive=False)
    changes: list[int] = []
    other.changed.connect(lambda: changes.append(1))
    one.logout()
    until(lambda: not other.cache.signed_in, 1.0)
    assert changes
    with pytest.raises((NotSignedIn, InteractionRequired)):
        _ = token.value
    assert names(machine.kernel()) == []


def test_the_watch_removes_signed_out_accounts_and_ends(machine: Machine) -> None:
    one, other = machine.signed_in(), machine.kernel()
    other.acquire("read")
    other.rest()
    changes: list[int] = []
    other.changed.connect(lambda: changes.append(1))
    look = other._stored._watch.look
    assert look() == LOOK_EVERY
    assert (len(other.cache.signed_in), changes) == (1, [])
    one.logout()
    assert look() is None, "nobody is left to watch"
    assert (other.cache.signed_in, other.cache.tokens, changes) == ({}, {}, [1])
    look()
    assert changes == [1]


def test_a_refresh_in_flight_cannot_bring_an_account_back(machine: Machine) -> None:
    one, other = machine.signed_in(), machine.kernel()
    other.acquire("read")
    machine.clock.advance(3600)
    gate = machine.engine.hold("refresh")
    outcome: list[Any] = []
    flight = threading.Thread(target=lambda: outcome.append(_tried(other.acquire)))
    flight.start()
    assert gate.reached.wait(5)
    began = machine.clock.monotonic()
    one.logout()  # does not wait for the refresh
    assert machine.shelf.kept_records == {}
    gate.open()
    flight.join(5)
    assert isinstance(outcome[0], (NotSignedIn, InteractionRequired)), began
    assert machine.shelf.kept_records == {}
    assert other.cache.tokens == {}


def _tried(call: Callable[[str], object]) -> object:
    try:
        return call("read")
    except Exception as error:
        return error


def test_storing_a_sign_in_cannot_bring_a_signed_out_account_back(machine: Machine) -> None:
    """The sign-out clears the store after the record was encoded and before it is saved."""
    kernel = machine.kernel()
    save, signed_out = Handle.save, []

    def late(handle: Handle, *given: Any, **options: Any) -> bool:
        if not signed_out:
            signed_out.append(kernel.logout())
        return save(handle, *given, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Handle, "save", late)
        with pytest.raises(SignInCancelled, match="signed out during this sign-in"):
            kernel.login("read", web_ui=redirect)
    assert signed_out[0]
    assert machine.shelf.kept_records == {}
    assert kernel.accounts() == []
    assert machine.engine.live == {}


def saved_by_another(machine: Machine) -> None:
    """The same record, written by another kernel a moment ago."""
    for entry, (_, data) in list(machine.shelf.kept_records.items()):
        Handle(machine.shelf, "keyring").save(entry, data)


def test_a_record_read_during_a_refresh_does_not_replace_its_result(
    machine: Machine,
) -> None:
    """A rotated refresh token must not be replaced by the one before."""
    kernel = machine.signed_in()
    refreshed, answered, go_on = machine.engine._refreshed, threading.Event(), threading.Event()

    def refresh(*given: Any) -> Any:
        response = refreshed(*given)
        answered.set()
        go_on.wait(5)
        return response

    machine.engine._refreshed = refresh  # type: ignore[method-assign]
    outcome: list[Any] = []
    machine.clock.advance(3600)
    thread = threading.Thread(target=lambda: outcome.append(_tried(kernel.acquire)))
    thread.start()
    assert answered.wait(5)
    saved_by_another(machine)
    assert names(kernel) == ["ada@example.com"]
    go_on.set()
    thread.join(5)
    assert str(outcome[0].access_token) == "access-ada-2"
    machine.clock.advance(3600)
    assert str(kernel.acquire("read").access_token) == "access-ada-3"
    assert machine.engine.reused == []


def meanwhile(patch: pytest.MonkeyPatch, method: str, call: Callable[[], Any]) -> None:
    """Run a call in another thread between the end of a handle's method and its return."""
    done, original = [], getattr(Handle, method)

    def wrapped(handle: Handle, *given: Any, **options: Any) -> Any:
        first, outcome = not done, None
        if method == "clear" and first:
            done.append(call())
        outcome = original(handle, *given, **options)
        if method != "clear" and first:
            done.append(1)
            call()
        return outcome

    patch.setattr(Handle, method, wrapped)


def test_a_record_read_before_a_sign_in_does_not_replace_it(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel = machine.signed_in()
    saved_by_another(machine)
    sign_in = lambda: kernel.login("read", web_ui=redirect, force=True)  # noqa: E731
    meanwhile(monkeypatch, "load", sign_in)
    assert names(kernel) == ["ada@example.com"]
    assert str(kernel.acquire("read").access_token) == "access-ada-2"
    (record,) = kernel.cache.signed_in.values()
    assert "refresh-ada-2" in [grant.record()["refresh_token"] for grant in record.grants]


def test_a_read_during_a_sign_out_brings_no_account_back(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The account is removed from memory but not from the store yet."""
    kernel = machine.signed_in()
    kernel.rest()
    seen: list[list[str]] = []
    meanwhile(monkeypatch, "clear", lambda: seen.append(names(kernel)))
    kernel.logout()
    assert seen == [[]]
    assert kernel.cache.signed_in == kernel.cache.tokens == {}


def test_a_record_read_before_a_sign_out_brings_no_account_back(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel = machine.signed_in()
    kernel.rest()
    saved_by_another(machine)
    meanwhile(monkeypatch, "load", kernel.logout)
    assert names(kernel) == []
    assert kernel.cache.signed_in == kernel.cache.tokens == {}


def test_an_account_that_was_not_requested_is_not_current_in_the_next_kernel(
    machine: Machine,
) -> None:
    kernel = machine.signed_in("ada")
    machine.engine.user = "bob"
    with pytest.raises(SignInError, match="was requested"):
        kernel.login("read", account="cyd@example.com", web_ui=redirect)
    assert names(kernel) == ["ada@example.com", "bob@example.com"]
    assert str(machine.kernel().acquire("read").access_token) == "access-ada-1"


def test_what_another_thread_opens_while_a_sign_in_begins_stays_in_use(machine: Machine) -> None:
    kernel = machine.signed_in()
    stores = kernel._stored._stores
    opened = stores._open  # the dictionary that the other thread uses
    opened["file"] = None  # could not be opened before
    kernel._stored.prepare(kernel.client())
    assert opened is stores._open
    assert list(opened) == ["keyring"]


def test_a_refresh_notices_another_kernels_sign_out(machine: Machine) -> None:
    one, other = machine.signed_in(), machine.kernel()
    other.acquire("read")
    other.rest()  # its watch is stopped
    one.logout()
    machine.clock.advance(3600)
    with pytest.raises((NotSignedIn, InteractionRequired)):
        other.acquire("read")
    assert machine.refreshes == 0


def test_logout_all_signs_out_accounts_this_kernel_has_not_read(machine: Machine) -> None:
    machine.signed_in("ada")
    machine.signed_in("bob")
    machine.kernel().logout(all=True)
    assert machine.shelf.kept_records == {}


def test_logout_in_a_new_kernel_signs_out_the_stored_account(machine: Machine) -> None:
    machine.signed_in("ada")
    (gone,) = machine.kernel().logout()
    assert gone.account.name == "Ada"
    assert machine.shelf.kept_records == {}


@pytest.mark.parametrize("how", ["bare", "name", "all"])
def test_a_sign_out_finds_stored_accounts_whatever_persist_says(machine: Machine, how: str) -> None:
    machine.signed_in("ada")
    kernel = machine.kernel(persist="memory")
    assert names(kernel) == [], "listing reads only the store of the settings"
    call: dict[str, Any] = {
        "bare": {},
        "name": {"account": "ada@example.com"},
        "all": {"all": True},
    }
    (gone,) = kernel.logout(**call[how])
    assert gone.account.name == "Ada"
    assert machine.shelf.kept_records == {}


def test_a_sign_out_in_memory_also_clears_the_stored_record(
    machine: Machine,
) -> None:
    machine.signed_in("ada")
    kernel = machine.kernel(persist="memory")
    kernel.login("read", web_ui=redirect)
    kernel.logout()
    assert machine.shelf.kept_records == {}


def test_a_stored_account_is_revoked_with_its_own_client(
    machine: Machine,
) -> None:
    machine.signed_in("ada")
    kernel = machine.kernel(client_id="another")
    (gone,) = kernel.logout("ada@example.com", revoke=True)
    assert gone.client.key == gone.account.key.client
    assert machine.engine.count("revoke") == 1


def test_forget_leaves_nothing(machine: Machine) -> None:
    kernel = machine.signed_in()
    kernel.logout(forget=True)
    assert machine.shelf.kept_records == {}
    assert kernel.cache.signed_in == {}
    assert names(machine.kernel()) == []


def test_all_kernels_learn_that_a_grant_has_ended(machine: Machine) -> None:
    one, other = machine.signed_in(), machine.kernel()
    other.acquire("read")
    machine.engine.will("refresh", refusal("invalid_grant"))
    machine.clock.advance(3600)
    for kernel in (one, other, machine.kernel()):
        with pytest.raises(InteractionRequired):
            kernel.acquire("read")
    assert machine.refreshes == 1


def test_listing_does_not_open_an_empty_store(machine: Machine) -> None:
    kernel = machine.kernel()
    assert names(kernel) == []
    with pytest.raises((NotSignedIn, InteractionRequired)):
        kernel.acquire("read")
    kernel.logout(all=True)
    assert machine.shelf.opened == 0
    machine.signed_in("ada")
    assert names(kernel) == ["ada@example.com"]


# ── a sign-out × what another kernel did, or does ───────────────────────────────────────────


def test_a_kernel_watches_after_its_first_stored_sign_in(machine: Machine) -> None:
    """The watch ran before anything was stored, found nothing to watch, and ended."""
    kernel = machine.signed_in()
    machine.kernel().logout()
    until(lambda: not kernel.cache.signed_in, 3 * LOOK_EVERY)


def test_a_refresh_that_reads_the_store_does_not_undo_a_sign_out(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel = machine.signed_in()
    other = machine.kernel()
    other.acquire("read")
    other.acquire("read", force_refresh=True)  # so that the first has to read the record again
    load, done = Handle.load, []

    def late(handle: Handle, entry: Any) -> bytes | None:
        data = load(handle, entry)
        if not done:
            done.append(1)
            in_thread = threading.Thread(target=kernel.logout, kwargs={"all": True, "revoke": True})
            in_thread.start()
            in_thread.join(5)
        return data

    monkeypatch.setattr(Handle, "load", late)
    with pytest.raises((NotSignedIn, InteractionRequired)):
        kernel.acquire("read", force_refresh=True)
    assert done
    assert kernel.accounts() == []
    assert live(machine) == set()
    assert machine.shelf.kept_records == {}


@pytest.mark.parametrize("how", [{}, {"account": "ada@example.com"}, {"all": True}])
def test_a_sign_out_revokes_grants_that_other_kernels_renewed(
    machine: Machine, how: dict[str, Any]
) -> None:
    kernel = machine.signed_in()
    other = machine.kernel()
    other.acquire("read", force_refresh=True)
    other.login("write", web_ui=redirect, force=True)
    assert len(live(machine)) == 2
    kernel.logout(how.pop("account", None), revoke=True, **how)
    assert live(machine) == set()


@pytest.mark.parametrize("has_read", [True, False])
def test_a_new_sign_in_keeps_the_grants_that_other_kernels_stored(
    machine: Machine, has_read: bool
) -> None:
    """It overwrote their grants, which could then be neither used nor revoked."""
    one, other = machine.kernel(), machine.signed_in()
    if has_read:
        one.acquire("read")
    other.login("write", web_ui=redirect, force=True)
    other.acquire("read", force_refresh=True)
    one.login("more", web_ui=redirect, force=True)
    machine.clock.advance(4000)
    third = machine.kernel()
    for scope in ("read", "write", "more"):
        for kernel in (one, other, third):
            assert kernel.acquire(scope, interactive=False)
    third.logout(revoke=True)
    assert live(machine) == set()


def test_a_sign_out_tries_a_failed_store_again(machine: Machine) -> None:
    machine.signed_in()
    kernel = machine.kernel()
    machine.shelf.broken = "The keyring is locked."
    with pytest.raises(InteractionRequired):
        kernel.acquire("read")
    for _ in range(2):
        kernel.screen.said.clear()  # type: ignore[attr-defined]
        kernel.logout(all=True, revoke=True)
        assert any("locked" in line for line in said(kernel)), "reported each time"
    machine.shelf.broken = None
    assert kernel.logout(all=True, revoke=True)
    assert live(machine) == set()
    assert machine.shelf.kept_records == {}


def test_a_sign_out_that_cannot_clear_the_store_reports_it_each_time(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel = machine.signed_in()

    def clear(*_: Any) -> None:
        raise PersistenceError("The disk is read-only.")

    monkeypatch.setattr(Handle, "clear", clear)
    for _ in range(2):
        kernel.screen.said.clear()  # type: ignore[attr-defined]
        kernel.logout(all=True)
        assert len([line for line in said(kernel) if "read-only" in line]) == 1


def test_the_result_of_a_refresh_after_another_kernels_sign_out_is_revoked(
    machine: Machine,
) -> None:
    one, other = machine.signed_in(), machine.kernel()
    other.acquire("read")
    machine.clock.advance(3600)
    gate = machine.engine.hold("refresh")
    flight = threading.Thread(target=lambda: _tried(other.acquire))
    flight.start()
    assert gate.reached.wait(5)
    one.logout(all=True, revoke=True)
    gate.open()
    flight.join(5)
    assert live(machine) == set()


def test_another_kernels_sign_out_does_not_refuse_a_later_sign_in(
    machine: Machine,
) -> None:
    kernel = machine.signed_in()
    kernel.rest()
    machine.kernel().logout()

    def web_ui(url: str) -> str:
        kernel._stored._watch.look()  # notices the sign-out only now
        return redirect(url)

    assert kernel.login("read", web_ui=web_ui, force=True)
    assert names(kernel) == names(machine.kernel()) == ["ada@example.com"]


def test_a_read_during_a_sign_out_brings_no_account_back_from_another_store(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.signed_in()
    kernel = machine.kernel(persist="memory")
    kernel.login("write", web_ui=redirect)
    kernel._stored.fetch_all("keyring")
    clear, looked = Handle.clear, []

    def late(handle: Handle, entry: Any) -> None:
        if not looked:
            looked.append(kernel._stored.fetch_all("keyring"))
        clear(handle, entry)

    monkeypatch.setattr(Handle, "clear", late)
    kernel.logout(all=True)
    assert looked
    assert kernel.cache.signed_in == {}


def test_a_lock_that_another_kernel_keeps_stops_renewal(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was reported, and then the rotating token was used a second time."""
    kernel = machine.signed_in()

    @contextmanager
    def busy(*_: Any) -> Iterator[None]:
        raise PersistenceError("Another process has locked it for 60 s.", code="busy")
        yield

    monkeypatch.setattr(Handle, "refreshing", busy)
    machine.clock.advance(3500)  # stale, but still valid
    assert kernel.acquire("read").source == "cache"
    machine.clock.advance(200)
    with pytest.raises(PersistenceError, match="locked it for 60 s"):
        kernel.acquire("read")
    assert machine.refreshes == 0


def test_a_screen_that_fails_does_not_stop_a_sign_out(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel = machine.signed_in("ada")
    machine.engine.user = "bob"
    kernel.login("read", web_ui=redirect, force=True)

    def say(_: str) -> None:
        raise RuntimeError("the front end is gone")

    monkeypatch.setattr(kernel.screen, "say", say)
    monkeypatch.setattr(FakeEngine, "revoke", lambda *_: False)
    assert len(kernel.logout(all=True, revoke=True)) == 2
    assert machine.shelf.kept_records == {}


def test_a_forked_childs_sign_in_keeps_the_parents_grants(machine: Machine) -> None:
    """The child knows them only as grants of its parent."""
    parent = machine.signed_in()
    parent.login("write", web_ui=redirect, force=True)
    child = machine.kernel()
    child.accounts()
    child.forked()
    child.login("more", web_ui=redirect, force=True)
    machine.clock.advance(4000)
    for scope in ("read", "write", "more"):
        assert parent.acquire(scope, interactive=False)
    child.logout(revoke=True)
    assert live(machine) == set()


@pytest.mark.parametrize("how", ["login", "use"])
def test_a_forked_child_does_not_store_its_parents_sign_in(machine: Machine, how: str) -> None:
    """It has no refresh token to store; the next kernel would read a record without one."""
    child = machine.kernel(persist="memory")
    child.login("read", web_ui=redirect)
    child.forked()
    child.configure(persist="keyring")
    for _ in range(2):
        if how == "login":
            child.login("read")
        else:
            child.use("ada@example.com")
    assert machine.shelf.kept_records == {}
    told = [line for line in said(child) if "only the parent can store it" in line]
    assert len(told) == (how == "login")
    child.login("more", web_ui=redirect, force=True)
    ((_, data),) = machine.shelf.kept_records.values()
    assert len(json.loads(data)["grants"]) == 1, "only its own grant"


def test_the_end_of_a_kernel_waits_for_a_refresh_under_way(machine: Machine) -> None:
    """The provider had rotated the refresh token, and the stored one was used up."""
    kernel = machine.signed_in()
    machine.clock.advance(3600)
    gate = machine.engine.hold("refresh")
    flight = threading.Thread(target=lambda: _tried(kernel.acquire))
    flight.start()
    assert gate.reached.wait(5)
    before = dict(machine.shelf.kept_records)
    opener = threading.Timer(0.1, gate.open)
    opener.start()
    kernel.rest()
    assert machine.shelf.kept_records != before, "stored before the process may end"
    flight.join(5)
    opener.join(5)


def test_an_account_that_is_already_gone_does_not_stop_a_sign_out_of_others(
    machine: Machine,
) -> None:
    kernel = machine.signed_in("ada")
    machine.engine.user = "bob"
    kernel.login("read", web_ui=redirect, force=True)
    ada, bob = sorted(kernel.cache.signed_in, key=lambda key: key.home_account_id)
    kernel.cache.remove(ada)
    (gone,) = kernel._accounts.sign_out([ada, bob], revoke=False, forget=False)
    assert gone.account.username == "bob@example.com"


# ── whom a name means, and who is current ───────────────────────────────────────────────────


def guest(machine: Machine, subject: str, **claims: str) -> None:
    """The next sign-in is of this subject, whose user name others may share."""
    named = {"sub": subject, "preferred_username": "ada@example.com", **claims}
    scopes = machine.kernel().client().scopes(("read",))
    machine.engine.will(
        "redeem", machine.engine.response(scopes, user=subject, id_token_claims=named)
    )


@pytest.mark.parametrize("call", ["acquire", "bind", "login", "logout", "use"])
def test_a_shared_name_is_refused_also_while_one_of_the_two_is_unread(
    machine: Machine, call: str
) -> None:
    for subject in ("guest-1", "guest-2"):
        guest(machine, subject)
        machine.kernel().login("read", web_ui=redirect, force=True)
    kernel = machine.kernel()
    kernel.acquire("read")  # only the last used account is read
    assert len(kernel.cache.signed_in) == 1
    scopes = ("read",) if call in {"acquire", "login"} else ()
    options: dict[str, Any] = {"authority": ISSUER} if call in {"logout", "use"} else {}
    if scopes:
        options["account"] = "ada@example.com"
    with pytest.raises(ConfigurationError, match="matches 2 accounts"):
        getattr(kernel, call)(*(scopes or ("ada@example.com",)), **options)
    assert len(machine.kernel().accounts()) == 2


def test_the_store_is_read_for_a_name_once(machine: Machine, monkeypatch: Any) -> None:
    machine.signed_in("ada")
    kernel = machine.kernel()
    looks: list[int] = []
    entries = Handle.entries
    monkeypatch.setattr(Handle, "entries", lambda self: (looks.append(1), entries(self))[1])
    for _ in range(5):
        assert kernel.acquire("read", account="ada@example.com")
    assert len(looks) == 1


def test_an_account_that_was_not_requested_is_current_in_no_kernel_until_used(
    machine: Machine,
) -> None:
    """Eve was stored, and became current in the next kernel as soon as it listed the accounts."""
    kernel = machine.kernel()
    machine.engine.user = "eve"
    with pytest.raises(SignInError, match="eve"):
        kernel.login("read", account="bob@example.com", web_ui=redirect)
    for one in (kernel, machine.kernel()):
        assert names(one) == ["eve@example.com"]
        with pytest.raises(InteractionRequired):
            one.acquire("read")
        assert one.acquire("read", account="eve@example.com")
        with pytest.raises(InteractionRequired):
            one.acquire("read")
    kernel.acquire("read", account="eve@example.com", force_refresh=True)
    other = machine.kernels[-1]
    other.acquire("read", account="eve@example.com", force_refresh=True)  # reads the record again
    with pytest.raises(InteractionRequired):
        other.acquire("read")
    other.use("eve@example.com")
    for one in (other, machine.kernel()):
        assert one.acquire("read").account.username == "eve@example.com"


def test_a_sign_out_makes_no_account_current_that_was_not_requested(
    machine: Machine,
) -> None:
    kernel = machine.signed_in("ada")
    machine.engine.user = "eve"
    with pytest.raises(SignInError):
        kernel.login("read", account="bob@example.com", web_ui=redirect)
    kernel.logout()
    assert names(kernel) == ["eve@example.com"]
    with pytest.raises(InteractionRequired):
        kernel.acquire("read")
    machine.engine.user = "eve"
    kernel.login("read", web_ui=redirect)  # now as requested
    assert kernel.acquire("read").account.username == "eve@example.com"


@pytest.mark.parametrize("by", ["username", "email"])
def test_an_account_is_found_by_the_name_that_requested_it(machine: Machine, by: str) -> None:
    kernel = machine.kernel()
    guest(machine, "ada", email="Ada.Lovelace@example.com")
    name = {"username": "ada@example.com", "email": "ada.lovelace@example.com"}[by]
    account = kernel.login("read", account=name, web_ui=redirect)
    for one in (kernel, machine.kernel()):
        assert one.acquire("read", account=name).account == account
        assert one.use(name) == account
    kernel.logout(name)
    assert kernel.accounts() == []


def test_a_user_name_beats_another_accounts_email(machine: Machine) -> None:
    bob = machine.signed_in("bob")
    guest(machine, "ada", email="bob@example.com")
    machine.kernel().login("read", web_ui=redirect, force=True)
    for one in (bob, machine.kernel()):
        assert one.acquire("read", account="bob@example.com").account.home_account_id == "bob"


def test_a_listed_account_is_renewed_with_the_current_settings(
    machine: Machine, tmp_path: Path
) -> None:
    """After it was listed and then used, it was renewed without the proxy."""
    machine.signed_in("ada")
    ca = tmp_path / "ca.pem"
    ca.write_text("")
    kernel = machine.kernel(verify=str(ca))
    kernel.configure(proxies={"https": "http://proxy.example"})
    kernel.accounts()
    (record,) = kernel.cache.signed_in.values()
    assert kernel.acquire("read")
    (token,) = kernel.cache.tokens.values()
    for client in (record.client, token.client):
        assert client.settings.proxies == {"https": "http://proxy.example"}
        assert client.settings.verify == str(ca)


def test_a_sign_in_without_a_refresh_token_supersedes_no_grant(machine: Machine) -> None:
    """Some providers issue a refresh token only at the first consent."""
    kernel = machine.signed_in("ada")
    without = machine.engine.response(kernel.client().scopes(("read",)), refresh_token=None)
    machine.engine.will("redeem", without)
    kernel.login("read", web_ui=redirect, force=True)
    (record,) = kernel.cache.signed_in.values()
    assert any(grant.usable for grant in record.grants)
    machine.clock.advance(4000)
    assert kernel.acquire("read")


# ── what goes wrong ─────────────────────────────────────────────────────────────────────────


def test_a_store_that_does_not_open_is_reported_once_and_memory_is_used(machine: Machine) -> None:
    machine.shelf.broken = "The keyring is locked."
    kernel = machine.kernel()
    for _ in range(3):
        kernel.login("read", web_ui=redirect, force=True)
        kernel.acquire("read")
    assert [line for line in said(kernel) if "locked" in line] == [
        f"The keyring is locked. {PersistenceError.hint}"
    ]
    machine.shelf.broken = None
    kernel.login("read", web_ui=redirect, force=True)
    assert machine.shelf.kept_records, "the next sign-in tries again"


def test_a_non_interactive_call_does_not_wait_for_a_passphrase_prompt(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """One person is asked once; other threads go on within the store's own time limit."""
    monkeypatch.setattr("nbauth.persistence.encrypted._TO_OPEN", 0.3)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.delenv("NBAUTH_PASSPHRASE", raising=False)
    machine = Machine(clock)
    machine.kernel(attended=True, persist="file").login("read", web_ui=redirect)
    kernel = machine.kernel(attended=True, persist="file")
    asked, answered = threading.Event(), threading.Event()

    def ask(prompt: str) -> str:
        asked.set()
        assert answered.wait(20)
        return "a passphrase"

    monkeypatch.setattr(kernel.screen, "ask", ask)
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(kernel.acquire, "read")
        assert asked.wait(20)
        try:
            began = time.monotonic()
            with pytest.raises(InteractionRequired):
                kernel.acquire("read", interactive=False)
            assert time.monotonic() - began < 20
            assert any("Another thread" in line for line in said(kernel))
            asked.clear()
        finally:
            answered.set()
        assert first.result().account.username == "ada@example.com"
    assert kernel.acquire("read", interactive=False).access_token == first.result().access_token
    assert not asked.is_set(), "asked once"
    for each in machine.kernels:
        each.rest()


def test_a_full_disk_loses_no_token(machine: Machine) -> None:
    kernel = machine.signed_in()
    before = dict(machine.shelf.kept_records)
    machine.shelf.full = True
    machine.clock.advance(3600)
    assert kernel.acquire("read").source == "refresh"
    assert kernel.acquire("read").source == "cache"
    assert machine.shelf.kept_records == before
    assert sum("full" in line for line in said(kernel)) == 1


@pytest.mark.parametrize("data", [b"", b"{}", b"\x00\xff", b'{"form": 99}', b"[]", b'{"form":1}'])
def test_a_record_that_cannot_be_read_asks_for_a_sign_in(machine: Machine, data: bytes) -> None:
    machine.signed_in()
    (entry,) = machine.shelf.kept_records
    machine.shelf.kept_records[entry] = 99, data
    kernel = machine.kernel()
    with pytest.raises(InteractionRequired):
        kernel.acquire("read")
    assert sum("can't be read" in line for line in said(kernel)) == 1
    assert machine.shelf.kept_records[entry] == (99, data)


def test_another_accounts_record_is_refused(machine: Machine) -> None:
    machine.signed_in("ada")
    machine.signed_in("bob")
    ada, bob = machine.shelf.kept_records
    machine.shelf.kept_records[bob] = machine.shelf.kept_records[ada]
    with pytest.raises(InteractionRequired):
        machine.kernel().acquire("read")


def test_a_token_that_is_still_valid_is_used_during_an_outage(machine: Machine) -> None:
    kernel = machine.signed_in()
    machine.clock.advance(3600 - 200)
    machine.engine.will("refresh", unreachable())
    assert kernel.acquire("read").source == "cache"

"""Two kernels: what one can't write, store or know does not end the other's sign-in."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from nbauth.core.errors import (
    ConfigurationError,
    InteractionRequired,
    PersistenceError,
    SignInError,
)
from nbauth.kernel.accounts import unsaved
from nbauth.kernel.session import Session
from nbauth.testing.clock import FakeClock
from tests.kernel.accounts.machine import Machine, live, names, said
from tests.kernel.accounts.shelf import Handle
from tests.kernel.conftest import in_a_thread, redirect, until


def msal_cache(folder: Path, *secrets: str, user: str = "ada") -> Path:
    """A plain MSAL cache with a refresh token for the fake provider's account."""
    whom = {"home_account_id": user, "environment": "id.example", "client_id": "notebooks"}
    tokens = {
        secret: {**whom, "secret": secret, "target": "read openid profile email offline_access"}
        for secret in secrets
    }
    account = {user: {**whom, "username": f"{user}@example.com"}}
    file = folder / f"{user}.json"
    file.write_text(json.dumps({"RefreshToken": tokens, "Account": account}))
    return file


# ── what could not be written ───────────────────────────────────────────────────────────────


def test_a_sign_in_that_could_not_be_stored_survives_another_kernels_refresh(
    machine: Machine,
) -> None:
    """The stored record replaced it, and its refresh token was lost without being revoked."""
    one = machine.signed_in()
    other = machine.kernel()
    other.acquire("read")
    one.rest()
    machine.shelf.full = True
    one.login("read", "write", web_ui=redirect, force=True)
    machine.shelf.full = False
    held = one.token("read", "write")
    other.acquire("read", force_refresh=True)
    one.accounts()
    machine.engine.ungranted = {"write"}
    assert str(held)
    machine.engine.ungranted = set()
    one.logout(revoke=True)
    assert live(machine) == set()


@pytest.mark.parametrize("what", ["sign-in", "refresh"])
def test_a_failed_write_is_repeated_as_soon_as_possible(machine: Machine, what: str) -> None:
    one, other = machine.signed_in(), machine.kernel()
    other.acquire("read")
    machine.shelf.full = True
    if what == "sign-in":
        one.login("write", web_ui=redirect, force=True)
    else:
        one.acquire("read", force_refresh=True)
    machine.shelf.full = False
    newest = {str(grant.refresh_token) for grant in _grants(one)}  # type: ignore[attr-defined]
    until(lambda: newest <= set(_kept_tokens(machine)), 5)
    for kernel in (other, machine.kernel(), one):
        assert kernel.acquire("read", force_refresh=True, interactive=False)
    assert machine.engine.reused == []


def test_failed_writes_are_repeated_at_growing_intervals(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = FakeClock()
    monkeypatch.setattr(unsaved, "time", now)
    tries: list[float] = []
    kernel = machine.signed_in()
    kernel.rest()
    machine.shelf.full = True
    kernel.acquire("read", force_refresh=True)
    monkeypatch.setattr(Handle, "save", lambda *_, **__: tries.append(now.monotonic()) or 1 / 0)
    began = now.monotonic()
    for _ in range(400):
        now.advance(0.5)
        kernel._stored._watch.look()
    assert [tried - began for tried in tries][:5] == [0.5, 1.5, 3.5, 7.5, 15.5]
    assert tries[-1] - tries[-2] == unsaved.LAST_SAVE_AGAIN


def test_an_account_signed_out_by_another_kernel_is_not_stored_again(machine: Machine) -> None:
    one, other = machine.signed_in(), machine.kernel()
    other.acquire("read")
    one.rest()
    machine.shelf.full = True
    one.acquire("read", force_refresh=True)
    other.logout()
    machine.shelf.full = False
    time.sleep(unsaved.FIRST_SAVE_AGAIN)
    one._stored._watch.look()
    assert machine.shelf.kept_records == {}
    assert names(one) == []


def test_a_login_after_a_full_disk_keeps_the_sign_in(machine: Machine) -> None:
    kernel = machine.kernel()
    machine.shelf.full = True
    kernel.login("read", web_ui=redirect)
    kernel.rest()
    machine.shelf.full = False
    kernel.login("read")
    assert len(machine.shelf.kept_records) == 1


def _grants(kernel: Session) -> list[Any]:
    return [grant for record in kernel.cache.signed_in.values() for grant in record.grants]


def _kept_tokens(machine: Machine) -> list[str]:
    records = [json.loads(data) for _, data in machine.shelf.kept_records.values()]
    return [grant["refresh_token"] for record in records for grant in record["grants"]]


# ── another account than the requested one signed in ────────────────────────────────────


def test_a_sign_in_as_another_account_does_not_change_a_stored_one(
    machine: Machine,
) -> None:
    """Later kernels had no current account, although bob was stored and used last."""
    machine.signed_in("bob")
    other = machine.kernel()
    with pytest.raises(SignInError, match="bob"):
        other.login("read", account="ada@example.com", force=True, web_ui=redirect)
    assert machine.kernel().acquire("read").account.username == "bob@example.com"


def test_a_sign_in_as_another_account_does_not_undo_another_kernels_use(machine: Machine) -> None:
    one = machine.kernel()
    machine.engine.user = "eve"
    with pytest.raises(SignInError):
        one.login("read", account="ada@example.com", force=True, web_ui=redirect)
    other = machine.kernel()
    other.use("eve@example.com")
    with pytest.raises(SignInError):
        one.login("read", account="ada@example.com", force=True, web_ui=redirect)
    assert machine.kernel().acquire("read").account.username == "eve@example.com"


# ── an import, another store ────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("by", ["another kernel", "this kernel"])
def test_an_import_is_older_than_the_stored_grants(
    machine: Machine, tmp_path: Path, by: str
) -> None:
    """It replaced the newer refresh token; the old one then signed out all kernels."""
    kernel = machine.signed_in()
    importing = kernel if by == "this kernel" else machine.kernel()
    file = msal_cache(tmp_path, "stale")
    for _ in range(2):
        importing.import_cache(file)
    assert _kept_tokens(machine) == ["stale", "refresh-ada-1"]
    machine.clock.advance(3600)
    for each in (kernel, machine.kernel()):
        assert each.acquire("read", interactive=False)
    assert machine.engine.reused == []


def test_an_import_that_is_not_stored_yet_survives_a_read_of_the_store(
    machine: Machine, tmp_path: Path
) -> None:
    one, other = machine.signed_in(), machine.kernel()
    one.rest()
    (key,) = one.cache.signed_in
    with one._account_locks.of(key):
        thread, outcome = in_a_thread(lambda: one.import_cache(msal_cache(tmp_path, "imported")))
        until(lambda: len(one.cache.signed_in[key].grants) == 2)
        other.acquire("read", force_refresh=True)
        one.accounts()
    thread.join(5)
    assert not isinstance(outcome[0], BaseException)
    assert _kept_tokens(machine) == ["imported", *live(machine)], "the import is the older one"


def test_an_import_can_add_an_account(machine: Machine, tmp_path: Path) -> None:
    machine.engine.live["imported"] = "ada"
    machine.kernel().import_cache(msal_cache(tmp_path, "imported"))
    assert machine.kernel().acquire("read").account.username == "ada@example.com"


def test_an_import_without_a_store_changes_nothing(machine: Machine, tmp_path: Path) -> None:
    kernel = machine.kernel(persist="memory")
    kernel.login("read", web_ui=redirect)
    before = [str(grant.refresh_token) for grant in _grants(kernel)]
    with pytest.raises(PersistenceError, match="Nothing was imported"):
        kernel.import_cache(msal_cache(tmp_path, "stale"))
    assert [str(grant.refresh_token) for grant in _grants(kernel)] == before


def test_an_import_that_fails_half_way_names_the_imported_accounts(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [
        json.loads(msal_cache(tmp_path, user, user=user).read_text()) for user in ("ada", "bob")
    ]
    both = {key: {**files[0][key], **files[1][key]} for key in files[0]}
    (tmp_path / "both.json").write_text(json.dumps(both))
    kernel = machine.kernel()
    kernel.rest()
    save = Handle.save

    def once(handle: Handle, entry: Any, data: bytes, **how: Any) -> bool:
        machine.shelf.full = bool(machine.shelf.kept_records)
        return save(handle, entry, data, **how)

    monkeypatch.setattr(Handle, "save", once)
    with pytest.raises(
        PersistenceError, match=r"bob@example.com could not be stored.*ada@example.com"
    ):
        kernel.import_cache(tmp_path / "both.json")


@pytest.mark.parametrize(
    "record",
    [
        {"secret": 5},
        {"secret": {}},
        {"secret": "s", "home_account_id": None},
        {"secret": "s", "home_account_id": 7},
    ],
)
def test_an_import_skips_invalid_records(
    machine: Machine, tmp_path: Path, record: dict[str, Any]
) -> None:
    whole = {"home_account_id": "ada", "environment": "id.example", "client_id": "notebooks"}
    (tmp_path / "c.json").write_text(json.dumps({"RefreshToken": {"x": {**whole, **record}}}))
    assert machine.kernel().import_cache(tmp_path / "c.json").accounts == {}
    (tmp_path / "c.json").write_text("[" * 200_000)
    with pytest.raises(ConfigurationError, match="not an unencrypted MSAL cache"):
        machine.kernel().import_cache(tmp_path / "c.json")


@pytest.mark.parametrize("other", ["file", "memory"])
def test_the_person_is_told_that_an_account_is_stored_elsewhere(
    machine: Machine, other: str
) -> None:
    kernel = machine.signed_in()
    kernel.login("read", web_ui=redirect, force=True)
    assert not any("already stored" in line for line in said(kernel))
    kernel.login("read", web_ui=redirect, force=True, persist=other)
    assert any("already stored in keyring" in line for line in said(kernel))


def test_a_refresh_token_in_use_is_not_stored(
    machine: Machine,
) -> None:
    """During a refresh the old refresh token was stored, and the next kernel sent it again."""
    kernel = machine.kernel(persist="memory")
    kernel.login("read", "mail", web_ui=redirect)
    gate = machine.engine.hold("refresh")
    refresh, _ = in_a_thread(lambda: kernel.acquire("read", force_refresh=True))
    assert gate.reached.wait(5)
    kept, _ = in_a_thread(lambda: kernel.login("read", persist="keyring"))
    kept.join(0.3)
    other, _ = in_a_thread(lambda: machine.kernel().acquire("mail", interactive=False))
    other.join(0.3)
    gate.open()
    for thread in (refresh, kept, other):
        thread.join(5)
    assert machine.kernel().acquire("mail", interactive=False)
    assert machine.engine.reused == []


# ── names, sign-outs ────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("how", ["logout", "use", "next cell"])
def test_a_name_that_two_accounts_now_share_is_refused(machine: Machine, how: str) -> None:
    machine.signed_in("ada")
    kernel = machine.kernel()
    name = "ada@example.com"
    assert kernel.acquire("read", account=name)
    third = machine.kernel()
    response = machine.engine.response
    machine.engine.response = lambda scopes, **changes: _as_ada(  # type: ignore[method-assign]
        response(scopes, **changes)
    )
    machine.engine.user = "other"
    third.login("read", web_ui=redirect, force=True)
    assert names(third)[0] == name
    with pytest.raises(ConfigurationError, match="matches 2 accounts"):
        match how:
            case "logout":
                kernel.logout(name, client_id="notebooks")
            case "use":
                kernel.use(name, client_id="notebooks")
            case _:
                kernel.new_cell()
                kernel.acquire("read", account=name)


def _as_ada(response: Any) -> Any:
    from dataclasses import replace

    claims = {**response.id_token_claims, "preferred_username": "ada@example.com"}
    return replace(response, id_token_claims=claims)


def test_a_sign_out_revokes_a_grant_that_another_kernel_saves_meanwhile(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel, other = machine.signed_in(), machine.kernel()
    other.acquire("read")
    remove, once = kernel.cache.remove, [lambda: other.acquire("read", force_refresh=True)]

    def late(*key: Any, **how: Any) -> Any:
        if once:
            once.pop()()
        return remove(*key, **how)

    monkeypatch.setattr(kernel.cache, "remove", late)
    kernel.logout(revoke=True)
    assert not once
    assert live(machine) == set()


def test_an_earlier_sign_out_does_not_remove_a_sign_in_that_waits_for_the_lock(
    machine: Machine,
) -> None:
    kernel, other = machine.signed_in(), machine.kernel()
    other.acquire("read")
    kernel.rest()
    lock = machine.shelf.locks.setdefault(next(iter(machine.shelf.kept_records)), threading.Lock())
    with lock:
        thread, outcome = in_a_thread(lambda: kernel.login("read", force=True, web_ui=redirect))
        until(lambda: kernel.cache.changes(next(iter(kernel.cache.signed_in))) > 1, 5)
        other.logout()
        until(lambda: machine.engine.count("redeem") == 2, 5)
        time.sleep(0.2)
        kernel._stored._watch.look()
    thread.join(5)
    assert not isinstance(outcome[0], BaseException), outcome
    assert names(kernel) == ["ada@example.com"]


# ── the passphrase, an interrupt ────────────────────────────────────────────────────────────


@pytest.fixture
def in_a_file(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Callable[[], Session]]:
    """Makes attended kernels; ada is stored in a file with a passphrase."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.delenv("NBAUTH_PASSPHRASE", raising=False)
    made = Machine(clock)
    made.kernel(attended=True, persist="file").login("read", web_ui=redirect)

    def kernel() -> Session:
        new = made.kernel(attended=True, persist="file")
        main = threading.main_thread()
        monkeypatch.setattr(new.screen, "attended", lambda: threading.current_thread() is main)
        return new

    yield kernel
    for each in made.kernels:
        each.rest()


def asked(kernel: Session) -> bool:
    return any("assphrase of" in line for line in said(kernel))


@pytest.mark.parametrize(
    "call",
    [
        lambda kernel: kernel.acquire("read", interactive=False),
        lambda kernel: kernel.acquire("read", interactive=False, account="ada@example.com"),
        lambda kernel: kernel.token("read", interactive=False),
        lambda kernel: kernel.bind(interactive=False),
    ],
)
def test_a_non_interactive_call_does_not_ask_for_a_passphrase(
    in_a_file: Callable[[], Session], call: Callable[[Session], Any]
) -> None:
    kernel = in_a_file()
    with suppress(InteractionRequired):
        call(kernel)
    assert not asked(kernel)
    assert kernel.acquire("read").source == "cache", "an interactive call asks"
    assert asked(kernel)
    assert call(kernel) is not None


def test_a_non_interactive_call_does_not_ask_after_the_store_was_made_again(
    in_a_file: Callable[[], Session],
) -> None:
    """A kernel with the store open needs the new key; only an interactive call may ask for it."""
    kernel = in_a_file()
    kernel.acquire("read")
    kernel.rest()
    in_a_file().logout(forget=True)
    in_a_file().login("read", web_ui=redirect)
    said(kernel).clear()
    kernel._stored._watch.look()
    kernel.cache.remove(*kernel.cache.signed_in)
    kernel.bind(interactive=False)
    assert not asked(kernel)
    assert names(kernel) == ["ada@example.com"]
    assert asked(kernel)


def test_an_awaited_call_asks_for_the_passphrase(
    in_a_file: Callable[[], Session],
) -> None:
    """It reported that nobody can be asked, and began a sign-in although one was stored."""
    kernel = in_a_file()
    account = asyncio.run(kernel.login_async("read"))
    assert account.username == "ada@example.com"
    assert asked(kernel)
    assert kernel.screen.shown == []  # type: ignore[attr-defined]


def test_the_end_of_a_kernel_waits_for_a_refresh_whose_caller_was_interrupted(
    machine: Machine,
) -> None:
    kernel = machine.signed_in()
    machine.clock.advance(3600)
    gate = machine.engine.hold("refresh")
    ends = threading.Timer(0.6, gate.open)

    def interrupt() -> None:
        gate.reached.wait(5)
        os.kill(os.getpid(), signal.SIGINT)
        ends.start()

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        kernel.acquire("read")
    kernel.rest()
    assert _kept_tokens(machine) == ["refresh-ada-2"]


def test_the_option_persist_finds_a_stored_sign_in_and_the_default_store_does_not(
    machine: Machine,
) -> None:
    """As docs/persistence.md says: without the setting, each kernel needs the option."""
    first, second = (machine.kernel(persist="memory") for _ in range(2))
    first.login("read", persist="keyring", web_ui=redirect)
    with pytest.raises(InteractionRequired):
        second.login("read")
    assert second.login("read", persist="keyring").username == "ada@example.com"
    assert second.acquire("read", interactive=False)
    assert machine.kernel().login("read").username == "ada@example.com"

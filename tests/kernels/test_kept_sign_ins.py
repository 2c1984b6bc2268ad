"""Stored sign-ins in real kernels with a real Secret Service, working and failing."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nbauth.demo.tour import approve
from nbauth.testing.canary import find, scan
from tests.harness.kernels import ROOT
from tests.harness.secret_service import SecretService, running_secret_service, without_any
from tests.kernels.conftest import environment, wait_for
from tests.kernels.kept import User, answered, ok, value

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a Secret Service")

LOGIN = "account = %login --persist keyring"
SOURCE = "nbauth.acquire(interactive=False).source"
LEFT = "[t.name for t in __import__('threading').enumerate() if 'nbauth' in t.name]"


@pytest.fixture
def service() -> Iterator[SecretService]:
    with running_secret_service() as running:
        yield running


@pytest.fixture
def user(service: SecretService, demo: Any) -> User:
    return User(service.environment, environment(demo, NBAUTH_FLOW="device"))


def issued(demo: Any) -> tuple[int, int]:
    """The number of device codes and refresh tokens that the provider has issued."""
    store = demo.provider.store
    return len(store.devices), len(store.refresh_tokens)


def items(service: SecretService) -> int:
    """The number of entries in the keyring."""
    import secretstorage

    with service.connection() as connection:
        return len(list(secretstorage.get_default_collection(connection).get_all_items()))


# ── the next kernel ─────────────────────────────────────────────────────────────────────────


def test_after_a_kill_or_restart_nobody_is_asked_and_nothing_is_sent(
    user: User, demo: Any, willing_person: None
) -> None:
    with user.kernel() as first:
        ok(first, LOGIN)
        assert "keyring" in ok(first, "%accounts").result
        first.kill()
    before = issued(demo)
    with user.kernel(NBAUTH_PERSIST="keyring") as second:
        assert "source   cache" in ok(second, "%token --show").text
        assert "•••" in ok(second, "%token").result
        second.manager.restart_kernel()
        second.client.wait_for_ready(timeout=60)
        ok(second, "%load_ext nbauth\n%token --into token")
        assert value(second, "token.expires_in > 60") == "True"
    with user.kernel() as third:  # a notebook that sets it itself, run again
        assert ok(third, LOGIN).text.startswith("Already signed in as ada.demo@demo.example.")
        assert "source   cache" in ok(third, "%token --show").text
    assert issued(demo) == before


def test_the_extension_is_unloaded_and_loaded_again(user: User, willing_person: None) -> None:
    with user.kernel(NBAUTH_PERSIST="keyring") as kernel:
        ok(kernel, "account = %login")
        assert value(kernel, LEFT) != "[]"
        ok(kernel, "%unload_ext nbauth")
        assert value(kernel, LEFT) == "[]"
        ok(kernel, "%load_ext nbauth")
        assert value(kernel, SOURCE) == "cache"
        ok(kernel, "%reload_ext nbauth")
        assert value(kernel, f"len({LEFT}) <= 2") == "True"
        ok(kernel, "%logout --quiet")
        ok(kernel, f"end = time.time() + 5\nwhile {LEFT} and time.time() < end: time.sleep(.02)")
        assert value(kernel, LEFT) == "[]"


def test_no_byte_of_any_token_is_anywhere(
    user: User, service: SecretService, demo: Any, willing_person: None
) -> None:
    known = set(demo.provider.store.refresh_tokens)
    texts = []
    with user.kernel(NBAUTH_PERSIST="keyring", NBAUTH_REDACT="false") as kernel:
        for cell in ("a = %login", "%token --into t", "%token --force-refresh", "a", "%accounts"):
            result = ok(kernel, cell)
            texts.append(f"{result.text}{result.data}")
        assert "urllib3" in (kernel.home / "debug.log").read_text(), "requests are logged"
        tokens = [*(set(demo.provider.store.refresh_tokens) - known), value(kernel, "str(t)")]
        assert len(tokens) == 3
        texts.append(kernel.log)
        everywhere = [user.kept, service.home, kernel.home / "debug.log", kernel.home / "ipython"]
        assert len(user.files()) == 2
        assert service.file.exists()
        assert scan(tokens, [place for place in everywhere if place.exists()]) == []
        assert [found for token in tokens if (found := find(token, "".join(texts)))] == []
        ok(kernel, "logging.debug(str(t))")
        assert scan(tokens, [kernel.home / "debug.log"]), "the scan finds tokens"


# ── failing keyrings ────────────────────────────────────────────────────────────────────────

BAD_DAYS = {
    "locked": "The system keyring is locked.",
    "hanging": "The system keyring does not respond",
    "dead service": "The system keyring cannot be used: no keyring is installed on this system",
    "no bus": "The system keyring cannot be used: no keyring is installed on this system",
}


def new_devices(demo: Any, known: list[Any]) -> list[Any]:
    return [device for device in demo.provider.store.pending_devices() if device not in known]


def spoil(service: SecretService, day: str) -> None:
    if day == "no bus":
        service.stop()
        return
    service.kill_service()
    if day == "locked":
        service.start_locked()
    elif day == "hanging":
        service.unlock()
        service.hang()


@pytest.mark.parametrize(
    ("day", "soon"),
    [(day, 30.0) for day in BAD_DAYS if day != "hanging"]
    + [pytest.param("hanging", 5.0, marks=pytest.mark.timing)],
)
def test_a_failing_keyring_is_reported_once_and_memory_is_used(
    day: str, soon: float, service: SecretService, user: User, demo: Any
) -> None:
    with user.kernel() as before:  # so that there is a keyring to lock
        ok(before, "from nbauth.persistence import persistence_named as named")
        ok(before, "named('keyring').open()")
    spoil(service, day)
    if day == "no bus":
        user = User(without_any(service.home), environment(demo, NBAUTH_FLOW="device"))
    said = []
    with user.kernel(NBAUTH_PERSIST="keyring") as kernel:
        for number in range(2):
            known = demo.provider.store.pending_devices()
            ident = kernel.send("account = %login --force")
            wait_for(lambda known=known: new_devices(demo, known), soon)
            approve(demo, *new_devices(demo, known))
            result = kernel.wait(ident)[ident]
            assert result.status == "ok", result.traceback
            said.append(result.text)
            assert number or BAD_DAYS[day] in said[0]
        assert len(said[0].splitlines()) == 1
        assert "memory" in said[0]
        assert said[1] == "", "it is reported once"
        assert ok(kernel, "%token --force-refresh").text == ""
        assert "memory" in ok(kernel, "%accounts").result
    assert user.files() == []


def test_a_keyring_that_is_unlocked_later_stores_the_next_sign_in(
    service: SecretService, user: User, willing_person: None
) -> None:
    with user.kernel() as before:
        ok(before, "from nbauth.persistence import persistence_named as named")
        ok(before, "named('keyring').open()")
    spoil(service, "locked")
    with user.kernel() as kernel:
        assert "is locked" in ok(kernel, LOGIN).text
        service.kill_service()
        service.unlock()
        assert ok(kernel, LOGIN).text.startswith("Already signed in")
        assert "keyring" in ok(kernel, "%accounts").result
    with user.kernel(NBAUTH_PERSIST="keyring") as after:
        assert value(after, SOURCE) == "cache"


def test_tokens_are_renewed_after_the_service_died(
    service: SecretService, user: User, demo: Any, willing_person: None
) -> None:
    with user.kernel(NBAUTH_PERSIST="keyring") as kernel:
        ok(kernel, "account = %login")
        service.kill_service()
        for _ in range(2):
            assert ok(kernel, "%token --force-refresh").text == ""
        with user.kernel(NBAUTH_PERSIST="keyring") as other:
            result = other.run(SOURCE)
            assert result.error.startswith("InteractionRequired")
            assert BAD_DAYS["dead service"] in result.text
            assert other.run(SOURCE).text == "", "it is reported once"
        service.unlock()
        before = issued(demo)
        with user.kernel(NBAUTH_PERSIST="keyring") as other:
            assert value(other, "nbauth.acquire(force_refresh=True).source") == "refresh"
        assert issued(demo) == (before[0], before[1] + 1)


# ── a file ──────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def without_keyring(tmp_path: Path, demo: Any) -> User:
    return User(without_any(tmp_path), environment(demo, NBAUTH_FLOW="device"))


def test_a_file_and_a_passphrase_of_the_environment(
    without_keyring: User, demo: Any, willing_person: None
) -> None:
    user = without_keyring
    with user.kernel(NBAUTH_PASSPHRASE="correct horse") as first:
        ok(first, "account = %login --persist file")
        assert "file" in ok(first, "%accounts").result
        first.kill()
    before = issued(demo)
    with user.kernel(NBAUTH_PASSPHRASE="correct horse", NBAUTH_PERSIST="file") as second:
        assert value(second, SOURCE) == "cache"
    with user.kernel(NBAUTH_PASSPHRASE="battery staple", NBAUTH_PERSIST="file") as third:
        result = third.run(SOURCE)
        assert result.error.startswith("InteractionRequired")
        assert "Wrong passphrase" in result.text
    assert issued(demo) == before


def test_a_file_and_a_passphrase_that_is_typed(
    without_keyring: User, demo: Any, willing_person: None
) -> None:
    user, passphrase = without_keyring, "a passphrase that nobody sees"
    with user.kernel(NBAUTH_PERSIST="file") as looking:  # a prompt would block the cell
        ok(looking, "%accounts", timeout=5)
        assert not user.kept.exists()
    with user.kernel() as first:
        prompts = answered(first, "account = %login --persist file", passphrase, passphrase)
        assert [prompt.split()[0] for prompt in prompts] == ["New", "Repeat"]
        first.kill()
        assert scan([passphrase], [user.kept.parent, first.home]) == []
    before = issued(demo)
    with user.kernel(NBAUTH_PERSIST="file") as second:
        (prompt,) = answered(second, "%token --into token", passphrase)
        assert prompt.startswith("Passphrase of the stored sign-ins in ")
        assert ok(second, "%token --show").text.endswith("source   cache\n")
    assert issued(demo) == before
    with user.kernel(NBAUTH_PERSIST="file") as third:  # nobody can type here
        result = third.run(SOURCE, allow_stdin=False)
        assert result.error.startswith("InteractionRequired")
        assert "passphrase" in result.text


# ── signing out ─────────────────────────────────────────────────────────────────────────────

UNTIL_GONE = """
end = time.time() + 10
while ("TOKEN" in os.environ or "text" in globals()) and time.time() < end:
    time.sleep(0.01)
print(time.time())
"""


@pytest.mark.timing
def test_a_sign_out_reaches_the_other_kernel_within_a_second(
    user: User, willing_person: None
) -> None:
    with (
        user.kernel(NBAUTH_PERSIST="keyring") as one,
        user.kernel(NBAUTH_PERSIST="keyring") as other,
    ):
        ok(one, "account = %login")
        ok(other, "%token --env TOKEN\n%token --into text --str\n%token --into live\nheld = live")
        assert value(other, "len(os.environ['TOKEN']) == len(text) > 20") == "True"
        waiting = other.send(UNTIL_GONE)
        began = float(ok(one, "print(time.time())\n%logout --quiet").text)
        gone = float(other.wait(waiting)[waiting].text)
        print(f"seen in the other kernel after {gone - began:.2f} s")
        assert gone - began < 2  # slightly over 0.5 s on an idle machine
        for cell in (SOURCE, "import threading\nheld.value"):
            error = other.run(cell, allow_stdin=False).error
            assert error.startswith(("InteractionRequired", "NotSignedIn")), error
        assert value(other, "'live' in globals(), nbauth.accounts()") == "False []"
    assert len(user.files()) == 1, "the file of the current account is left"


def test_forget_leaves_nothing(user: User, service: SecretService, willing_person: None) -> None:
    with (
        user.kernel(NBAUTH_PERSIST="keyring") as one,
        user.kernel(NBAUTH_PERSIST="keyring") as other,
    ):
        ok(one, "account = %login\n%token --env TOKEN")
        ok(other, "%token --env TOKEN\ntext = None")
        assert items(service) == 1
        ok(one, "%logout --forget")
        ok(other, "del text\n" + UNTIL_GONE)
        assert not user.kept.exists()
        assert items(service) == 0
        everything = "nbauth.accounts(), nbauth.api.the_session().cache.tokens"
        for kernel in (one, other):
            assert value(kernel, everything) == "[] {}"
        ok(one, "account = %login")
        assert value(one, SOURCE) == "cache"
        assert items(service) == 1


# ── accounts ────────────────────────────────────────────────────────────────────────────────

SIGN_IN = """
import sys
sys.path.insert(0, {root!r})
from tests.interop.scripted_browser import ScriptedBrowser
def sign_in(user):
    person = ScriptedBrowser(os.environ["NBAUTH_VERIFY"], user)
    return nbauth.login("read", force=True, web_ui=person).username
"""


def test_several_accounts_in_a_new_kernel_and_a_revocation(
    service: SecretService, panva: Any
) -> None:
    settings = {
        "NBAUTH_AUTHORITY": panva.issuer,
        "NBAUTH_CLIENT_ID": panva.client_id,
        "NBAUTH_VERIFY": panva.ca_file,
        "NBAUTH_SCOPES": "read",
        "NBAUTH_PERSIST": "keyring",
    }
    user = User(service.environment, settings)
    with user.kernel() as first:
        ok(first, SIGN_IN.format(root=str(ROOT)))
        assert [value(first, f"sign_in({name!r})") for name in ("ada", "grace")] == ["ada", "grace"]
    before = panva.token_requests()
    with user.kernel() as second:
        rows = ok(second, "%accounts").result.splitlines()
        assert sum("keyring" in row for row in rows) == 2
        assert value(second, "nbauth.acquire().account.username") == "grace"
        assert "Using ada." in ok(second, "%accounts use ada").text
    with user.kernel() as third:
        assert value(third, "nbauth.acquire().account.username") == "ada"
        ok(third, "%accounts drop grace")
        assert value(third, "[one.username for one in nbauth.accounts()]") == "['ada']"
        assert panva.token_requests() == before
        said = ok(third, "%logout --revoke").text
        assert "Signed out ada." in said
        assert "The browser may still be signed in" in said
    assert [one["status"] for one in panva.requests("revocation")] == [200]
    with user.kernel() as fourth:
        assert value(fourth, "nbauth.accounts()") == "[]"


def test_a_provider_without_revocation_is_reported(user: User, willing_person: None) -> None:
    with user.kernel() as kernel:
        ok(kernel, LOGIN)
        said = ok(kernel, "%logout --revoke").text
        assert "does not support revocation" in said
        assert "Signed out ada.demo@demo.example." in said
    assert len(user.files()) == 1

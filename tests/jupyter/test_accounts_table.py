"""The table of ``%accounts``: accounts, their stores, and sign-ins that end soon."""

from __future__ import annotations

import io
import time
from html import unescape
from pathlib import Path

import pytest
from wcwidth import wcswidth

from nbauth.core.secret import SecretStr
from nbauth.core.text import plain
from nbauth.jupyter.accounts_table import Table, table_of
from nbauth.jupyter.display import AccountRow, accounts_html, accounts_text
from nbauth.testing.clock import FakeClock
from nbauth.testing.engine import ISSUER, FakeEngine
from tests.kernel.accounts.shelf import Shelf
from tests.kernel.conftest import Bench


@pytest.fixture
def bench() -> Bench:
    made = Bench(FakeClock(time.time()))
    made.session.configure(refresh_ahead=False)
    return made


def repr_of(table: Table) -> str:
    class Printer:
        def text(self, text: str) -> None:
            self.said = text

    printer = Printer()
    table._repr_pretty_(printer, False)
    for line in printer.said.splitlines()[len(table) + 1 :]:
        assert line.replace("<", "&lt;") in table._repr_html_()
    return printer.said


def shown(bench: Bench) -> str:
    return repr_of(table_of(bench.session))


def grant_of(bench: Bench) -> object:
    return next(iter(bench.session.cache.signed_in.values())).grants[0]


def test_a_row_names_the_store(bench: Bench) -> None:
    bench.sign_in("read")
    assert "ada@example.com" in shown(bench)
    assert "memory" in shown(bench)
    assert len(shown(bench).splitlines()) == 2


@pytest.mark.parametrize(
    ("seconds", "says"), [(42 * 60, "ends in 42 min"), (30 * 86_400, None), (None, None)]
)
def test_it_warns_of_a_sign_in_that_ends_soon(bench, seconds, says) -> None:
    bench.sign_in("read")
    grant_of(bench).expires_on = None if seconds is None else time.time() + seconds
    text = shown(bench)
    assert (says in text) if says else len(text.splitlines()) == 2


def test_it_warns_of_a_sign_in_without_a_grant(bench: Bench) -> None:
    bench.sign_in("read")
    grant_of(bench).refresh_token = None
    assert "ada@example.com has to sign in again" in shown(bench)
    grant_of(bench).refresh_token = SecretStr("<script>")
    assert "script" not in shown(bench)


@pytest.mark.parametrize("name", ["ada@example.com", "ADA@example.com", "ID", "ada@home.example"])
def test_with_account_it_lists_the_accounts_of_that_name(bench: Bench, name: str) -> None:
    bench.sign_in("read")
    record = next(iter(bench.session.cache.signed_in.values()))
    record.id_token_claims = {**record.id_token_claims, "email": "ada@home.example"}
    named = record.account.home_account_id if name == "ID" else name
    bench.sign_in("read", user="bob", force=True)
    assert [each.username for each in table_of(bench.session, asked=named)] == ["ada@example.com"]
    assert list(table_of(bench.session, asked="eve")) == []


def test_an_empty_table_says_of_whom_it_is(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('[profiles."my idp"]\nclient_id = "other"\n', "utf-8")
    bench.session.reader._find_paths = lambda: [tmp_path / "config.toml"]
    bench.session.reader._paths = (None, ())
    bench.sign_in("read")
    for profile, asked, says in (
        ("my idp", None, 'Nobody is signed in with this profile. Run %login --profile "my idp".'),
        (None, "eve", "eve is not signed in here. Run %login --account eve."),
        ("my idp", "eve", "eve is not signed in with this profile."
         ' Run %login --profile "my idp" --account eve.'),
        (None, "\x1b[31m<b>", '\\x1b[31m<b> is not signed in here. Run %login --account "'),
    ):  # fmt: skip
        table = table_of(bench.session, profile, asked)
        assert repr_of(table).startswith(says)
        assert table.first_line() == repr_of(table)
        assert "\x1b" not in table._repr_html_() + repr_of(table)
        assert says.split("<")[0] in unescape(table._repr_html_())
    bench.session.logout()
    assert repr_of(table_of(bench.session)) == "Nobody is signed in. Run %login."


def test_with_profile_it_lists_the_accounts_of_its_client(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('[profiles.idp]\nclient_id = "other"\n', "utf-8")
    bench.session.reader._find_paths = lambda: [tmp_path / "config.toml"]
    bench.session.reader._paths = (None, ())
    bench.sign_in("read")
    assert list(table_of(bench.session, "idp")) == []
    there = bench.sign_in("read", profile="idp")
    assert list(table_of(bench.session, "idp")) == [there]
    assert len(table_of(bench.session)) == 2
    assert len(table_of(bench.session, asked=there.username)) == 2
    assert "idp" in repr_of(table_of(bench.session, "idp"))


def test_a_sign_in_that_could_not_be_kept_is_not_shown_as_kept(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf = Shelf()
    monkeypatch.setattr("nbauth.persistence.persistence_named", shelf.named)
    bench.session.configure(persist="keyring")
    shelf.full = True
    bench.sign_in("read")
    assert "memory" in shown(bench)
    assert "keyring" not in shown(bench)
    shelf.full = False
    bench.sign_in("read", force=True)
    assert "keyring" in shown(bench)
    bench.session.rest()


def test_with_profile_it_lists_the_accounts_in_that_profiles_store(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the past, the store of the configured profile was read instead."""
    shelf = Shelf()
    monkeypatch.setattr("nbauth.persistence.persistence_named", shelf.named)
    bench.sign_in("read", persist="keyring")
    (tmp_path / "config.toml").write_text('[profiles.work]\npersist = "keyring"\n', "utf-8")
    later = Bench(bench.clock)
    later.session.reader._find_paths = lambda: [tmp_path / "config.toml"]
    later.session.reader._paths = (None, ())
    assert list(table_of(later.session)) == []
    assert [each.username for each in table_of(later.session, "work")] == ["ada@example.com"]
    for each in (bench, later):
        each.session.rest()


NAMES = {
    "latin": "ada",
    "chinese": "山田太郎",
    "hangul": "김철수",
    "decomposed": "e\u0301lise",
    "family": "👩‍👩‍👧‍👦",
    "flag": "🇩🇪🇫🇷",
    "skin": "👍🏽ok",
    "heart": "❤️",
    "hebrew": "עדה",
    "arabic": "مريم",
    "long": "a" * 120,
}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_the_columns_of_a_terminal_stay_aligned(name: str) -> None:
    rows = [
        AccountRow(each, "t", "default", ("read",), 60, "memory", current=each == name)
        for each in (name, "bob@example.com", "卡")
    ]
    lines = accounts_text(rows).splitlines()
    before = {wcswidth(line[: line.rindex(" t ")].rstrip("\u200e")) for line in lines[1:]}
    padded = {wcswidth(line[: line.index("default")]) for line in lines[1:]}
    assert len(padded) == 1, lines
    assert before != {-1}
    assert plain(name) in lines[1]


@pytest.mark.parametrize("name", ["עדה", "مريم"])
def test_a_right_to_left_name_does_not_move_other_columns(name: str) -> None:
    """Without a mark, digits and blanks after such a name take its direction."""
    row = AccountRow(name, "123", "default", ("read",), 60, "memory")
    line = accounts_text([row]).splitlines()[1]
    assert f"{name}\u200e" in line
    assert f"<bdi>{name}</bdi>" in accounts_html([row])


def test_columns_stay_aligned_in_an_encoding_without_these_letters(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(io.BytesIO(), "ascii"))
    rows = [
        AccountRow(each, "tenant", "default", ("read",), 60, "memory") for each in ("مريم", "bob")
    ]
    lines = accounts_text(rows).splitlines()
    assert all(line.isascii() for line in lines)
    assert len({line.index("default") for line in lines[1:]}) == 1


def test_whoami_shows_the_account_of_the_configured_client(bench: Bench) -> None:
    other = FakeEngine(client_id="other", clock=bench.clock.time)
    other.user = "bob"
    bench.engines[ISSUER, "other"] = other
    bench.sign_in("read", client_id="other")
    bench.sign_in("read")
    line = table_of(bench.session).first_line()
    assert line.startswith("ada@example.com (Ada); profile default; scopes read; ")
    assert line.endswith("kept in memory; 1 more in %accounts")
    bench.session.configure(client_id="other")
    assert table_of(bench.session).first_line().startswith("bob@example.com (Bob)")
    assert len(line.splitlines()) == 1

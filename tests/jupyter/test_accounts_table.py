"""What ``%accounts`` shows: who, where kept, and whose sign-in will itself end."""

from __future__ import annotations

import time

import pytest

from nbauth.core.secret import SecretStr
from nbauth.jupyter.accounts_table import Table
from nbauth.testing.clock import FakeClock
from tests.kernel.conftest import Bench


@pytest.fixture
def bench() -> Bench:
    made = Bench(FakeClock(time.time()))
    made.session.configure(refresh_ahead=False)
    return made


def shown(bench: Bench) -> str:
    class Printer:
        def text(self, text: str) -> None:
            self.said = text

    printer = Printer()
    table = Table(bench.session.accounts(), bench.session)
    table._repr_pretty_(printer, False)
    for line in printer.said.splitlines()[len(table) + 1 :]:
        assert line.replace("<", "&lt;") in table._repr_html_()
    return printer.said


def grant_of(bench: Bench) -> object:
    return next(iter(bench.session.cache.signed_in.values())).grants[0]


def test_a_row_says_where_it_is_kept(bench: Bench) -> None:
    bench.sign_in("read")
    assert "ada@example.com" in shown(bench)
    assert "memory" in shown(bench)
    assert len(shown(bench).splitlines()) == 2


@pytest.mark.parametrize(
    ("seconds", "says"), [(42 * 60, "ends in 42 min"), (30 * 86_400, None), (None, None)]
)
def test_it_warns_before_a_long_run_of_a_sign_in_that_ends(bench, seconds, says) -> None:
    bench.sign_in("read")
    grant_of(bench).expires_on = None if seconds is None else time.time() + seconds
    text = shown(bench)
    assert (says in text) if says else len(text.splitlines()) == 2


def test_a_sign_in_that_nothing_can_renew_is_said(bench: Bench) -> None:
    bench.sign_in("read")
    grant_of(bench).refresh_token = None
    assert "ada@example.com has to sign in again" in shown(bench)
    grant_of(bench).refresh_token = SecretStr("<script>")
    assert "script" not in shown(bench)

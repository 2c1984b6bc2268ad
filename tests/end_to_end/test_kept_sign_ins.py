"""Signed in once by clicking, under a real Secret Service; then in every notebook of this user."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.end_to_end.conftest import product_environment
from tests.end_to_end.test_sign_in import click_through
from tests.harness.jupyter import Lab, OpenNotebook, record_sign_in
from tests.harness.lab_page import LabPage
from tests.harness.panva import Panva
from tests.harness.person import Person
from tests.harness.secret_service import running_secret_service

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a Secret Service"),
]

SHARED = ("HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS")
LOAD, LOGIN, TOKEN, SHOW, PANEL = CELLS = [
    "%load_ext nbauth",
    "%login --persist keyring",
    "%token --into t",
    "print(t.account.username, 'for', round(t.expires_in) // 60, 'min')",
    "import nbauth\nnbauth.panel()",
]
IS_SIGNED_IN = re.compile(r"ada@example\.org for 5\d min")


def cell(source: str) -> int:
    return CELLS.index(source)


@pytest.fixture
def new_lab(panva: Panva) -> Iterator[Callable[[], Lab]]:
    """``new_lab() -> Lab``: one more JupyterLab of the same user, who keeps sign-ins."""
    with running_secret_service() as service, ExitStack() as stack:
        shared = {name: service.environment[name] for name in SHARED}
        env = {**product_environment(panva), **shared, "NBAUTH_PERSIST": "keyring"}

        def lab() -> Lab:
            started = stack.enter_context(Lab())
            started.offer(env=env, save_widget_state=True)
            return started

        yield lab


def test_one_sign_in_for_restarts_and_other_servers_until_one_signs_out(
    new_lab: Callable[[], Lab], open_notebook: OpenNotebook, person: Person, panva: Panva
) -> None:
    first_lab = new_lab()
    first = open_notebook(CELLS, lab=first_lab)
    first.run(cell(LOAD))
    first.run_cell(cell(LOGIN))
    click_through(first, cell(LOGIN), person)
    first.wait_cell_done(cell(LOGIN))
    record_sign_in("kept in a keyring")
    asked = panva.token_requests()

    first.restart_kernel()
    has_a_token(first)
    second = open_notebook(CELLS, lab=new_lab())
    second.run(cell(LOAD))
    second.run_cell(cell(PANEL))
    second.wait_output(cell(PANEL), "Signed in as Ada Lovelace")
    has_a_token(second)
    second.screenshot("kept-in-another-server")
    assert panva.token_requests() == asked

    second.click_in_output(cell(PANEL), "Sign out")
    second.wait_output(cell(PANEL), "You are not signed in.")
    first.page.wait_for_timeout(1500)  # a sign-out holds everywhere within a second
    first.run_cell(cell(TOKEN))
    first.output(cell(TOKEN)).get_by_role("link", name="Continue in the browser").wait_for()
    first.screenshot("kept-no-more")
    first.click_in_output(cell(TOKEN), "Cancel")
    first.wait_output(cell(TOKEN), "SignInCancelled")
    assert panva.token_requests() == asked
    first.save()
    assert "eyJ" not in json.dumps(first_lab.read_notebook(first.path))


def has_a_token(page: LabPage) -> None:
    """The cell that takes one asks for nothing and shows nothing."""
    page.run(cell(LOAD))
    shown = page.run(cell(TOKEN)), page.run(cell(SHOW))
    assert shown[0] == "", shown
    assert IS_SIGNED_IN.fullmatch(shown[1]), shown

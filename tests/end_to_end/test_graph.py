"""Calls of Microsoft Graph in JupyterLab where nobody is signed in: the panel, then they go on."""

from __future__ import annotations

import json
from urllib.parse import urlsplit

import pytest

from tests.end_to_end.conftest import SCOPE, product_environment
from tests.end_to_end.test_sign_in import click_through
from tests.harness.faulty_graph import FaultyGraph
from tests.msgraph.permitting import DENIED

pytestmark = pytest.mark.browser

NO_CONSENT = {"error": "invalid_grant", "error_description": "AADSTS65001: consent is missing."}
BLOCKING = """me = nbauth.graph.get("me")
print("blocking", me["displayName"])"""
AWAITED = """import asyncio
turns = 0
async def turn():
    global turns
    while True:
        turns += 1
        await asyncio.sleep(0.02)
task = asyncio.create_task(turn())
me = await nbauth.graph.aio.get("me")
task.cancel()
print("awaited", me["displayName"], turns > 5)"""
CONSENT = """other = nbauth.Graph(base_url="{}", scopes="User.Read")
print("sent", other.post("me/sendMail", {{"message": {{"subject": "Hello"}}}}))"""


@pytest.fixture
def graph(certificates):
    made = FaultyGraph(certificates)
    yield made
    made.stop()
    assert not made.errors


def test_calls_open_the_panel_and_go_on(
    lab_factory, open_notebook, person, panva, graph: FaultyGraph
) -> None:
    def denied(*_: object):
        panva.fault("token", "json", status=400, body=NO_CONSENT)
        return DENIED

    graph.fail("POST", "/v1.0/me/sendMail", on=1, answer=denied)
    environment = {
        **product_environment(panva),
        "NBAUTH_GRAPH_URL": graph.root,
        "NBAUTH_HOSTS": json.dumps({urlsplit(graph.root).netloc: [SCOPE]}),
    }
    lab = lab_factory(
        kernel="7.4", comms_over_subshells="disabled", save_widget_state=True, env=environment
    )
    cells = [
        "%load_ext nbauth",
        "import nbauth",
        BLOCKING,
        "%logout --all",
        AWAITED,
        CONSENT.format(graph.root.replace("127.0.0.1", "localhost")),
    ]
    page = open_notebook(cells, lab=lab)
    page.run_all(wait=False)
    page.wait_cell_running(2)
    click_through(page, 2, person)
    page.wait_cell_done(2)
    assert "blocking" in page.cell_output_text(2)
    page.wait_cell_running(4)
    click_through(page, 4, person)
    page.wait_cell_done(4)
    assert "awaited" in page.cell_output_text(4) and "True" in page.cell_output_text(4)
    page.wait_cell_running(5)
    assert "Mail.Send" in page.wait_output(5, "localhost")
    click_through(page, 5, person)
    page.wait_cell_done(5)
    page.screenshot("graph-after-consent")
    assert "sent None" in page.cell_output_text(5)
    refused, repeated = [one for one in graph.requests if one.method == "POST"]
    assert refused.body == repeated.body and refused.token != repeated.token
    assert graph.leaks == []

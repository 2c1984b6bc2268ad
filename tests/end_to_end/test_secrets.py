"""The canary: after the tour, no secret of the sign-in is in the notebook, a log or a repr."""

from __future__ import annotations

import json
from urllib.parse import parse_qs, urlsplit

import pytest

from nbauth.testing.canary import find
from tests.end_to_end.conftest import code_cell, notebook_cells
from tests.end_to_end.test_sign_in import TOUR, click_through
from tests.harness.jupyter import record_sign_in

pytestmark = pytest.mark.browser

LOG_EVERYTHING = """import http.client, logging, os
logging.basicConfig(level=logging.DEBUG, filename=os.environ["NBAUTH_TEST_LOG"])
"""
TELL_THE_TEST = """import json
from nbauth.api import the_session
_cache = the_session().cache
_secrets = [str(t.response.access_token) for t in _cache.tokens.values()]
_secrets += [str(g.refresh_token) for r in _cache.signed_in.values() for g in r.grants]
_secrets += [str(r.id_token) for r in _cache.signed_in.values()]
_shown = [repr(x) for x in (_cache.signed_in, [t.response for t in _cache.tokens.values()], token,
          nbauth.acquire(), http.auth, nbauth.accounts())]
with open(os.environ["NBAUTH_TEST_SECRETS"], "w") as file:
    json.dump({"secrets": _secrets, "shown": _shown}, file)
"""


def test_no_secret_leaves_the_tour(lab_with_provider, open_notebook, person, tmp_path_factory):
    folder = tmp_path_factory.mktemp("secrets")
    lab = lab_with_provider(
        kernel="7.4",
        save_widget_state=True,
        server_env={
            "NBAUTH_TEST_LOG": str(folder / "debug.log"),
            "NBAUTH_TEST_SECRETS": str(folder / "secrets.json"),
        },
    )
    cells = [LOG_EVERYTHING, *notebook_cells(TOUR)]
    cells.insert(code_cell(cells, "%logout") - 1, TELL_THE_TEST)
    page = open_notebook(cells, lab=lab, own_profile=True)
    in_the_browser: list[str] = []

    def note(request):
        parts = urlsplit(request.url)
        sent = [parts.query, request.post_data or ""]
        for name in ("code", "state", "nonce", "code_challenge"):
            for query in sent:
                in_the_browser.extend(parse_qs(query).get(name, []))

    page.page.context.on("request", note)
    page.run_all(wait=False)
    click_through(page, code_cell(cells, "%login"), person)
    page.wait_cell_done(code_cell(cells, "%logout"))
    record_sign_in("browser 7.4 with logging at DEBUG")
    page.save()

    told = json.loads((folder / "secrets.json").read_text())
    assert len(told["secrets"]) == 4, "refresh, ID and access token, and the one of auth()"
    assert len(set(in_the_browser)) >= 4, "code, state, nonce and challenge were seen"
    secrets = [secret for secret in {*told["secrets"], *in_the_browser} if len(secret) > 12]
    log = (folder / "debug.log").read_text()
    assert "urllib3" in log, "the log was at DEBUG"
    places = {
        "the saved notebook with its widget state": json.dumps(lab.read_notebook(page.path)),
        "the kernel's log at DEBUG": log,
        "the server's log": lab.log,
        "reprs": "\n".join(told["shown"]),
        "the page": page.page.content(),
    }
    found = [
        (place, secret[:6], form)
        for place, text in places.items()
        for secret in secrets
        for form in find(secret, text)
    ]
    assert not found

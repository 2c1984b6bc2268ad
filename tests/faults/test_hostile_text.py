"""S4: hostile text from a provider, in every displayed field, in a real browser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import cycle
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from playwright.sync_api import BrowserContext, Locator, expect

from nbauth.core.errors import NbAuthError
from nbauth.kernel.sign_in.attempt import SignIn
from tests.faults.conftest import Figure
from tests.faults.hostile import ADDRESSES, TEXTS, HostileProvider
from tests.faults.only_text import Watched, settle
from tests.faults.sizes import size
from tests.harness.certificates import Certificates
from tests.harness.jupyter import Lab, LabFactory, OpenNotebook
from tests.harness.lab_page import LabPage
from tests.interop.peers import address_shown, new_session

pytestmark = pytest.mark.browser

KINDS = size(["script", "double quotes", "mathematics"], list(TEXTS))
SHOWN = "0 executions, dialogs, requests; nothing but text"


@pytest.fixture(scope="module")
def provider(certificates: Certificates) -> Iterator[HostileProvider]:
    with HostileProvider(certificates) as hostile:
        yield hostile


@pytest.fixture
def lab(lab_factory: LabFactory, provider: HostileProvider, certificates: Certificates) -> Lab:
    env = {
        "NBAUTH_AUTHORITY": provider.issuer,
        "NBAUTH_CLIENT_ID": "notebooks",
        "NBAUTH_VERIFY": str(certificates.ca_file),
    }
    return lab_factory(kernel="7.4", env=env, server_extensions=("nbauth.server",))


def answers(address: str, text: str) -> Iterator[str]:
    """The redirect: with an error, and with a code that the provider then refuses."""
    state = parse_qs(urlsplit(address).query)["state"][0]
    error = {"error": text, "error_description": text, "error_uri": text}
    yield "?" + urlencode({**error, "state": state}, errors="surrogatepass")
    yield "?" + urlencode({"code": text, "session_state": text, "state": state})


@pytest.mark.parametrize("kind", ["script", "image", "double quotes", "svg"])
def test_the_watch_detects_executed_payloads(browser_context: BrowserContext, kind: str) -> None:
    """The same texts as markup, to show that the tests below can fail."""
    watched, page = Watched(browser_context), browser_context.new_page()
    page.set_content(f'<div id="region"><input value="{TEXTS[kind]}"></div>{TEXTS[kind]}')
    settle(page)
    assert watched.happened
    with pytest.raises(AssertionError):
        watched.only_text(page.locator("body"))


def test_on_the_listeners_page(
    browser_context: BrowserContext,
    provider: HostileProvider,
    certificates: Certificates,
    figure: Figure,
) -> None:
    watched, page = Watched(browser_context), browser_context.new_page()
    session = new_session(
        authority=provider.issuer, client_id="notebooks", verify=str(certificates.ca_file)
    )
    provider.turn = "refuse"
    for kind in KINDS:
        provider.text = TEXTS[kind]
        for way in range(2):
            sign_in = session.login(flow="browser", background=True)
            assert isinstance(sign_in, SignIn)
            address = address_shown(sign_in)
            back = parse_qs(urlsplit(address).query)["redirect_uri"][0]
            page.goto(back + list(answers(address, provider.text))[way])
            with pytest.raises(NbAuthError):
                sign_in.wait(10)
            settle(page)
            watched.only_text(page.locator("html"))
    given = f"{len(KINDS)} texts in the redirect's error and in the token endpoint's"
    figure("S4", "hostile text on the listener's page", given, SHOWN)


def panel_under(page: LabPage, index: int) -> Locator:
    return page.output(index).get_by_role("group", name="Sign in with nbauth")


def html_under(page: LabPage, index: int) -> Locator:
    """The cell's HTML output, without JupyterLab's frame."""
    return page.output(index).locator(".jp-RenderedHTML")


BEGIN = "sign_in = nbauth.login(flow='device', background=True, force=True)"
CARD = (
    "from IPython.display import *; from nbauth.jupyter.display import *\nHTML(html_for(sign_in))"
)
TABLE = """rows = [(a.username, a.name, a.tenant_id) for a in nbauth.accounts()]
[(text, *_)] = rows
HTML(accounts_html([AccountRow(text, text, text, (text, text), 5, text, True)]))"""


def test_in_jupyterlab(
    lab: Lab, open_notebook: OpenNotebook, provider: HostileProvider, figure: Figure
) -> None:
    """In the states waiting, failed and done: the panel, the card and the account tables."""
    cells = [
        "%load_ext nbauth\nimport nbauth",
        BEGIN,
        CARD,
        "%accounts",
        TABLE,
        "%token --show",
        "nbauth.logout(all=True)",
    ]
    page = open_notebook(cells, lab=lab, own_profile=True)
    watched = Watched(page.page.context)
    page.run(0)
    addresses = cycle(ADDRESSES)
    for kind in KINDS:
        provider.text = TEXTS[kind]
        for address in ("", *(next(addresses) for _ in range(size(1, 2)))):
            provider.address, provider.turn = address, "pending"
            page.run(1)
            panel = panel_under(page, 1)
            # It shows the code, or has rejected the verification_uri.
            expect(panel).to_contain_text(re.compile("left|Sign-in failed"))
            settle(page.page)
            watched.only_text(panel, shows=None if address else "MARK")
            page.run(2)
            settle(page.page)
            watched.only_text(html_under(page, 2), shows=None if address else "MARK")
            provider.turn = "refuse"
            expect(panel).to_contain_text("Sign-in failed", timeout=15_000)
            settle(page.page)
            watched.only_text(panel)
            page.run(2)
            settle(page.page)
            watched.only_text(html_under(page, 2))
        provider.address, provider.turn = "", "grant"
        page.run(1)
        expect(panel_under(page, 1)).to_contain_text("Sign out", timeout=15_000)
        settle(page.page)
        watched.only_text(panel_under(page, 1))
        for cell in (3, 4):
            page.run(cell)
            settle(page.page)
            watched.only_text(html_under(page, cell))
        page.screenshot(f"hostile-{kind.replace(' ', '-')}")
        page.run(5)
        assert watched.happened == []
        page.run(6)
    given = (
        f"{len(KINDS)} texts in code, message, address, error, names, scopes, tenant;"
        f" {len(ADDRESSES)} addresses; panel, card, tables: looked at {watched.looked} times"
    )
    figure("S4", "hostile text in JupyterLab", given, SHOWN)


def test_on_the_callback_page_of_the_jupyter_server(
    lab: Lab, open_notebook: OpenNotebook, provider: HostileProvider, figure: Figure
) -> None:
    cells = ["%load_ext nbauth\nimport nbauth", BEGIN.replace("device", "callback")]
    page = open_notebook(cells, lab=lab, own_profile=True)
    context = page.page.context
    watched, shown = Watched(context), context.new_page()
    provider.turn = "refuse"
    page.run(0)
    for kind in KINDS:
        provider.text = TEXTS[kind]
        for way in range(2):
            page.run(1)
            panel = panel_under(page, 1)
            link = panel.get_by_role("link", name="Continue in the browser")
            address = link.get_attribute("href") or ""
            shown.goto(f"{lab.url}/nbauth/callback{list(answers(address, provider.text))[way]}")
            expect(panel).to_contain_text("Sign-in failed", timeout=15_000)
            settle(shown)
            watched.only_text(shown.locator("html"), script=True)
            watched.only_text(panel)
        # Also for a sign-in of no kernel.
        shown.goto(f"{lab.url}/nbauth/callback?{urlencode({'state': provider.text, 'code': 'x'})}")
        settle(shown)
        watched.only_text(shown.locator("html"), shows="Not signed in", script=True)
    given = f"{len(KINDS)} texts in the redirect's error and in the token endpoint's"
    figure("S4", "hostile text on the Jupyter server's page", given, SHOWN)

"""A whole sign-in on the hub: JupyterLab, ``%login``, the panel's link, the provider's pages."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.harness.hub import lines_with
from tests.harness.jupyter import record_sign_in
from tests.harness.lab_page import LabPage

pytestmark = pytest.mark.browser

CELLS = ["%load_ext nbauth", "account = {login}", "print('signed in:', account.username)"]


@pytest.mark.parametrize(
    ("layout", "login"),
    [
        # The test's browser is on the kernel's machine, so `auto` would choose loopback here.
        ("one origin", "%login --flow callback"),
        ("subdomains", "%login"),
    ],
)
def test_a_whole_sign_in(hubs, people, panva, person, request, layout, login):
    hub = hubs(layout)
    hub.write_notebook("ada", "sign-in.ipynb", [cell.format(login=login) for cell in CELLS])
    page = LabPage(people(hub, "ada").new_page(), hub.server_url("ada"), token="")
    page.open("sign-in.ipynb")
    page.run_all(wait=False)
    name = layout.replace(" ", "-")
    link = page.output(1).get_by_role("link", name="Continue in the browser")
    link.scroll_into_view_if_needed()
    page.screenshot(f"hub-waiting-{name}")
    authorize_url = link.get_attribute("href")
    with page.page.context.expect_page() as opened:
        link.click()
    provider = opened.value
    person.sign_in(provider)
    expect(provider.get_by_role("heading")).to_have_text("You are signed in")
    assert provider.url == f"{hub.server_url('ada')}/nbauth/callback"
    provider.screenshot(path=f"test-results/screenshots/hub-callback-{name}.png")
    assert page.wait_output(2, "signed in: ada")
    record_sign_in(request.node.name)
    page.save()
    state = authorize_url.partition("state=")[2].partition("&")[0]
    assert len(state) > 43
    assert lines_with(hub.log, state) == []
    assert lines_with((hub.home / "homes/ada/sign-in.ipynb").read_text("utf-8"), state) == []
    page.end_session()

"""Sign-ins by callback on a real hub, in a browser, while a cell waits."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import pytest
from playwright.sync_api import expect

from tests.harness.hub import lines_with
from tests.harness.jupyter import record_sign_in
from tests.harness.served_kernel import holding_the_gil, open_front_end
from tests.hub.conftest import LAYOUTS, WAIT, begin, environment, sign_in_at

pytestmark = pytest.mark.browser


def check_done(page, address):
    """The last page says "signed in", and the answer is gone from the address bar."""
    expect(page.get_by_role("heading")).to_have_text("You are signed in")
    assert page.url == address


@pytest.mark.parametrize("layout", LAYOUTS)
def test_by_callback(hubs, kernels, people, panva, person, layout, request):
    hub = hubs(layout)
    ada = begin(kernels(hub, "ada"))
    page = sign_in_at(people(hub, "ada"), ada.authorize_url, person)
    check_done(page, f"{hub.server_url('ada')}/nbauth/callback")
    assert ada.end().endswith("signed in: ada\n")
    record_sign_in(request.node.name)
    assert bool(lines_with(hub.log, ada.state)) is not hub.hook  # without it they are there


def test_by_callback_after_logging_in_at_the_hub(hubs, kernels, people, panva, person):
    """The hub shows its login page first. The answer in its address is not logged."""
    panva.control(code_length=2048)
    hub = hubs("one origin")
    ada = begin(kernels(hub, "ada"))
    page = sign_in_at(people(hub, None), ada.authorize_url, person)
    assert "/hub/login" in page.url
    code = re.search(r"code%3D([\w-]+)", page.url)
    assert code is not None
    hub.log_in(page, "ada")
    check_done(page, f"{hub.server_url('ada')}/nbauth/callback")
    assert ada.end().endswith("signed in: ada\n")
    assert lines_with(hub.log, ada.state, code[1]) == []
    assert re.search(r"/hub/login\?next=\S*nbauth%2Fcallback\[secret\]", hub.log)


@pytest.mark.parametrize("layout", ["one origin", "subdomains"])
def test_a_long_code_and_a_provider_with_cross_origin_opener_policy(
    hubs, kernels, people, panva, person, layout
):
    """A code of 2 KB. With COOP the callback page has no opener, and needs none."""
    panva.control(code_length=2048, coop="same-origin")
    hub = hubs(layout)
    ada = begin(kernels(hub, "ada"))
    opener = people(hub, "ada").new_page()
    opener.goto(f"{hub.server_url('ada')}/nbauth/callback")
    with opener.context.expect_page() as opened:
        opener.evaluate("address => { window.open(address); }", ada.authorize_url)
    sent: list[str] = []
    opened.value.on("request", lambda request: sent.append(request.url))
    person.sign_in(opened.value, "ada")
    check_done(opened.value, f"{hub.server_url('ada')}/nbauth/callback")
    assert ada.end().endswith("signed in: ada\n")
    assert max(len(parse_qs(urlsplit(url).query).get("code", [""])[0]) for url in sent) == 2048
    assert opened.value.evaluate("window.opener") is None


def test_to_a_named_server_and_not_to_one_that_is_stopped(hubs, kernels, people, panva, person):
    hub = hubs("one origin")
    hub.start_servers("ada", server="gpu-2")
    ada = begin(kernels(hub, "ada", "gpu-2"))
    page = sign_in_at(people(hub, "ada"), ada.authorize_url, person)
    check_done(page, f"{hub.server_url('ada', 'gpu-2')}/nbauth/callback")
    assert ada.end().endswith("signed in: ada\n")
    late = begin(kernels(hub, "ada", "gpu-2"), wait=False)
    hub.stop_server("ada", "gpu-2")
    page = sign_in_at(people(hub, "ada"), late.authorize_url, person)
    expect(page.get_by_text("has stopped, and its kernels have ended")).to_be_visible()
    assert lines_with(hub.log, late.state) == []
    assert lines_with(page.inner_html("body"), late.state) == []


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no scripts"])
def test_while_the_kernel_computes_the_page_waits_until_it_knows_the_end(
    hubs, kernels, people, panva, person, tmp_path, scripts
):
    """A computation holds the GIL. The kernel reads the answer after it."""
    hub = hubs("one origin")
    ada = begin(kernels(hub, "ada"), wait=False)
    with holding_the_gil(ada.kernel, tmp_path):
        profile = people(hub, "ada", java_script_enabled=scripts)
        page = sign_in_at(profile, ada.authorize_url, person)
        if not scripts:  # this browser has not been at ada's server yet
            page.get_by_role("link", name="Continue").click()
        expect(page.get_by_role("heading")).to_have_text("Delivered to your notebook")
        expect(page.get_by_text("may be busy with a computation")).to_be_visible()
        page.screenshot(path="test-results/screenshots/hub-callback-waits.png")
        if scripts:
            assert "code=" not in page.url
            assert "state=" not in page.url
    expect(page.get_by_role("heading")).to_have_text("You are signed in")
    if scripts:
        assert page.url == f"{hub.server_url('ada')}/nbauth/callback"
    assert ada.kernel.run(WAIT).text.endswith("signed in: ada\n")
    assert lines_with(hub.log, ada.state) == []


def test_forged_states_are_refused_by_the_hub(hubs, people):
    hub = hubs("one origin")
    page = people(hub, "ada").new_page()
    kernel, secret = "0f8fad5b-d9cb-469f-a165-70867728950e", "s" * 43
    for state, status in (
        (f"Li4vYm9i.{kernel}.{secret}", 400),  # ../bob
        (f"../bob.{kernel}.{secret}", 400),
        (f"Z3B1.{kernel}.{secret}", 404),  # gpu, which she has not
        (f".{kernel}.{secret}", 404),
        ("nonsense", 400),
    ):
        answer = page.goto(f"{hub.redirect_uri}?code=c&state={quote(state, safe='')}")
        assert answer is not None
        assert (state, answer.status) == (state, status)
    answer = page.goto(f"{hub.host}/hub/user-redirect/api/status?x=1")
    assert answer is not None
    assert answer.status == 200, "the hub handles other addresses itself"


def test_from_a_kernel_behind_a_gateway(hubs, gateway, people, panva, person):
    """Such a kernel has no JUPYTERHUB_… variables, so redirect_uri has to be set."""
    hub = hubs("one origin")
    hub.start_servers("ada", server="remote")
    kernel = hub.start_kernel("ada", "remote", gateway.home / "jupyter-runtime")
    front_end = open_front_end(f"http://127.0.0.1:{hub.port}/user/ada/remote", kernel.id, hub.token)
    settings = {**environment(panva), "NBAUTH_REDIRECT_URI": hub.redirect_uri}
    kernel.run(f"import os; os.environ.update({settings})")
    assert kernel.run("print([n for n in os.environ if 'JUPYTERHUB' in n])").text == "[]\n"
    kernel.run("os.environ['JUPYTERHUB_SERVER_NAME'] = 'remote'")
    ada = begin(kernel)
    page = sign_in_at(people(hub, "ada"), ada.authorize_url, person)
    check_done(page, f"{hub.server_url('ada', 'remote')}/nbauth/callback")
    assert ada.end().endswith("signed in: ada\n")
    assert lines_with(hub.log, ada.state) == []
    front_end.close()
    kernel.client.stop_channels()


def test_text_from_the_provider_is_escaped(hubs, kernels, people, panva):
    hub = hubs("subdomains")
    ada = begin(kernels(hub, "ada"))
    page = people(hub, "ada").new_page()
    dialogs: list[str] = []
    page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    hostile = "</p><script>alert(1)</script><img src=x onerror=alert(2)>"
    answer = {
        "error": "access_denied",
        "error_description": hostile,
        "state": ada.state,
        "iss": panva.issuer,
    }
    page.goto(f"{hub.redirect_uri}?{urlencode(answer)}")
    expect(page.get_by_role("heading")).to_have_text("Not signed in")
    expect(page.get_by_text("<script>alert(1)</script>")).to_be_visible()
    assert ada.end().count("signed in") == 0
    assert page.locator("img").count() == 0
    assert dialogs == []

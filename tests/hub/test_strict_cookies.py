"""Cookies that are SameSite=Strict, after a click on a page of the provider's.

On the hub of the layout "subdomains" all are, by the hub's own configuration.
"""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.harness.hub import lines_with
from tests.hub.conftest import begin, sign_in_at
from tests.hub.test_sign_in import check_done

pytestmark = pytest.mark.browser


def test_the_page_loads_itself_again_once(hubs, kernels, people, panva, person):
    hub = hubs("subdomains")
    ada = begin(kernels(hub, "ada"))
    profile = people(hub, "ada")
    hubs_cookies = {one["name"]: one.get("sameSite") for one in profile.cookies(hub.host)}
    assert set(hubs_cookies.values()) == {"Strict"}, hubs_cookies
    asked: list[str] = []
    profile.on("request", lambda request: asked.append(request.url))
    page = sign_in_at(profile, ada.authorize_url, person)
    check_done(page, f"{hub.server_url('ada')}/nbauth/callback")
    assert ada.end().endswith("signed in: ada\n")
    at_the_hub = [url for url in asked if url.startswith(hub.redirect_uri)]
    assert ["nbauth_again" in url for url in at_the_hub] == [False, True]
    assert not [url for url in asked if "/hub/login" in url]
    assert lines_with(hub.log, ada.state) == []


def test_without_scripts_a_click_continues(hubs, kernels, people, panva, person):
    hub = hubs("subdomains")
    ada = begin(kernels(hub, "ada"))
    page = sign_in_at(people(hub, "ada", java_script_enabled=False), ada.authorize_url, person)
    page.get_by_role("link", name="Continue").click()
    expect(page.get_by_role("heading")).to_have_text("You are signed in")
    assert ada.end().endswith("signed in: ada\n")


def test_a_person_who_is_not_logged_in_gets_the_login_page(hubs, kernels, people, panva, person):
    hub = hubs("subdomains")
    ada = begin(kernels(hub, "ada"))
    page = sign_in_at(people(hub, None), ada.authorize_url, person)
    page.wait_for_url("**/hub/login?*")
    hub.log_in(page, "ada")
    check_done(page, f"{hub.server_url('ada')}/nbauth/callback")
    assert ada.end().endswith("signed in: ada\n")


def test_on_a_hub_without_the_hook_the_address_bar_helps_and_a_reload_does_not(
    hubs, kernels, people, panva, person
):
    """The hub's own page is used there. The test makes its cookies strict in the browser."""
    hub = hubs("no hook")
    profile = people(hub, "ada")
    cookies = [{**one, "sameSite": "Strict"} for one in profile.cookies()]
    profile.clear_cookies()
    profile.add_cookies(cookies)
    ada = begin(kernels(hub, "ada"))
    page = sign_in_at(profile, ada.authorize_url, person)
    page.wait_for_url("**/hub/login?*")
    page.reload()
    assert "/hub/login" in page.url
    page.goto(page.url)  # like Enter in the address bar: a navigation without an initiating page
    check_done(page, f"{hub.server_url('ada')}/nbauth/callback")
    assert ada.end().endswith("signed in: ada\n")

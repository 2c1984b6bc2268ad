"""A Jupyter server without a hub whose cookies are SameSite=Strict, in a browser."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.server.test_delivery import begin

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("logged_in", [True, False])
def test_a_click_on_another_site_ends_on_the_callback_page(server, kernels, browser, logged_in):
    kernel = kernels("7.4")
    state = begin(kernel)
    ident = kernel.send("receiver.answer.result(60); receiver.finish('Done', 'Go back.')")
    callback = f"{server.url}/nbauth/callback"
    context = browser.new_context()
    page = context.new_page()
    if logged_in:
        page.goto(f"{server.url}/api/status?token={server.token}")
        assert {one["sameSite"] for one in context.cookies() if "username" in one["name"]} == {
            "Strict"
        }
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto("about:blank")
    page.set_content(f'<a href="{callback}?code=c&amp;state={state}">Continue</a>')
    page.get_by_role("link").click()
    if not logged_in:
        page.wait_for_url(f"{server.url}/login?*")
        page.locator("#password_input").fill(server.token)
        page.locator("#login_submit").click()
    expect(page.get_by_role("heading")).to_have_text("Done")
    assert page.url == callback
    assert ["nbauth_again" in url for url in asked if url.startswith(callback)] == [
        False,
        True,
        *([] if logged_in else [True]),
    ]
    kernel.wait(ident)
    context.close()

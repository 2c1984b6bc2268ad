"""Other users of a hub can neither take over nor inject a sign-in of Ada's."""

from __future__ import annotations

from urllib.parse import parse_qs, quote, urlsplit

import pytest
from playwright.sync_api import expect

from tests.harness.hub import lines_with
from tests.hub.conftest import begin, sign_in_at

pytestmark = pytest.mark.browser

both_layouts = pytest.mark.parametrize("layout", ["one origin", "subdomains"])


def heading(page):
    return page.get_by_role("heading")


@both_layouts
def test_the_callback_page_of_another_users_server_is_refused(hubs, kernels, people, layout):
    hub = hubs(layout)
    ada, bob = begin(kernels(hub, "ada"), wait=False), begin(kernels(hub, "bob"), wait=False)
    for asking, asked in (("bob", "ada"), ("ada", "bob")):
        page = people(hub, asking).new_page()
        for state in (ada.state, bob.state):
            answer = page.goto(
                f"{hub.server_url(asked)}/nbauth/callback?code=c&state={quote(state)}"
            )
            assert answer is not None
            assert answer.status == 403
    stranger = people(hub, None).new_page()
    stranger.goto(f"{hub.server_url('ada')}/nbauth/callback?code=c&state={quote(ada.state)}")
    assert urlsplit(stranger.url).path == "/hub/login"
    assert lines_with(hub.log, ada.state) == []
    assert ada.still_waits()
    assert bob.still_waits()


@both_layouts
def test_a_sign_in_that_bob_began_and_ada_finishes_reaches_neither(
    hubs, kernels, people, person, layout
):
    """The registered address leads ada to her own server, where bob's state is unknown."""
    hub = hubs(layout)
    bob = begin(kernels(hub, "bob"), wait=False)
    ada = begin(kernels(hub, "ada"), wait=False)
    page = sign_in_at(people(hub, "ada"), bob.authorize_url, person)
    expect(heading(page)).to_have_text("Not signed in")
    expect(page.get_by_text("is not on this server")).to_be_visible()
    assert page.url == f"{hub.server_url('ada')}/nbauth/callback"
    assert ada.still_waits()
    assert bob.still_waits()


@both_layouts
def test_adas_sign_in_finished_by_someone_logged_in_as_bob_reaches_neither(
    hubs, kernels, people, person, layout
):
    hub = hubs(layout)
    ada = begin(kernels(hub, "ada"), wait=False)
    page = sign_in_at(people(hub, "bob"), ada.authorize_url, person)
    expect(heading(page)).to_have_text("Not signed in")
    assert page.url == f"{hub.server_url('bob')}/nbauth/callback"
    assert ada.still_waits()


@both_layouts
def test_bobs_code_with_adas_state_is_refused(hubs, kernels, people, person, panva, layout):
    hub = hubs(layout)
    bob = begin(kernels(hub, "bob"), wait=False)
    page = sign_in_at(people(hub, None), bob.authorize_url, person, "grace")
    kept = parse_qs(urlsplit(page.url).query)["next"][0]
    code = parse_qs(urlsplit(kept).query)["code"][0]  # it waits at the hub's login page
    ada = begin(kernels(hub, "ada"))
    page = people(hub, "ada").new_page()
    injected = f"code={code}&state={quote(ada.state)}&iss={quote(panva.issuer, safe='')}"
    page.goto(f"{hub.redirect_uri}?{injected}")
    expect(heading(page)).to_have_text("Not signed in")
    assert "invalid_grant" in ada.end()
    assert ada.kernel.run("print(nbauth.accounts())").text == "[]\n"
    assert bob.still_waits()
    assert [one["status"] for one in panva.requests("token")] == [400]


@both_layouts
def test_a_user_with_a_share_of_adas_server_is_refused(hubs, kernels, people, layout):
    """The hub admits bob, as it admits administrators; the callback page does not."""
    hub = hubs(layout)
    ada = begin(kernels(hub, "ada"), wait=False)
    hub.api("shares/ada/", "POST", {"user": "bob"})
    try:
        page = people(hub, "bob").new_page()
        page.goto(f"{hub.server_url('ada')}/nbauth/callback?code=c&state={quote(ada.state)}")
        if page.url.startswith(f"{hub.host}/hub/api/oauth2/authorize"):
            page.get_by_role("button", name="Authorize").click()
        expect(heading(page)).to_have_text("Not your server")
        answer = page.goto(f"{hub.server_url('ada')}/api/status")
        assert answer is not None
        assert answer.status == 200, "the share itself works"
    finally:
        hub.api("shares/ada/", "DELETE")
    assert ada.still_waits()


def test_on_subdomains_a_page_of_bobs_server_cannot_read_adas(hubs, kernels, people):
    hub = hubs("subdomains")
    ada = begin(kernels(hub, "ada"), wait=False)
    profile = people(hub, "ada")
    adas = profile.new_page()
    adas.goto(f"{hub.server_url('ada')}/nbauth/callback")
    expect(heading(adas)).to_have_text("Callback page of nbauth")
    bobs = profile.new_page()
    bobs.goto(f"{hub.server_url('bob')}/static/logo/logo.png")  # of his, and open to all
    assert urlsplit(bobs.url).hostname == "bob.hub.localhost"
    seen = bobs.evaluate(
        """async address => {
          const read = await fetch(address, {credentials: 'include'})
            .then(answer => answer.text(), error => error.name);
          const child = window.open(address);
          await new Promise(done => setTimeout(done, 500));
          let document;
          try { document = child ? child.document.title : 'no window'; }
          catch (error) { document = error.name; }
          return [read, document];
        }""",
        f"{hub.server_url('ada')}/nbauth/callback",
    )
    assert seen == ["TypeError", "SecurityError"]
    assert ada.still_waits()

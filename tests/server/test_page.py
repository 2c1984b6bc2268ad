"""Who may ask for the callback page, with what, and what it shows and hides."""

from __future__ import annotations

import re
from urllib.parse import quote, urlsplit

import pytest
import requests

from nbauth.testing.canary import find, make_canary
from tests.server.test_delivery import begin

STATE = f".0f8fad5b-d9cb-469f-a165-70867728950e.{'s' * 43}"


def test_with_no_answer_it_says_what_it_is_for(server):
    page = server.get()
    assert (page.status_code, "Callback page of nbauth" in page.text) == (200, True)
    assert server.get({"redirects": "1"}).status_code == 200


@pytest.mark.parametrize(
    "query",
    [
        "code=c",
        "code=c&state=",
        "code=c&state=nonsense",
        f"state={STATE}",
        f"code=&state={STATE}",
        f"code=a&code=b&state={STATE}",
        f"code=c&state={STATE}&state={STATE}",
        f"code=c&state={STATE}&iss=a&iss=b",
        f"code=c&state=../..{STATE}",
        f"code=c&state=%2e%2e%2f{STATE}",
        f"error=access_denied&state={STATE}%0a",
        "&".join(f"x{number}=1" for number in range(200)),
    ],
)
def test_what_is_not_an_answer_is_refused(server, query):
    page = server.get(query)
    assert (page.status_code, "no response to a sign-in" in page.text) == (400, True)


@pytest.mark.parametrize("state", ["", "&state="])
def test_a_refusal_without_state_is_shown_and_ends_no_sign_in(server, state):
    """Several providers omit the state from errors. Such an error belongs to no known sign-in."""
    words = "error=access_denied&error_description=%3Cb%3ENot+you%3C%2Fb%3E"
    page = server.get(f"{words}{state}")
    assert page.status_code == 400
    assert "The provider says: &lt;b&gt;Not you&lt;/b&gt; [access_denied]." in page.text
    assert "Your notebook is still waiting" in page.text


def test_a_kernel_that_this_server_does_not_have_is_gone(server):
    page = server.get({"code": "c", "state": STATE})
    assert (page.status_code, "is not on this server" in page.text) == (404, True)


def test_a_person_who_is_not_logged_in_logs_in_and_the_answer_is_kept(server):
    page = server.get({"code": "c", "state": STATE}, headers={"Sec-Fetch-Site": "same-origin"})
    assert page.status_code == 302
    assert urlsplit(page.headers["Location"]).path == "/login"
    assert quote(f"code=c&state={STATE}", safe="") in page.headers["Location"]
    assert page.headers["Cache-Control"] == "no-store"


ANSWER = f"code=c&state={STATE}"
BY_PERSON = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "document"}


@pytest.mark.parametrize("headers", [BY_PERSON, {}], ids=["told", "an old browser or plain http"])
def test_a_browser_without_a_login_that_comes_from_the_provider_loads_the_page_again(
    server, headers
):
    """Its cookies may be SameSite=Strict. The page contains nothing of the answer."""
    page = server.get(ANSWER, headers=headers)
    assert (page.status_code, "Returning to your notebook server" in page.text) == (200, True)
    assert "s" * 43 not in page.text
    nonce = re.search(r"script-src 'nonce-([\w-]{22})'", page.headers["Content-Security-Policy"])
    assert nonce is not None
    script = "location.replace(location.href.split('#')[0] + '&nbauth_again=1')"
    assert f'<script nonce="{nonce[1]}">{script}</script>' in page.text
    assert page.headers["Referrer-Policy"] == "no-referrer"
    assert page.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("query", "headers"),
    [
        (f"{ANSWER}&nbauth_again=1", BY_PERSON),
        (f"{ANSWER}&nbauth_again=1", {}),
        (ANSWER, {"Sec-Fetch-Site": "same-origin"}),
        (ANSWER, {"Sec-Fetch-Site": "same-site"}),
        (ANSWER, {"Sec-Fetch-Site": "none"}),
        (ANSWER, {**BY_PERSON, "Sec-Fetch-Dest": "iframe"}),
        (ANSWER, {**BY_PERSON, "Sec-Fetch-Dest": "image"}),
        ("", BY_PERSON),
        ("code=c", BY_PERSON),
        (f"state={STATE}", BY_PERSON),
        ("nbauth_follow=x", BY_PERSON),
        ("&".join(f"x{number}=1" for number in range(200)), BY_PERSON),
    ],
)
def test_it_is_loaded_again_once_and_for_an_answer_only(server, query, headers):
    page = server.get(query, headers=headers)
    assert (page.status_code, urlsplit(page.headers["Location"]).path) == (302, "/login")


@pytest.mark.parametrize("method", ["POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"])
@pytest.mark.parametrize("logged_in", [True, False])
def test_only_get(server, kernels, method, logged_in):
    state = begin(kernels("7.4"))
    options = {} if logged_in else {"headers": {}}
    page = server.get({"code": "c", "state": state}, method, **options)
    assert page.status_code == 405
    assert kernels("7.4").run("print(receiver.answer.done())").text == "False\n"


def test_a_posted_form_is_refused(server, kernels):
    state = begin(kernels("7.4"))
    page = server.get("", "POST", data={"code": "c", "state": state})
    assert (page.status_code, "response_mode=query" in page.text) == (405, True)
    assert kernels("7.4").run("print(receiver.answer.done())").text == "False\n"


@pytest.mark.parametrize(
    ("query", "method", "status"),
    [("", "GET", 200), ({"code": "c", "state": STATE}, "GET", 404), ("code=c", "GET", 400),
     ("", "POST", 405)],
)  # fmt: skip
def test_the_page_is_restricted_and_not_stored(server, query, method, status):
    page = server.get(query, method)
    assert page.status_code == status
    headers = page.headers
    policy = headers["Content-Security-Policy"]
    nonce = re.search(r"script-src 'nonce-([\w-]{22})'", policy)
    assert nonce is not None
    assert policy.startswith("default-src 'none';")
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["Cache-Control"] == "no-store"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert page.text.count("<script") == 1
    assert f'<script nonce="{nonce[1]}">history.replaceState(' in page.text
    assert nonce[1] not in server.get(query, method).text


def test_a_servers_own_rules_hold(server, kernels):
    state = begin(kernels("7.4"))
    headers = {"Authorization": f"token {server.token}", "X-Refuse": "1"}
    assert server.get({"code": "c", "state": state}, headers=headers).status_code == 403
    assert kernels("7.4").run("print(receiver.answer.done())").text == "False\n"


def test_nothing_of_an_answer_is_in_the_log_at_debug(server):
    """Neither in the server's log nor in the kernel's, which contains every message it receives."""
    kernel = server.start_kernel("py-debug")
    code, wrong = make_canary(), make_canary()
    state = begin(kernel)
    ident = kernel.send("receiver.answer.result(30); receiver.finish('Done', '')")
    assert "Done" in server.get({"code": code, "state": state}).text
    kernel.wait(ident)
    own = {"Authorization": f"token {server.token}"}
    for headers in ({}, {"Sec-Fetch-Site": "none"}, own, {**own, "X-Refuse": "1"}):
        asked = {"headers": headers}
        server.get({"nbauth_follow": wrong}, **asked)
        server.get({"code": wrong, "state": state}, **asked)
        server.get({"code": wrong, "state": STATE}, **asked)
        server.get({"code": wrong, "state": "nonsense"}, **asked)
        server.get({"code": wrong, "state": state}, "POST", **asked)
        page = server.get({"code": wrong, "state": state}, **asked)
        if page.status_code == 302:  # the login page, whose address holds all of it
            requests.get(f"{server.url}{page.headers['Location']}", timeout=10, **asked)
    log = server.log
    assert "Control received" in log
    assert "GET /login" in log
    assert "/nbauth/callback" in log
    assert find(code, log) == []
    assert find(wrong, log) == []
    assert find(state.rpartition(".")[2], log) == []


def test_the_route_declares_who_may_use_it(server):
    """With ``allow_unauthenticated_access=False`` the server warns of routes that do not."""
    assert "nbauth.server | extension was successfully loaded" in server.log
    assert not re.search(r"CallbackHandler registered|registered for \S*nbauth", server.log)


HELP = "https://contoso.example/help?from=nbauth"
OWN = {
    HELP: (303, HELP, ""),
    "<h2>Mine</h2><script>alert(1)</script><img src=x>": (200, None, "<main><h2>Mine</h2></main>"),
    "http://contoso.example/": (200, None, "<h1>Done</h1><p>Go back.</p>"),
    "javascript:alert(1)": (200, None, "<h1>Done</h1><p>Go back.</p>"),
    "https://contoso.example/\r\nX-More: 1": (200, None, "<h1>Done</h1><p>Go back.</p>"),
}


def test_the_kernels_own_page_is_checked_by_the_server(server, kernels):
    kernel = kernels("7.4")
    for own, (status, location, body) in OWN.items():
        state = begin(kernel)
        end = f"receiver.answer.result(30); receiver.finish('Done', 'Go back.', {own!r})"
        ident = kernel.send(end)
        page = server.get({"code": "secret-code", "state": state})
        kernel.wait(ident)
        assert (page.status_code, page.headers.get("Location")) == (status, location), own
        assert body in page.text, own
        assert "alert(" not in page.text
        assert "X-More" not in page.headers
        assert page.headers["Referrer-Policy"] == "no-referrer"

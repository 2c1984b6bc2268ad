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
    assert (page.status_code, "Sign-ins come back here" in page.text) == (200, True)
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
def test_what_is_no_answer_is_refused(server, query):
    page = server.get(query)
    assert (page.status_code, "no answer to a sign-in" in page.text) == (400, True)


@pytest.mark.parametrize("state", ["", "&state="])
def test_a_refusal_that_names_no_sign_in_is_shown_as_what_it_is(server, state):
    """Several providers leave the state out there, and then nobody knows whose it is."""
    words = "error=access_denied&error_description=%3Cb%3ENot+you%3C%2Fb%3E"
    page = server.get(f"{words}{state}")
    assert page.status_code == 400
    assert "The provider says: &lt;b&gt;Not you&lt;/b&gt; [access_denied]." in page.text
    assert "your notebook goes on waiting" in page.text


def test_a_kernel_of_no_one_here_is_gone(server):
    page = server.get({"code": "c", "state": STATE})
    assert (page.status_code, "is gone" in page.text) == (404, True)


def test_who_is_not_logged_in_is_sent_to_log_in_and_keeps_the_answer(server):
    page = server.get({"code": "c", "state": STATE}, headers={})
    assert page.status_code == 302
    assert urlsplit(page.headers["Location"]).path == "/login"
    assert quote(f"code=c&state={STATE}", safe="") in page.headers["Location"]
    assert page.headers["Cache-Control"] == "no-store"


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
    assert page.status_code == 405
    assert kernels("7.4").run("print(receiver.answer.done())").text == "False\n"


@pytest.mark.parametrize(
    ("query", "method", "status"),
    [("", "GET", 200), ({"code": "c", "state": STATE}, "GET", 404), ("code=c", "GET", 400),
     ("", "POST", 405)],
)  # fmt: skip
def test_the_page_can_do_nothing_and_stays_nowhere(server, query, method, status):
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
    """Not in the server's, nor in the kernel's own, which writes down every message it gets."""
    kernel = server.start_kernel("py-debug")
    code, wrong = make_canary(), make_canary()
    state = begin(kernel)
    ident = kernel.send("receiver.answer.result(30); receiver.finish('Done', '')")
    assert "Done" in server.get({"code": code, "state": state}).text
    kernel.wait(ident)
    own = {"Authorization": f"token {server.token}"}
    for headers in ({}, own, {**own, "X-Refuse": "1"}):
        asked = {"headers": headers}
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


def test_the_route_says_who_may_use_it(server):
    """With ``allow_unauthenticated_access=False`` the server warns of those that do not."""
    assert "nbauth.server | extension was successfully loaded" in server.log
    assert not re.search(r"CallbackHandler registered|registered for \S*nbauth", server.log)

"""The redirects and the log filter of ``nbauth.server.hub``. Tests with a real hub: tests/hub."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import pytest
from jupyterhub import handlers  # type: ignore[import-untyped]
from tornado.web import HTTPError

from nbauth.core.callback_state import CallbackState
from nbauth.server.hub import LOGGERS, configure, user_redirect_hook, without_answers
from nbauth.server.hub_page import CallbackRedirectHandler

KERNEL, SECRET = "0f8fad5b-d9cb-469f-a165-70867728950e", "s" * 43


class User:
    """The part of JupyterHub's ``User`` that the hook looks at."""

    def __init__(self, *running: str, stopped: str = "off") -> None:
        self.spawners = {name: SimpleNamespace(active=True) for name in running}
        self.spawners[stopped] = SimpleNamespace(active=False)

    def server_url(self, name: str) -> str:
        return f"/user/ada/{quote(name)}/" if name else "/user/ada/"


def ask(path: str, query: str, *running: str) -> str | None:
    request: Any = SimpleNamespace(query=query)
    return user_redirect_hook(path, request, User(*running), "/hub/")


def state(name: str) -> str:
    return str(CallbackState(name, KERNEL, SECRET))


@pytest.mark.parametrize("name", ["", "gpu", "my.server-2", "jörg müller", "100 %"])
def test_the_answer_goes_to_the_server_that_began_the_sign_in(name):
    query = f"code=a%2Bb&state={state(name)}&iss=https%3A%2F%2Fid.example"
    address = ask("nbauth/callback", query, "", name)
    assert address == f"{User().server_url(name)}nbauth/callback?{query}"


@pytest.mark.parametrize("path", ["", "lab", "nbauth", "nbauth/callback/x", "x/nbauth/callback"])
def test_other_paths_are_left_to_the_hub(path):
    assert ask(path, f"state={state('')}", "") is None


def test_without_a_state_it_is_the_default_server():
    assert ask("nbauth/callback", "redirects=1", "") == "/user/ada/nbauth/callback?redirects=1"
    assert ask("nbauth/callback/", "", "") == "/user/ada/nbauth/callback"


@pytest.mark.parametrize(
    ("given", "status"),
    [
        (state("gpu"), 404),
        (state("off"), 404),
        (f"Li4vYm9i.{KERNEL}.{SECRET}", 400),  # ../bob
        (f"../bob.{KERNEL}.{SECRET}", 400),
        (f"%2e%2e%2fbob.{KERNEL}.{SECRET}", 400),
        ("nonsense", 400),
    ],
)
def test_unknown_servers_and_invalid_states_are_refused(given, status):
    with pytest.raises(HTTPError) as caught:
        ask("nbauth/callback", f"code=c&state={given}", "")
    assert caught.value.status_code == status
    assert caught.value.log_message is None, "tornado logs those with the whole address"
    assert caught.value.reason


ANSWER = f"nbauth/callback?code=the-code&state={state('')}"
ONCE, TWICE = quote(ANSWER, safe=""), quote(quote(ANSWER, safe=""), safe="")


@pytest.mark.parametrize(
    "line",
    [
        f"404 GET /hub/user-redirect/{ANSWER} (127.0.0.1): gone",
        f"302 GET /hub/user-redirect/x -> /hub/login?next=%2Fhub%2Fuser-redirect%2F{ONCE} (@::1)",
        f"302 POST /hub/login?next={ONCE}&x=1 (ada@127.0.0.1) 5ms",
        f"302 GET /hub/spawn?next=%2Fhub%2Flogin%3Fnext%3D{TWICE} (ada@127.0.0.1)",
        f"uri='/hub/user-redirect/{ANSWER}', version='HTTP/1.1'",
    ],
)
def test_no_line_of_the_log_holds_an_answer(line):
    for text, args in ((line, ()), ("%s %s", (line, 1))):
        record = logging.LogRecord("tornado.access", 30, "", 1, text, args, None)
        assert without_answers(record) is True
        assert "the-code" not in record.getMessage()
        assert SECRET not in record.getMessage()
        assert "nbauth" in record.getMessage()


def test_other_lines_stay_as_they_are():
    record = logging.LogRecord(
        "tornado.access", 30, "", 1, "%d GET /hub/home?code=%s", (200, "c"), None
    )
    assert without_answers(record) is True
    assert (record.msg, record.args) == ("%d GET /hub/home?code=%s", (200, "c"))


ROUTE = "/user-redirect/nbauth/callback/?"


def test_configure_installs_hook_filter_and_page_once():
    c = SimpleNamespace(JupyterHub=SimpleNamespace())
    before = list(handlers.default_handlers)
    try:
        configure(c)
        assert c.JupyterHub.user_redirect_hook is user_redirect_hook
        assert all(without_answers in logging.getLogger(name).filters for name in LOGGERS)
        configure(c)
        assert [path for path, _ in handlers.default_handlers].count(ROUTE) == 1
        assert handlers.default_handlers[0] == (ROUTE, CallbackRedirectHandler)
    finally:
        handlers.default_handlers[:] = before
        for name in LOGGERS:
            logging.getLogger(name).removeFilter(without_answers)

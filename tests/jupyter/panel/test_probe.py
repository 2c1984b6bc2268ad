"""The data from the browser: the page that shows the panel, and the result of a probe."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
import requests

from nbauth.jupyter.panel import probe as probe_module
from nbauth.jupyter.panel.page import Page
from nbauth.jupyter.panel.probe import ProbeResult
from tests.jupyter.panel.front import Front, MakeFront

LAB = {"origin": "http://localhost:8888", "base_url": "/"}
HUB = {
    "origin": "https://ada.hub.example:8443", "base_url": "/user/ada%40example.com/lab-2/",
    "hub_host": "https://hub.example", "hub_prefix": "/hub/", "server_name": "lab-2",
}  # fmt: skip


@pytest.mark.parametrize("told", [LAB, HUB, {**LAB, "origin": "http://[::1]:8888"}])
def test_the_page_is_taken_from_the_browsers_message(
    told: dict[str, Any], front: MakeFront
) -> None:
    shown = front(begun=False)
    assert shown.panel.page is None
    shown.say("ready", page=told)
    assert shown.panel.page == Page(**told)
    shown.say("ready", page=None)  # from a view outside Jupyter
    assert shown.panel.page == Page(**told)


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        [],
        "https://x",
        {},
        {**LAB, "origin": None},
        {**LAB, "origin": "null"},
        {**LAB, "origin": "vscode-webview://abc"},
        {**LAB, "origin": "http://localhost:8888/"},
        {**LAB, "origin": "http://localhost:8888/x"},
        {**LAB, "origin": "http://user@localhost:8888"},
        {**LAB, "origin": "http://localhost:port"},
        {**LAB, "origin": "http://local host"},
        {**LAB, "origin": "http://x\u202e.example"},
        {**LAB, "origin": "http://" + "x" * 600},
        {**LAB, "base_url": ""},
        {**LAB, "base_url": "x/"},
        {**LAB, "base_url": "/x"},
        {**LAB, "base_url": "//evil.example/"},
        {**LAB, "base_url": "/a/../b/"},
        {**LAB, "base_url": "/a?b/"},
        {**LAB, "base_url": "/a\n/"},
        {**HUB, "hub_host": "javascript:x"},
        {**HUB, "hub_prefix": "https://evil.example/"},
        {**HUB, "server_name": "a/b"},
        {**HUB, "server_name": "a\nb"},
        {**HUB, "server_name": 3},
    ],
)
def test_an_invalid_page_is_ignored(wrong: Any) -> None:
    assert Page.parse(wrong) is None


def probe_with(shown: Front, answer: Callable[[dict[str, Any]], dict[str, Any]]) -> ProbeResult:
    """The result of a probe to which the browser gives this answer."""

    def browse() -> None:
        while not (probes := shown.messages("probe")):
            time.sleep(0.01)
        probe = probes[-1]
        shown.say("probe", **{"nonce": probe["nonce"], **answer(probe)})

    shown.say("ready")
    browser = threading.Thread(target=browse)
    browser.start()
    seen = shown.panel.probe(1.0)
    browser.join()
    return seen


def read(probe: dict[str, Any]) -> dict[str, Any]:
    headers = {"Origin": "http://localhost:8888"}
    return {"text": requests.get(probe["url"], headers=headers, timeout=2).text, "callback": False}


def test_the_probe_checks_machine_and_server(front: MakeFront) -> None:
    assert probe_with(front(), read) == ProbeResult(same_machine=True, callback=False)
    assert probe_with(front(), lambda probe: {"text": None, "callback": True}) == ProbeResult(
        callback=True
    )
    assert probe_with(front(), lambda probe: {**read(probe), "callback": True}) == ProbeResult(
        True, True
    )
    for wrong in ({"text": None}, {"text": "a guess"}, {"text": ["no text"], "callback": "yes"}):
        assert probe_with(front(), lambda probe, wrong=wrong: wrong) == ProbeResult()
    assert (
        probe_with(front(), lambda probe: {**read(probe), "nonce": "of another probe"})
        == ProbeResult()
    )


def test_a_kernel_that_cannot_listen_still_probes_the_callback(
    front: MakeFront, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(life: float) -> None:
        raise PermissionError("no ports here")

    monkeypatch.setattr(probe_module, "LocalityProbe", refuse)
    assert probe_with(
        front(), lambda probe: {"text": "", "callback": probe["url"] is None}
    ) == ProbeResult(callback=True)


@pytest.mark.timing
def test_without_a_front_end_the_probe_keeps_its_time_limit(front: MakeFront) -> None:
    shown, begun = front(), time.monotonic()
    assert shown.panel.probe(0.3) == ProbeResult()
    assert 0.25 < time.monotonic() - begun < 1
    threading.Timer(0.1, shown.sign_in.cancel).start()
    begun = time.monotonic()
    assert shown.panel.probe(10) == ProbeResult()
    assert time.monotonic() - begun < 1

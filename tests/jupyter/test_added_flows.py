"""Flows of other packages: entry points of the group ``nbauth.flows``."""

from __future__ import annotations

import re
from typing import Any

import pytest

from nbauth.core.errors import ConfigurationError, FlowUnavailable
from nbauth.core.flow_names import GROUP
from nbauth.core.scopes import Scopes
from nbauth.core.settings_values import read
from nbauth.jupyter.magics import AuthMagics
from nbauth.oauth.engines.protocol import AuthorizationRequest
from nbauth.oauth.engines.token_requests import ClientCredentials
from nbauth.oauth.flows import browser, flow_named
from nbauth.oauth.flows.record import Flow, service_flow
from nbauth.testing.engine import FakeEngine

REQUEST = AuthorizationRequest(Scopes.parse(["read"], microsoft=False))


class Point:
    """An entry point as ``importlib.metadata`` returns it."""

    dist = None
    group = GROUP

    def __init__(self, name: str, load: Any) -> None:
        self.name = name
        self.load = load


OTHER = service_flow("other", lambda engine, request: engine.obtain(ClientCredentials(), request),
                     detail="of a test")  # fmt: skip


def test_an_entry_point_adds_a_flow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "nbauth.oauth.flows.added", lambda: {"other": Point("other", lambda: OTHER)}
    )
    assert flow_named("other") is OTHER
    with pytest.raises(StopIteration) as end:
        next(OTHER.run(FakeEngine(), REQUEST))
    assert end.value.value.access_token == "access-ada-1"


def broken() -> Flow:
    raise ImportError("No module named 'gone'")


@pytest.mark.parametrize(
    ("load", "why"),
    [
        (broken, "No module named 'gone'"),
        (lambda: "a string", "is not a Flow with the name 'other'"),
        (lambda: browser.FLOWS[0], "is not a Flow with the name 'other'"),
    ],
)
def test_an_entry_point_that_is_no_flow_is_a_clear_error(
    monkeypatch: pytest.MonkeyPatch, load: Any, why: str
) -> None:
    monkeypatch.setattr("nbauth.oauth.flows.added", lambda: {"other": Point("other", load)})
    with pytest.raises(FlowUnavailable, match=re.escape(why)):
        flow_named("other")


def test_the_settings_and_the_magic_accept_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("core.settings_values", "jupyter.magic_options"):
        monkeypatch.setattr(
            f"nbauth.{module}.added", lambda: {"other": Point("other", lambda: OTHER)}
        )
    assert read("flow", "Other", "a test") == "other"
    parsed = AuthMagics.login.read("--flow other", {})
    assert parsed.flow == "other"
    with pytest.raises(ConfigurationError, match="did you mean other"):
        read("flow", "othr", "a test")

"""A panel without a front end: its comm records what it sends."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import comm
import pytest

from nbauth.jupyter.panel.panel import SignInPanel
from tests.jupyter.panel.scripted import ScriptedEngine, Starter, session_with, ways_from


class RecordingComm(comm.base_comm.BaseComm):
    """A comm that records its messages."""

    def publish_msg(self, msg_type: str, data: Any = None, **rest: Any) -> None:
        self.sent = [*getattr(self, "sent", []), (msg_type, data or {})]

    def messages(self, kind: str) -> list[dict[str, Any]]:
        contents = [data["content"] for _, data in self.sent if data.get("method") == "custom"]
        return [content for content in contents if content["kind"] == kind]


class Front:
    """One panel. ``begun``: whether its sign-in has begun.

    ``beside``: another ``Front`` whose session and provider are shared.
    """

    def __init__(
        self,
        flow: str = "device",
        *scopes: str,
        begun: bool = True,
        beside: Front | None = None,
        **device: Any,
    ) -> None:
        self.engine: Any = beside.engine if beside else ScriptedEngine(**device)
        self.session = beside.session if beside else session_with(self.engine, ways_from(flow))
        self.start = Starter(self.session, *scopes)
        self.panel = SignInPanel(self.session, self.start, self.start() if begun else None)
        self.panel._send_state()

    @property
    def sign_in(self) -> Any:
        return self.panel.sign_in

    def say(self, kind: str, *, typed: str | None = None, **content: Any) -> None:
        """Deliver a message of the browser, with the bytes of what the person has typed."""
        buffers = [] if typed is None else [memoryview(typed.encode())]
        self.panel._handle_custom_msg({"kind": kind, **content}, buffers)

    def messages(self, kind: str) -> list[dict[str, Any]]:
        return self.panel.comm.messages(kind)

    @property
    def state(self) -> dict[str, Any]:
        return self.messages("state")[-1]

    def until(self, state: str, **facts: Any) -> dict[str, Any]:
        """Wait for a state with these values."""
        end = time.monotonic() + 5
        while time.monotonic() < end:
            if self.messages("state"):
                latest = self.state
                if latest["state"] == state and facts.items() <= latest.items():
                    json.dumps(latest)
                    return latest
            time.sleep(0.01)
        raise AssertionError(f"not {state} {facts}: {self.messages('state')[-1:]}")


MakeFront = Callable[..., Front]


@pytest.fixture
def front(monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeFront]:
    monkeypatch.setattr(comm, "create_comm", RecordingComm)
    made: list[Front] = []

    def make(*args: Any, **options: Any) -> Front:
        made.append(Front(*args, **options))
        return made[-1]

    yield make
    for one in made:
        if one.panel.sign_in is not None:
            one.panel.sign_in.cancel()
        one.panel.close_quietly()
        one.panel.close_quietly()

"""P9: a request with ``nbauth.auth()`` or in a cell with ``%%auth``, compared with one whose header
is set by hand.

The response is immediate, so that only the client's own work is timed.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import copy_context
from typing import Any

import httpx
import requests
from requests.adapters import BaseAdapter

import nbauth
from benchmarks.cached import SCOPE, Ours
from benchmarks.table import Row, timed_by_turns
from nbauth.demo.servers import Demo
from nbauth.kernel.calls import authorised_calls
from nbauth.kernel.calls.execution import Execution

URL = "https://api.example/v1.0/me?$select=id"


def measure(demo: Demo) -> list[Row]:
    """requests and httpx, by turns."""
    ours = Ours(demo, 1)
    ours.make_current()
    nbauth.configure(hosts={"api.example": [SCOPE]})
    auth = nbauth.auth(SCOPE)
    by_hand = {"Authorization": f"Bearer {nbauth.token(SCOPE)}"}
    sender, client = requests.Session(), httpx.Client(transport=httpx.MockTransport(_answer))
    sender.trust_env = False
    sender.mount("https://", _AtOnce())
    assert sent_by_both(sender, client, auth) == [by_hand["Authorization"]] * 2
    authorised, plain, authorised_x, plain_x = timed_by_turns(
        lambda: sender.get(URL, auth=auth),
        lambda: sender.get(URL, headers=by_hand),
        lambda: client.get(URL, auth=auth),
        lambda: client.get(URL, headers=by_hand),
    )
    in_cell, by_hand_too, in_cell_x, by_hand_x = _in_a_cell(auth, sender, client, by_hand)
    what, peer, held = "a request with `nbauth.auth()`", "header set by hand", "≤ 30 µs"
    cell, beyond = "a plain request in a cell with `%%auth`", "beyond the same by hand"
    return [
        Row("P9", f"{what}, {beyond}: requests", authorised - plain, peer, plain, held),
        Row("P9", f"{what}, {beyond}: httpx", authorised_x - plain_x, peer, plain_x, held),
        Row("P9", f"{cell}, {beyond}: requests", in_cell - by_hand_too, peer, by_hand_too, held),
        Row("P9", f"{cell}, {beyond}: httpx", in_cell_x - by_hand_x, peer, by_hand_x, held),
    ]


def _in_a_cell(
    auth: Any, sender: requests.Session, client: httpx.Client, by_hand: dict[str, str]
) -> Sequence[float]:
    """The same calls without ``auth``, while an execution is authorised."""
    execution, cell = Execution(), copy_context()
    seen: list[Any] = []
    before = sender.get_adapter(URL)
    try:
        cell.run(authorised_calls.begin, execution, auth)
        sender.mount("https://", _AtOnce(seen))
        cell.run(sender.get, URL)
        assert seen == [by_hand["Authorization"]]
        sender.mount("https://", before)
        return timed_by_turns(
            lambda: cell.run(sender.get, URL),
            lambda: sender.get(URL, headers=by_hand),
            lambda: cell.run(client.get, URL),
            lambda: client.get(URL, headers=by_hand),
        )
    finally:
        cell.run(authorised_calls.end, execution)


def sent_by_both(sender: requests.Session, client: httpx.Client, auth: Any) -> list[str | None]:
    """The authorization header of each request."""
    one, other = sender.get(URL, auth=auth).request, client.get(URL, auth=auth).request
    return [one.headers.get("Authorization"), other.headers.get("Authorization")]


class _AtOnce(BaseAdapter):
    """Returns a response without sending anything.

    Args:
        seen: gets the ``Authorization`` headers.
    """

    def __init__(self, seen: list[Any] | None = None) -> None:
        super().__init__()
        self._seen = seen

    def send(self, request: requests.PreparedRequest, **_: Any) -> requests.Response:
        if self._seen is not None:
            self._seen.append(request.headers.get("Authorization"))
        response = requests.Response()
        response.status_code, response.request, response.url = 200, request, URL
        response._content = b"{}"
        return response

    def close(self) -> None:
        pass


def _answer(_: httpx.Request) -> httpx.Response:
    return httpx.Response(200, content=b"{}")

"""A Graph for typed lines: it answers without a network, and notes what it was asked."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock
from urllib.parse import unquote, urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPResponse

ADDRESS = "https://api.example"
_OURS = ("prefer", "consistencylevel", "x-note")
_ROWS = [
    {"id": "1", "surname": "Lovelace", "mail": "ada@example.com"},
    {"id": "2", "surname": "O'Brien", "mail": None},
]


class Answers:
    """What was asked of Graph, as lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def send(self, adapter: Any, request: Any, **_: Any) -> requests.Response:
        assert request.headers["Authorization"].startswith("Bearer ")
        body = json.loads(request.body) if request.body else None
        own = [f"{name}: {text}" for name, text in request.headers.items() if name.lower() in _OURS]
        sent = [] if body is None else [json.dumps(body)]
        where = unquote(request.url.removeprefix(ADDRESS))
        self.lines.append(" ".join([request.method, where, *own, *sent]))
        path = unquote(urlsplit(request.url).path)
        return _response(request, *_answer(request.method, path, request.url, body))


def _answer(method: str, path: str, url: str, body: Any) -> tuple[int, Any]:
    if path.endswith("/$batch"):
        return 200, {"responses": [_member(one) for one in body["requests"]]}
    if "nobody" in path:
        error = {"code": "Request_ResourceNotFound", "message": "It does not exist."}
        return 404, {"error": error}
    if method == "DELETE" or path.endswith("/sendMail"):
        return 204, None
    if method != "GET":
        return 200, {"id": "3", **(body or {})}
    if path.endswith("$count"):
        return 200, 2
    if path.endswith(("users", "messages", "children")):
        page: dict[str, Any] = {"value": _ROWS}
        if "skiptoken" not in url:
            page["@odata.nextLink"] = f"{ADDRESS}{path}?$skiptoken=2"
        return 200, page
    return 200, {"id": "1", "surname": "Lovelace"}


def _member(one: Any) -> dict[str, Any]:
    status, answer = _answer(one["method"], one["url"].partition("?")[0], "skiptoken", one)
    kind = {"Content-Type": "application/json"}
    return {"id": one["id"], "status": status, "headers": kind, "body": answer}


def _response(request: Any, status: int, answer: Any) -> requests.Response:
    made = requests.Response()
    made.status_code, made.request, made.url = status, request, request.url
    number = isinstance(answer, int)
    made.headers["Content-Type"] = "text/plain" if number else "application/json"
    text = b"" if answer is None else json.dumps(answer).encode()
    made.raw = HTTPResponse(io.BytesIO(text), status=status, preload_content=False)
    return made


@contextmanager
def answered() -> Iterator[Answers]:
    """A request to the address of Graph gets an answer; rows are shown as a plain table."""
    made, others = Answers(), HTTPAdapter.send

    def send(adapter: HTTPAdapter, request: Any, *args: Any, **options: Any) -> requests.Response:
        if str(request.url).startswith(ADDRESS):
            return made.send(adapter, request, **options)
        return others(adapter, request, *args, **options)

    with (
        mock.patch.object(HTTPAdapter, "send", send),
        mock.patch("nbauth.msgraph.frames.frame._pandas", return_value=None),
    ):
        yield made

"""What the local Graph has: users, messages, a drive, an echo of the address."""

from __future__ import annotations

import json
import re
import threading
import uuid
from typing import Any

from tests.harness.graph import rows
from tests.harness.graph.batch import batch
from tests.harness.graph.delta import delta_page
from tests.harness.graph.files import Drive
from tests.harness.graph.listener import Handler, Recorded
from tests.harness.graph.lists import condition, decoded, options_of, page, query_of, selected
from tests.harness.graph.replies import Refused, Reply
from tests.harness.graph.rows import Collection

VERSIONS = ("v1.0", "beta")
PHOTO = bytes(range(256)) * 4


class Routes:
    """Answers requests as Graph does.

    Attributes:
        users, messages: the lists; ``me`` is the first user.
        drive: the files.
        handle_member: answers the members of a batch.
        sent: the bodies of ``me/sendMail``.
        batches: how many batches came.
    """

    def __init__(self) -> None:
        self.drive = Drive()
        self.handle_member: Handler = self.answer
        self._lock = threading.Lock()
        self.fill()

    def fill(self, users: int = 250, messages: int = 60) -> None:
        """Set all data back to the start."""
        self.users = rows.users(users)
        self.messages = rows.messages(messages)
        self.drive.clear()
        self.sent: list[Any] = []
        self.batches = 0
        self._pages: dict[tuple[Any, ...], Reply] = {}

    def answer(self, request: Recorded) -> Reply:
        try:
            return self._answer(request)
        except Refused as refused:
            return refused.reply

    def _answer(self, request: Recorded) -> Reply:
        _, version, *segments = request.raw_path.split("/")
        if version not in VERSIONS:
            raise Refused(400, "BadRequest", f"Invalid version: {version}")
        parts = [decoded(segment) for segment in segments]
        match parts:
            case ["$batch"] if request.method == "POST":
                if request.batch:
                    raise Refused(400, "BadRequest", "A batch in a batch is not supported.")
                with self._lock:
                    self.batches += 1
                    number = self.batches
                return batch(request, version, number, self.handle_member)
            case ["echo", *rest]:
                return echo(request, rest)
            case ["me", "sendMail"] if request.method == "POST":
                self.sent.append(body_of(request))
                return Reply(202, b"")
            case ["me"]:
                return self._one(self.users, next(iter(self.users.rows)), request)
            case ["me" | "users", *_, "photo", "$value"]:
                return Reply(200, PHOTO, content_type="image/jpeg")
            case ["users", *rest] if len(rest) < 2:
                return self._list(self.users, rest, request, version)
            case ["me", "messages", *rest] | ["users", _, "messages", *rest]:
                return self._list(self.messages, rest, request, version)
            case ["me", "mailFolders", _, "messages", *rest]:
                return self._list(self.messages, rest, request, version)
        tail = re.match(r"(?:me/drive|drives/[^/]+)/(.*)", "/".join(segments))
        found = self.drive.answer(request, tail[1]) if tail else None
        if found is None:
            raise Refused(404, "BadRequest", f"Resource not found for the segment '{parts[0]}'.")
        return found

    def _list(
        self, collection: Collection, rest: list[str], request: Recorded, version: str
    ) -> Reply:
        if rest == ["delta"] and request.method == "GET":
            return delta_page(collection, request, version)
        if rest == ["$count"] and request.method == "GET":
            return count(collection, request)
        if rest:
            return self._one(collection, rest[0], request)
        if request.method == "POST":
            row = {"id": str(uuid.uuid4()), **body_of(request)}
            return Reply(201, collection.add(row))
        if request.method != "GET":
            return Reply(405)
        key = (
            collection.version, collection.default_top, collection.largest_top,
            collection.oversize, request.target, request.headers.get("consistencylevel"),
            request.headers.get("prefer"),
        )  # fmt: skip
        if key not in self._pages:
            self._pages[key] = page(collection, request, version)
        return self._pages[key]

    def _one(self, collection: Collection, key: str, request: Recorded) -> Reply:
        row = collection.get(key)
        if row is None:
            message = f"Resource '{key}' does not exist or one of its queried "
            raise Refused(
                404,
                "Request_ResourceNotFound",
                message + "reference-property objects are not present.",
            )
        if request.method == "PATCH":
            collection.change(row["id"], **body_of(request))
            return Reply(204)
        if request.method == "DELETE":
            collection.remove(row["id"])
            return Reply(204)
        if request.method != "GET":
            return Reply(405)
        return Reply(200, selected(collection, row, options_of(request).get("$select", "")))


def body_of(request: Recorded) -> dict[str, Any]:
    if not request.headers.get("content-type", "").startswith("application/json"):
        raise Refused(415, "Request_BadRequest", "The body needs Content-Type: application/json.")
    try:
        body = json.loads(request.body)
        assert isinstance(body, dict)
    except (ValueError, AssertionError):
        raise Refused(400, "BadRequest", "Unable to read JSON request payload.") from None
    return body


def count(collection: Collection, request: Recorded) -> Reply:
    """``$count`` as plain text."""
    if collection.directory and request.headers.get("consistencylevel") != "eventual":
        raise Refused(400, "Request_UnsupportedQuery", "$count needs ConsistencyLevel: eventual.")
    options = options_of(request)
    test = condition(options["$filter"])[0] if "$filter" in options else None
    found = [row for row in collection.rows.values() if test is None or test(row)]
    return Reply(200, str(len(found)))


def echo(request: Recorded, segments: list[str]) -> Reply:
    """What arrived: the decoded segments of the path, the decoded query, the body."""
    answer = {
        "method": request.method,
        "target": request.target.decode("latin-1"),
        "segments": segments,
        "query": query_of(request),
        "headers": {
            name: value for name, value in request.headers.items() if name != "authorization"
        },
        "body": request.body.decode("utf-8", "replace"),
    }
    return Reply(200, answer)

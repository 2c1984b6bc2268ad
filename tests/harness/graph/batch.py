"""``$batch``: what Graph refuses as a whole, and the members one by one."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

from tests.harness.graph.listener import Recorded
from tests.harness.graph.replies import JSON_TYPE, Refused, Reply, dumps, refusal

LARGEST = 20
Member = dict[str, Any]


def checked(request: Recorded) -> list[Member]:
    """The members of a batch; raises ``Refused`` where Graph refuses the batch."""
    if not request.headers.get("content-type", "").startswith("application/json"):
        raise Refused(400, "BadRequest", "The batch needs Content-Type: application/json.")
    try:
        members = json.loads(request.body)["requests"]
        assert isinstance(members, list) and all(isinstance(one, dict) for one in members)
    except (ValueError, KeyError, TypeError, AssertionError):
        raise Refused(400, "BadRequest", "Invalid batch payload format.") from None
    if not members:
        raise Refused(400, "BadRequest", "Empty batch payload.")
    if len(members) > LARGEST:
        message = "Number of batch request steps exceeds the maximum value of 20."
        raise Refused(400, "BadRequest", message)
    seen: set[str] = set()
    for member in members:
        _check(member, seen)
        seen.add(member["id"])
    _check_order(members)
    return members


def _check(member: Member, seen: set[str]) -> None:
    ident, method, url = (member.get(name) for name in ("id", "method", "url"))
    if not isinstance(ident, str) or not ident:
        raise Refused(400, "BadRequest", "The id of a batch request is not a string.")
    if ident in seen:
        raise Refused(400, "BadRequest", f"Request Id : {ident} has to be unique in a batch.")
    if method not in ("GET", "POST", "PUT", "PATCH", "DELETE"):
        raise Refused(400, "BadRequest", f"Request Id : {ident} has a wrong method.")
    if not isinstance(url, str) or not url.startswith("/"):
        raise Refused(400, "BadRequest", f"Request Id : {ident} does not have a relative URL.")
    headers = {name.lower() for name in member.get("headers") or {}}
    if "body" in member and "content-type" not in headers:
        message = f"Write request id : {ident} does not contain Content-Type header or body."
        raise Refused(400, "BadRequest", message)
    if unknown := set(member.get("dependsOn") or ()) - seen:
        raise Refused(400, "BadRequest", f"Request Id : {ident} depends on {sorted(unknown)}.")


def _check_order(members: list[Member]) -> None:
    """Graph takes all parallel, all sequential, or all dependent on the same request."""
    needs = [tuple(member.get("dependsOn") or ()) for member in members]
    if not any(needs):
        return
    ids = [member["id"] for member in members]
    serial = needs[0] == () and needs[1:] == [(ident,) for ident in ids[:-1]]
    same = len({need for need in needs if need}) == 1
    if not serial and not same:
        raise Refused(400, "BadRequest", "The dependencies are not supported.")


def batch(
    request: Recorded, version: str, number: int, handle: Callable[[Recorded], Reply]
) -> Reply:
    """Answer a batch; *handle* answers each member."""
    done: dict[str, int] = {}
    responses = []
    for member in checked(request):
        if any(done[ident] >= 400 for ident in member.get("dependsOn") or ()):
            message = "Failed dependency."
            reply = refusal(424, "FailedDependency", message)
        else:
            reply = handle(_request(request, version, member, number))
        done[member["id"]] = reply.status
        responses.append(_response(member["id"], reply))
    return Reply(200, dumps({"responses": responses}), content_type=JSON_TYPE)


def _request(request: Recorded, version: str, member: Member, number: int) -> Recorded:
    headers = {name.lower(): str(value) for name, value in (member.get("headers") or {}).items()}
    body = member.get("body", b"")
    if isinstance(body, str) and "json" not in headers.get("content-type", ""):
        body = base64.b64decode(body)
    return Recorded(
        member["method"],
        f"/{version}{member['url']}".encode(),
        {**headers, "authorization": request.headers.get("authorization", "")},
        body if isinstance(body, bytes) else dumps(body),
        root=request.root,
        connection=request.connection,
        batch=number,
    )


def _response(ident: str, reply: Reply) -> Member:
    response: Member = {"id": ident, "status": reply.status, "headers": dict(reply.headers)}
    if isinstance(reply.body, dict):
        response["headers"]["Content-Type"] = reply.type
        response["body"] = reply.body
    elif content := reply.content:
        response["headers"]["Content-Type"] = reply.type
        is_json = reply.type.startswith("application/json")
        response["body"] = json.loads(content) if is_json else base64.b64encode(content).decode()
    return response

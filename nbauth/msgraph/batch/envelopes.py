"""The request and the response of a batch as JSON (Graph document: json-batching)."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from requests.structures import CaseInsensitiveDict

from nbauth.msgraph.addresses import Root
from nbauth.msgraph.batch.members import Group, Member
from nbauth.msgraph.errors import parsed
from nbauth.msgraph.sender import content_of
from nbauth.msgraph.transport import Reply, Request

log = logging.getLogger(__name__)


class Answer(NamedTuple):
    """The response to one member; ``body`` is JSON, bytes or ``None``."""

    status: int
    headers: Mapping[str, str]
    body: Any


def envelope(groups: Sequence[Group], root: Root) -> Request:
    """The request for members. Their ids are their positions among all requests of the call."""
    members = [member for group in groups for member in group.members]
    body = json.dumps({"requests": [_sent(member) for member in members]}).encode()
    url = f"{root.address}/{members[0].version}/$batch"
    headers = {"Content-Type": "application/json"}
    return Request("POST", url, "$batch", None, headers, body)


def _sent(member: Member) -> dict[str, Any]:
    request = member.request
    made: dict[str, Any] = {"id": str(member.at), "method": request.method, "url": member.url}
    if request.headers:
        made["headers"] = dict(request.headers)
    if request.body is not None:
        kind = CaseInsensitiveDict(request.headers).get("Content-Type", "")
        known = parsed(request.body) if "json" in kind.lower() else None
        made["body"] = base64.b64encode(request.body).decode() if known is None else known
    if member.needs:
        made["dependsOn"] = [str(need) for need in member.needs]
    return made


def answers(reply: Reply, groups: Sequence[Group]) -> dict[int, Answer] | None:
    """The responses to members by position; ``None`` if the reply is no response to a batch.

    Of a member that is there twice with different contents, none is returned.
    """
    body = parsed(reply.body)
    responses = body.get("responses") if isinstance(body, dict) else None
    if not isinstance(responses, list):
        return None
    members = {str(member.at): member for group in groups for member in group.members}
    found: dict[str, Any] = {}
    for one in filter(lambda one: isinstance(one, dict), responses):
        name = str(one.get("id"))
        if name not in members:
            log.debug("a response to a batch has an unknown id")
        elif found.setdefault(name, one) != one:
            log.debug("a response to a batch has two different responses for one id")
            found[name] = {}
    read = {members[name].at: _answer(members[name], one) for name, one in found.items()}
    return {at: answer for at, answer in read.items() if answer is not None}


def _answer(member: Member, response: dict[str, Any]) -> Answer | None:
    try:
        status = int(response["status"])
    except (KeyError, TypeError, ValueError):
        return None
    given = response.get("headers")
    pairs = given.items() if isinstance(given, dict) else ()
    headers = CaseInsensitiveDict({str(name): str(value) for name, value in pairs})
    return Answer(status, headers, _body(member, status, headers, response.get("body")))


def _body(member: Member, status: int, headers: Mapping[str, str], body: Any) -> Any:
    """The body; contents that are not JSON are base64 in the response."""
    if not isinstance(body, str):
        return body
    if member.request.path.endswith("$count") and body.strip().isdigit():
        return int(body)
    try:
        content = base64.b64decode(body, validate=True)
    except ValueError:
        return body
    kind = headers.get("Content-Type", "").lower()
    if "json" in kind:
        known = parsed(content)
        return body if known is None else known
    return content_of(Reply(member.request, status, headers, content))

"""What the responses mean: the results of members, and what is sent again."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

import urllib3.exceptions as urllib3

from nbauth.core.errors import GraphError
from nbauth.core.secret import SecretStr
from nbauth.core.text import plain
from nbauth.msgraph.batch.denied import FAILED_DEPENDENCY, Denied
from nbauth.msgraph.batch.envelopes import Answer
from nbauth.msgraph.batch.members import Group, Member, grouped
from nbauth.msgraph.errors import redirected
from nbauth.msgraph.throttle import MOST_SECONDS, SAFE, Attempts, is_refusal
from nbauth.msgraph.transport import LOST, MOST_LOST, UNKNOWN, Reply, Transport

AGAIN_AFTER = 0.2
"""Seconds until a member is sent again that got no response."""
Waits = dict[Hashable, list[float]]


class Outcomes:
    """Gives members their results.

    Attributes:
        answered: when the last response to a batch arrived, on the monotonic clock.
        finished: how many members have a result.
        succeeded: how many responses were no refusals.
        denied: the members that were refused with 403.

    Args:
        members: all members by position.
        limit: the most rows of a collection.
    """

    def __init__(self, transport: Transport, members: Sequence[Member], limit: int | None) -> None:
        self.answered = 0.0
        self.finished = self.succeeded = 0
        self.denied = Denied(transport, members)
        self._transport = transport
        self._members = members
        self._limit = limit

    def of_answers(
        self, groups: list[Group], found: Mapping[int, Answer], now: float, token: SecretStr
    ) -> None:
        """Take the responses to the members of a batch; ``token``: the text of its token."""
        self.answered = now
        waits: Waits = defaultdict(list)
        counts: dict[Hashable, int] = defaultdict(int)
        for member in _all(groups):
            answer = found.get(member.at)
            if answer is None:
                self._no_answer(member, now)
                continue
            key = self._transport.key(member.request)
            counts[key] += answer.status != FAILED_DEPENDENCY
            self._take(member, answer, now, waits[key])
            if member.failed:
                self.denied.add(member, answer, token)
        for key, seconds in waits.items():
            # If most members were answered, the others are refused for themselves, for example
            # because of the limit of one mailbox. Then the service is not paused.
            if seconds and 2 * len(seconds) >= counts[key]:
                self._transport.pauses.add(key, min(seconds))

    def of_refusal(self, groups: list[Group], reply: Reply, now: float) -> None:
        """Take a response that refuses a whole batch."""
        self.answered = now
        waits: Waits = defaultdict(list)
        answer = Answer(reply.status, reply.headers, _json_or_bytes(reply))
        for member in _all(groups):
            self._take(member, answer, now, waits[self._transport.key(member.request)])
        for key, seconds in waits.items():
            if seconds:
                self._transport.pauses.add(key, min(seconds))

    def of_nothing(self, groups: list[Group], error: GraphError, began: float, now: float) -> None:
        """Take that there is no response to a batch, or none that can be read.

        Raises the error if no batch has had a response since the first attempt.
        """
        again = error.code in LOST or error.code == "not_json"
        unsent = _never_sent(error)
        members = [member for member in _all(groups) if member.item is None]
        for member in members:
            if member.request.method not in SAFE and not unsent:
                member.fail(_copy(error, UNKNOWN))
                continue
            member.first_lost = member.first_lost if member.lost else began
            member.lost += 1
            member.due = now + AGAIN_AFTER * member.lost
        ended = [
            member
            for member in members
            if member.item is None and (not again or member.lost >= MOST_LOST)
        ]
        if any(self.answered < member.first_lost for member in ended):
            raise error
        for member in ended:
            member.fail(_copy(error))

    def give_up(self, groups: list[Group]) -> None:
        """Take that the service refuses requests for too long."""
        for member in _all(groups):
            request = member.request
            error = GraphError(
                f"{request.method} {plain(request.path)[:200]} was not sent: the service asks to"
                f" wait, and nbauth waits {MOST_SECONDS:.0f} s at most.",
                code="throttled",
                hint="Try again later.",
                status=429,
            )
            member.fail(error)

    def rest(self, groups: list[Group]) -> list[Group]:
        """What has to be sent, again or in addition, in the place of groups."""
        left: list[Group] = []
        for group in groups:
            unfinished: list[Member] = []
            for member in group.members:
                needs = [self._members[need] for need in member.needs]
                if member.item is None and any(need.failed for need in needs):
                    member.fail(_dependency(member))
                if member.item is not None:
                    self.finished += 1
                    continue
                member.needs = tuple(need.at for need in needs if not need.satisfied)
                unfinished.append(member)
            left += grouped(unfinished)
        return left

    def _take(self, member: Member, answer: Answer, now: float, waits: list[float]) -> None:
        status, method = answer.status, member.request.method
        if 200 <= status < 300:
            self.succeeded += 1
            member.succeed(status, answer.body, self._transport.root, self._limit)
            return
        if status == FAILED_DEPENDENCY and any(map(self._is_open, member.needs)):
            return
        if 300 <= status < 400:
            member.fail(redirected(method, member.request.path, status, answer.headers))
            return
        why = UNKNOWN.strip() if status >= 500 and method not in SAFE else ""
        if is_refusal(method, status):
            seconds = self._refused(member, answer.headers, now)
            if isinstance(seconds, float):
                waits.append(seconds)
                return
            why = seconds
        member.fail(self._refusal(member, answer, why), answer.body)

    def _is_open(self, at: int) -> bool:
        member = self._members[at]
        return member.item is None and not member.satisfied

    def _refused(self, member: Member, headers: Mapping[str, str], now: float) -> float | str:
        member.refusals = member.refusals or Attempts()
        seconds = member.refusals.refused(headers)
        if not isinstance(seconds, str):
            member.refusals.left -= seconds
            member.due = now + seconds
        return seconds

    def _no_answer(self, member: Member, now: float) -> None:
        """A member is missing in a response."""
        request = member.request
        safe = request.method in SAFE
        member.lost += 1
        member.due = now + AGAIN_AFTER * member.lost
        if safe and member.lost < MOST_LOST:
            return
        error = GraphError(
            f"Graph's response to a batch has no response to {request.method}"
            f" {plain(request.path)[:200]}.",
            code="no_response",
            hint="Try again. It is a fault of Graph, or of a gateway.",
        )
        member.fail(error if safe else _copy(error, UNKNOWN))

    def _refusal(self, member: Member, answer: Answer, why: str) -> GraphError:
        body = answer.body
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        reply = Reply(member.request, answer.status, answer.headers, content)
        return self._transport.refusal(reply, why)


def _all(groups: Iterable[Group]) -> Iterable[Member]:
    return (member for group in groups for member in group.members)


def _json_or_bytes(reply: Reply) -> Any:
    try:
        return reply.json()
    except GraphError:
        return reply.body


def _copy(error: GraphError, more: str = "") -> GraphError:
    """The error for one member: its request, not the batch, says whether a repeat is safe."""
    text = str(error).removesuffix(UNKNOWN) + more
    hint = "Find out whether it was done before you send it again." if more else error.hint
    return GraphError(text, code=error.code, hint=hint, status=error.status)


def _dependency(member: Member) -> GraphError:
    request = member.request
    return GraphError(
        f"{request.method} {plain(request.path)[:200]} was not sent: a request that it depends on"
        " has failed.",
        code="FailedDependency",
        hint="See the error of that request.",
        status=FAILED_DEPENDENCY,
    )


def _never_sent(error: GraphError) -> bool:
    """Whether there was no connection at all."""
    cause: BaseException | None = error.__cause__
    inner = cause.args[0] if cause is not None and cause.args else None
    reason = getattr(inner, "reason", inner)
    return isinstance(reason, urllib3.NewConnectionError | urllib3.ConnectTimeoutError)

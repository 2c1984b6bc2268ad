"""Members of a batch that lack a permission: one consent for all, then they are sent again."""

from __future__ import annotations

import json
from collections.abc import Sequence

from nbauth.core.secret import SecretStr
from nbauth.kernel.calls.missing import RefusedPart
from nbauth.msgraph.batch.envelopes import Answer
from nbauth.msgraph.batch.members import Member
from nbauth.msgraph.transport import Transport

FAILED_DEPENDENCY = 424


class Denied:
    """The members that were refused.

    Args:
        members: all members by position.
    """

    def __init__(self, transport: Transport, members: Sequence[Member]) -> None:
        self._transport = transport
        self._members = members
        self._refused: list[tuple[Member, RefusedPart]] = []
        self._token = SecretStr("")
        self._done = False

    def add(self, member: Member, answer: Answer, token: SecretStr) -> None:
        """Note a member that has failed. ``token``: the text of the token of its batch."""
        if answer.status != 403 or self._done:
            return
        self._token = self._token or token
        request = member.request
        content = json.dumps(answer.body).encode() if isinstance(answer.body, dict) else b""
        part = RefusedPart(request.method, request.url, answer.status, content)
        self._refused.append((member, part))

    def again(self) -> list[Member]:
        """Ask for the consent, if there may be one; return the members that can be sent again.

        The errors of the others say why not.
        """
        if self._done or not self._refused:
            return []
        self._done = True
        found = self._transport.session.own_auth.widen(
            [part for _, part in self._refused], self._token
        )
        for (member, _), why in zip(self._refused, found, strict=True):
            if why is None:
                member.item = None
            elif why and member.item is not None and member.item.error is not None:
                member.item.error.hint = why
        return self._reopened()

    def _reopened(self) -> list[Member]:
        """Those members, and the ones that were not sent because they depend on them."""
        left: dict[int, Member] = {}
        for member in self._members:
            depends = any(need in left for need in member.needs)
            if member.item is not None and not (
                depends and member.item.status == FAILED_DEPENDENCY
            ):
                continue
            needs = [self._members[need] for need in member.needs]
            member.needs = tuple(need.at for need in needs if not need.satisfied)
            member.item = member.refusals = None
            member.lost, member.due = 0, 0.0
            left[member.at] = member
        return list(left.values())

"""Invented messages: some four months of one mailbox, the same ones at every start."""

from __future__ import annotations

import random
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from .contents import DIRECTORY, NAMESPACE, Person

FIRST_DAY = datetime(2024, 12, 2, tzinfo=UTC)
DAYS = 120  # to 31 March 2025
COUNT = 420
_REGULARS = 6  # people who write often
_SUBJECTS = (
    "{team}: figures for week {week}", "Minutes of the {team} meeting", "Question about run {run}",
    "Review of the {team} report", "Sensor {run} is offline", "Lunch on day {week}?",
)  # fmt: skip
_CATEGORIES = ((), (), (), ("Blue category",), ("Red category",), ("Blue category", "Follow up"))


def messages_of(person: Person, count: int = COUNT) -> list[dict[str, Any]]:
    """The `message` resources of one mailbox, newest first."""
    dice = random.Random(person.oid)
    others = [other for other in DIRECTORY if other is not person]
    regulars = dice.sample(others, _REGULARS)
    moments = sorted((_moment(dice) for _ in range(count)), reverse=True)
    rows = []
    for index, moment in enumerate(moments):
        often = dice.random() < 0.7
        # The first of the regulars write more than the last.
        sender = (
            regulars[min(int(dice.expovariate(0.6)), _REGULARS - 1)]
            if often
            else dice.choice(others)
        )
        subject = dice.choice(_SUBJECTS).format(
            team=sender.department, week=moment.isocalendar().week, run=dice.randrange(100, 999)
        )
        rows.append(
            message(
                str(uuid.uuid5(NAMESPACE, f"{person.oid}/{index}")),
                sender,
                person,
                subject,
                moment,
                isRead=dice.random() < 0.8,
                hasAttachments=subject.endswith("report") or dice.random() < 0.2,
                importance=dice.choices(("normal", "high", "low"), (85, 10, 5))[0],
                categories=list(dice.choice(_CATEGORIES)),
            )
        )
    return rows


def message(
    key: str,
    sender: Person,
    receiver: Person,
    subject: str,
    moment: datetime,
    text: str = "",
    **properties: Any,
) -> dict[str, Any]:
    """One `message` resource."""
    text = text or f"Hello {receiver.given_name}, this is about: {subject}. Best, {sender.name}"
    received = moment.strftime("%Y-%m-%dT%H:%M:%SZ")
    address = {"emailAddress": {"name": sender.name, "address": sender.username}}
    to = {"emailAddress": {"name": receiver.name, "address": receiver.username}}
    return {
        "@odata.etag": f'W/"{key[:8]}"',
        "id": key,
        "createdDateTime": received,
        "receivedDateTime": received,
        "sentDateTime": (moment - timedelta(seconds=3)).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "subject": subject,
        "bodyPreview": text[:255],
        "body": {"contentType": "text", "content": text},
        "importance": "normal",
        "isRead": False,
        "isDraft": False,
        "hasAttachments": False,
        "categories": [],
        "conversationId": str(uuid.uuid5(NAMESPACE, subject)),
        "from": address,
        "sender": address,
        "toRecipients": [to],
        "ccRecipients": [],
        **properties,
    }


def _moment(dice: random.Random) -> datetime:
    """Most mail comes on working days, between eight and six; more of it later in the months."""
    while True:
        day = int(DAYS * dice.triangular(0, 1, 0.85))
        moment = FIRST_DAY + timedelta(days=min(day, DAYS - 1))
        if moment.weekday() < 5 or dice.random() < 0.12:
            return moment + timedelta(seconds=int(dice.triangular(8, 18, 10) * 3600))

"""Mail of the local Graph: `me/messages`, one message, `me/sendMail`."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

from .contents import DIRECTORY, Person
from .graph_answers import Answer, Call, Refused, Row
from .graph_query import Kind, entity, filter_of, order_of, ordered, page
from .mailbox import message, messages_of

_PROPERTIES = tuple(messages_of(DIRECTORY[0], 1)[0])
MESSAGES = Kind(
    name="messages",
    type_name="message",
    properties=frozenset(_PROPERTIES),
    default=_PROPERTIES,
    page=10,
    largest=1000,
    size_error=(
        "ErrorInvalidUrlQuery",
        "The limit of '1000' for Top query has been exceeded. The value is '{}'.",
    ),
    skips=True,
)
_LARGEST_MAILBOX = 1000
_BY_NAME = {person.username: person for person in DIRECTORY}


class Mail:
    """The mailboxes, each made on first use."""

    def __init__(self) -> None:
        self._boxes: dict[str, list[Row]] = {}

    def messages(self, call: Call) -> Answer:
        return page(call, MESSAGES, _found(call, self._box(call.token.grant.person)), counts=True)

    def one(self, call: Call) -> Answer:
        row = self._row(call)
        if call.method == "PATCH":
            changes = call.json()
            unknown = set(changes) - {"isRead", "categories", "importance"}
            if unknown:
                raise Refused(400, "ErrorInvalidPropertySet", f"Not writable: {sorted(unknown)}.")
            row.update(changes)
        return entity(call, MESSAGES, row)

    def send(self, call: Call) -> Answer:
        """Accept the message; people of the directory find it in their mailboxes."""
        given = call.json().get("message")
        if not isinstance(given, dict):
            raise Refused(400, "ErrorInvalidRequest", "The message is missing.")
        body = given.get("body")
        text = str(body.get("content", "")) if isinstance(body, dict) else ""
        addresses = _addresses(given)
        if not addresses:
            raise Refused(400, "ErrorInvalidRecipients", "At least one recipient isn't valid.")
        sender, now = call.token.grant.person, datetime.now(UTC)
        for address in addresses:
            person = _BY_NAME.get(address.lower())
            if person is not None:
                row = message(
                    str(uuid.uuid4()), sender, person, str(given.get("subject", "")), now, text
                )
                box = self._box(person)
                box.insert(0, row)
                del box[_LARGEST_MAILBOX:]
        return Answer(202)

    def _box(self, person: Person) -> list[Row]:
        if person.oid not in self._boxes:
            self._boxes[person.oid] = messages_of(person)
        return self._boxes[person.oid]

    def _row(self, call: Call) -> Row:
        for row in self._box(call.token.grant.person):
            if row["id"] == call.segments[-1]:
                return row
        raise Refused(404, "ErrorItemNotFound", "The specified object was not found in the store.")


def _addresses(given: Row) -> list[str]:
    try:
        return [
            str(recipient["emailAddress"]["address"])
            for recipient in [*given.get("toRecipients", ()), *given.get("ccRecipients", ())]
        ]
    except (KeyError, TypeError):
        return []


def _found(call: Call, rows: list[Row]) -> list[Row]:
    wanted, keys = filter_of(call, MESSAGES), order_of(call, MESSAGES)
    search = call.query.get("$search")
    if search is not None:
        for name in ("$filter", "$orderby"):
            if name in call.query:
                code = f"SearchWith{name[1:].title()}".replace("Orderby", "OrderBy")
                text = f"The query parameter '{name}' is not supported with '$search'."
                raise Refused(400, code, text)
        words = search.strip('"').casefold().split()
        return [row for row in rows if all(word in _text(row) for word in words)]
    if wanted is not None:
        paths = tuple(path for path, _ in keys)
        # Outlook sorts a filtered list only by the properties that the filter begins with.
        if paths != wanted.properties[: len(paths)]:
            text = "The restriction or sort order is too complex for this operation."
            raise Refused(400, "InefficientFilter", text)
        rows = [row for row in rows if wanted.matches(row)]
    return ordered(rows, keys)


def _text(row: Row) -> str:
    sender = row["from"]["emailAddress"]
    parts = (row["subject"], row["body"]["content"], sender["name"], sender["address"])
    return " ".join(parts).casefold()

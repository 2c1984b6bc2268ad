"""An invented directory and mailboxes: who can sign in, their colleagues and messages."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

DOMAIN = "demo.example"
_NAMESPACE = uuid.UUID("6e626175-7468-4465-8d6f-000000000001")
_GIVEN = (
    "Amara", "Bela", "Chidi", "Dana", "Emre", "Farah", "Goran", "Hana",
    "Ines", "Jonas", "Kofi", "Lena", "Mateo", "Nia", "Olek", "Priya",
)  # fmt: skip
_FAMILY = (
    "Abara", "Berg", "Castro", "Diallo", "Egede", "Fuchs", "Gupta", "Haas",
    "Ito", "Jansen", "Kaya", "Lopez", "Mori", "Novak", "Okoye", "Park",
)  # fmt: skip
_TEAMS = ("Research", "Finance", "Operations", "Field studies", "Support")


@dataclass(frozen=True)
class Person:
    """One directory entry; `oid` is the object id that tokens and Graph share."""

    oid: str
    username: str
    given_name: str
    surname: str
    department: str

    @property
    def name(self) -> str:
        return f"{self.given_name} {self.surname}"

    def as_graph(self) -> dict[str, Any]:
        """The `user` resource of Microsoft Graph v1.0, with some of its properties."""
        return {
            "id": self.oid,
            "displayName": self.name,
            "givenName": self.given_name,
            "surname": self.surname,
            "userPrincipalName": self.username,
            "mail": self.username,
            "department": self.department,
            "jobTitle": "Data scientist",
            "preferredLanguage": "en",
            "businessPhones": [],
        }


def _person(given_name: str, surname: str, index: int) -> Person:
    username = f"{given_name}.{surname}@{DOMAIN}".lower()
    oid = str(uuid.uuid5(_NAMESPACE, username))
    return Person(oid, username, given_name, surname, _TEAMS[index % len(_TEAMS)])


# Two people can sign in, so that switching accounts can be tried.
ADA = _person("Ada", "Demo", 0)
GRACE = _person("Grace", "Demo", 1)
SIGN_IN_PEOPLE: Mapping[str, Person] = {person.username: person for person in (ADA, GRACE)}

DIRECTORY: tuple[Person, ...] = (
    ADA,
    GRACE,
    *(
        _person(given, family, index)
        for index, (given, family) in enumerate(
            [(given, family) for family in _FAMILY for given in _GIVEN][:248]
        )
    ),
)


def messages_of(person: Person, count: int = 64) -> list[dict[str, Any]]:
    """The `message` resources of one mailbox, newest first."""
    newest = datetime(2025, 3, 31, 17, 0, tzinfo=UTC)
    rows = []
    for index in range(count):
        sender = DIRECTORY[2 + (index * 7) % (len(DIRECTORY) - 2)]
        received = (newest - timedelta(hours=5 * index)).strftime("%Y-%m-%dT%H:%M:%SZ")
        rows.append(
            {
                "id": str(uuid.uuid5(_NAMESPACE, f"{person.oid}/{index}")),
                "subject": f"{sender.department}: figures for week {52 - index % 52}",
                "bodyPreview": f"Hello {person.given_name}, the figures are attached.",
                "receivedDateTime": received,
                "isRead": index % 3 != 0,
                "importance": "normal",
                "hasAttachments": True,
                "from": {"emailAddress": {"name": sender.name, "address": sender.username}},
            }
        )
    return rows

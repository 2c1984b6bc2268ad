"""An invented directory: the people who can sign in, and their colleagues."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

DOMAIN = "demo.example"
NAMESPACE = uuid.UUID("6e626175-7468-4465-8d6f-000000000001")
_GIVEN = (
    "Amara", "Bela", "Chidi", "Dana", "Emre", "Farah", "Goran", "Hana",
    "Ines", "Jonas", "Kofi", "Lena", "Mateo", "Nia", "Olek", "Priya",
)  # fmt: skip
_FAMILY = (
    "Abara", "Berg", "Castro", "Diallo", "Egede", "Fuchs", "Gupta", "Haas",
    "Ito", "Jansen", "Kaya", "Lopez", "Mori", "Novak", "Okoye", "Park",
)  # fmt: skip
_TEAMS = ("Research", "Finance", "Operations", "Field studies", "Support")
_JOBS = {
    "Research": ("Data scientist", "Statistician", "Research engineer"),
    "Finance": ("Controller", "Financial analyst", "Accountant"),
    "Operations": ("Plant manager", "Logistics planner", "Technician"),
    "Field studies": ("Field surveyor", "Hydrologist", "Data scientist"),
    "Support": ("Support engineer", "Trainer", "Team assistant"),
}
_OFFICES = (
    ("Lagos", "Nigeria", "NG"), ("Utrecht", "Netherlands", "NL"), ("Kyoto", "Japan", "JP"),
    ("Porto", "Portugal", "PT"), ("Utrecht", "Netherlands", "NL"), ("Pune", "India", "IN"),
)  # fmt: skip
_FIRST_DAY = datetime(2016, 1, 4, 8, 30, tzinfo=UTC)


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
        number = uuid.UUID(self.oid).int  # a fixed source of variety
        city, country, usage_location = _OFFICES[number % len(_OFFICES)]
        jobs = _JOBS[self.department]
        joined = _FIRST_DAY + timedelta(days=number // 7 % 3200, minutes=number // 11 % 540)
        return {
            "id": self.oid,
            "displayName": self.name,
            "givenName": self.given_name,
            "surname": self.surname,
            "userPrincipalName": self.username,
            "mail": self.username,
            "jobTitle": jobs[number // 13 % len(jobs)],
            "department": self.department,
            "city": city,
            "country": country,
            "usageLocation": usage_location,
            "officeLocation": f"{city} {number // 17 % 4 + 1}.{number // 19 % 40 + 1:02}",
            "companyName": "Demo Institute",
            "employeeId": f"{number // 23 % 90000 + 10000}",
            "employeeType": "Employee" if number // 29 % 8 else "Contractor",
            "accountEnabled": number // 31 % 12 != 0 or self.surname == "Demo",
            "userType": "Member",
            "mailNickname": self.username.partition("@")[0],
            "mobilePhone": None,
            "preferredLanguage": "en",
            "businessPhones": [],
            "createdDateTime": joined.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }


def _person(given_name: str, surname: str, index: int) -> Person:
    username = f"{given_name}.{surname}@{DOMAIN}".lower()
    oid = str(uuid.uuid5(NAMESPACE, username))
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

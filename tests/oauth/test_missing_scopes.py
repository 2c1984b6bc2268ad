"""Which scopes a response names (RFC 6750 §3.1, and the texts of Microsoft's APIs)."""

from __future__ import annotations

import json
import tomllib
from importlib import resources
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbauth.oauth.missing_scopes import MOST_BODY, Named, named_in, says_insufficient

INTUNE = (
    '{\r\n  "_version": 3,\r\n  "Message": "Application is not authorized to perform this'
    " operation. Application must have one of the following scopes:"
    " DeviceManagementManagedDevices.Read.All, DeviceManagementManagedDevices.ReadWrite.All"
    " - Operation ID (for customer support):"
    ' 00000000-0000-0000-0000-000000000000 - Activity ID: 1"\r\n}'
)
PIM = (
    '{"errorCode":"PermissionScopeNotGranted","message":"Authorization failed due to missing'
    " permission scope RoleManagementPolicy.Read.AzureADGroup,"
    'RoleManagementPolicy.ReadWrite.AzureADGroup.","instanceAnnotations":[]}'
)
TEXTS = {
    "Missing scope permissions on the request. API requires one of 'Chat.ReadBasic, Chat.Read,"
    " Chat.ReadWrite'. Scopes on the request 'User.Read'": Named(
        ("Chat.ReadBasic", "Chat.Read", "Chat.ReadWrite"), True
    ),
    "Missing role permissions on the request. API requires one of 'Team.ReadBasic.All'. Roles on"
    " the request ''.": Named(("Team.ReadBasic.All",), True, True),
    INTUNE: Named(
        ("DeviceManagementManagedDevices.Read.All", "DeviceManagementManagedDevices.ReadWrite.All"),
        True,
    ),
    "Application is not authorized to perform this operation. Application must have one of the"
    " following scopes: DeviceManagementConfiguration.Read.All": Named(
        ("DeviceManagementConfiguration.Read.All",), True
    ),
    PIM: Named(
        ("RoleManagementPolicy.Read.AzureADGroup", "RoleManagementPolicy.ReadWrite.AzureADGroup"),
        True,
    ),
    "Missing application scopes. API required scopes: SecurityAlert.Read.All,"
    "SecurityAlert.ReadWrite.All, application scopes: User.Read.": Named(
        ("SecurityAlert.Read.All", "SecurityAlert.ReadWrite.All"), True
    ),
    "Missing application roles. API required roles: SecurityIncident.Read.All, application roles:"
    " .": Named(("SecurityIncident.Read.All",), True, True),
    "The OAuth token provided does not have the necessary scopes to complete the request. Please"
    " make sure you are including one or more of the following scopes: Notes.ReadWrite.All,"
    "Notes.Read.All (you provided these scopes: Group.Read.All)": Named(
        ("Notes.ReadWrite.All", "Notes.Read.All"), True
    ),
    "Calling principal does not have required MSGraph permissions AuditLog.Read.All": Named(
        ("AuditLog.Read.All",), True
    ),
    " Required scopes = [Sites.Read.All, Mail.Read, Chat.Read].": Named(
        ("Sites.Read.All", "Mail.Read", "Chat.Read")
    ),
}


def body(message: object) -> bytes:
    return json.dumps({"error": {"code": "Forbidden", "message": message}}).encode()


@pytest.mark.parametrize(("text", "named"), TEXTS.items())
def test_the_texts_of_microsofts_apis(text: str, named: Named) -> None:
    assert named_in("", body(text), microsoft=True) == named
    assert named_in("", body(text), microsoft=False) is None


def test_each_known_text_has_an_example_and_a_source() -> None:
    data = resources.files("nbauth.oauth").joinpath("missing_scopes.toml").read_text("utf-8")
    known = tomllib.loads(data)["text"]
    assert len(known) == len({one["pattern"] for one in known})
    assert all(one["source"].startswith("https://") for one in known)
    assert {one["need"] for one in known} <= {"one", "all"}
    assert {one["of"] for one in known} <= {"person", "application"}
    import re

    for one in known:
        assert [text for text in TEXTS if re.search(one["pattern"], text)], one["pattern"]


NOTHING = [
    "The client 'x' with object id 'y' does not have authorization to perform action"
    " 'Microsoft.Authorization/roleAssignments/read' over scope '/subscriptions/1'",
    "Insufficient privileges to complete the operation.",
    "Access is denied. Check credentials and try again.",
    "You cannot perform the requested operation, required scopes are missing in the token.",
    "Missing scope permissions on the request. API requires one of ''.",
    "Missing scope permissions on the request. API requires one of '"
    + ", ".join(map(str, range(61)))
    + "'",
    "Missing scope permissions on the request. API requires one of 'Mail.Read\"'.",
    "Missing scope permissions on the request. API requires one of '\u041cail.Read'.",
    "",
]


@pytest.mark.parametrize("text", NOTHING)
def test_other_texts_name_nothing(text: str) -> None:
    assert named_in("", body(text), microsoft=True) is None


@pytest.mark.parametrize(
    ("header", "scopes"),
    [
        ('Bearer error="insufficient_scope", scope="read write"', ("read", "write")),
        ('bearer scope="a", realm="x", error=insufficient_scope', ("a",)),
        ('DPoP error="use", Bearer error="insufficient_scope", scope="a"', ("a",)),
        ('Bearer realm="x", Bearer error="insufficient_scope", scope="a"', ("a",)),
        ('Bearer error="insufficient_scope", scope="https://api.example/x:y"',
         ("https://api.example/x:y",)),
        ('Bearer error="insufficient_scope"', None),
        ('Bearer error="insufficient_scope", scope=""', None),
        ('Bearer error="insufficient_scope", scope="a", scope="b"', None),
        ('Bearer error="invalid_token", scope="a"', None),
        ('Bearer scope="a"', None),
        ('Basic error="insufficient_scope", scope="a"', None),
        ('PoP error="insufficient_scope", scope="a"', None),
        ("", None),
    ],
)  # fmt: skip
def test_the_header(header: str, scopes: tuple[str, ...] | None) -> None:
    named = named_in(header, None, microsoft=False)
    assert named == (None if scopes is None else Named(scopes))
    assert scopes is None or says_insufficient(header)


@pytest.mark.parametrize(
    ("answer", "scopes"),
    [
        ({"error": "insufficient_scope", "scope": "api read_api"}, ("api", "read_api")),
        ({"error": "insufficient_scope", "scope": ["api"]}, None),
        ({"error": "insufficient_scope"}, None),
        ({"error": "invalid_token", "scope": "api"}, None),
        ([{"error": "insufficient_scope", "scope": "api"}], None),
        ("insufficient_scope", None),
        (None, None),
    ],
)
def test_the_same_parameters_in_a_body(answer: Any, scopes: tuple[str, ...] | None) -> None:
    """As GitLab sends them."""
    named = named_in("", json.dumps(answer).encode(), microsoft=False)
    assert named == (None if scopes is None else Named(scopes))


@pytest.mark.parametrize(
    "data",
    [None, b"", b"{", b"\xff", b"[" * 9_999, b'{"error": 1e999}', b'{"error": NaN}', b"1" * 5_000],
)
def test_odd_bodies(data: bytes | None) -> None:
    assert named_in("", data, microsoft=True) is None


def test_a_long_body_is_not_read() -> None:
    data = json.dumps({"error": "insufficient_scope", "scope": "api"}).encode()
    assert named_in("", data.ljust(MOST_BODY), microsoft=False) is not None
    assert named_in("", data.ljust(MOST_BODY + 1), microsoft=False) is None


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["error", "message", "scope", "x"]), inner, max_size=3)
    ),
)


@given(header=st.text(max_size=60), answer=_JSON)
def test_no_response_raises(header: str, answer: Any) -> None:
    data = json.dumps(answer).encode()
    named_in(header, data, microsoft=True)
    named_in(f'Bearer error="insufficient_scope", scope="{header}"', data, microsoft=False)

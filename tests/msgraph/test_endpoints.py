"""What is documented of the paths of Graph, and how a path finds it."""

from __future__ import annotations

import re
import subprocess
import sys
import time
import tomllib
from importlib import resources
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nbauth.msgraph.endpoints.endpoints import (
    UNKNOWN,
    Needs,
    common_paths,
    known,
    largest_page,
    needs_eventual,
    service_of,
)
from nbauth.msgraph.endpoints.segments import segments_of

TEXT = resources.files("nbauth.msgraph.endpoints").joinpath("endpoints.toml").read_text("utf-8")
DATA = tomllib.loads(TEXT)
ENTRIES = DATA["endpoint"]
KEYS = {"paths", "method", "largest_page", "largest_page_with", "scopes", "own_scopes", "roles"}
NAME = re.compile(r"[A-Z][A-Za-z]*(?:-[A-Za-z]+)?(\.[A-Z][A-Za-z]*)+")
READ = common_paths()[len(DATA["common"].split()) :]
GUID = "8a7bb5c1-6a6f-4f5d-9f43-0f2d9e2c7f11"


def path_of(method: str, path: str) -> str | None:
    found = known(method, path)
    return None if found is None else found.path


def test_each_entry_names_a_document_of_microsoft_and_only_known_keys() -> None:
    for entry in ENTRIES:
        assert entry.keys() <= KEYS | {"source"}
        assert re.fullmatch(r"https://learn\.microsoft\.com/graph/api/[a-z0-9_-]+", entry["source"])


def test_permissions_have_the_form_of_permissions_and_are_named_once() -> None:
    for entry in ENTRIES:
        for key in ("scopes", "own_scopes", "roles"):
            names = entry.get(key, "").split()
            assert len(names) == len(set(names))
            assert [name for name in names if not NAME.fullmatch(name)] == []
            assert [name for name in names if name.endswith((".Group", ".Chat"))] == []


def test_reading_comes_before_writing_of_the_same_kind() -> None:
    for entry in ENTRIES:
        for key in ("scopes", "roles"):
            names = entry.get(key, "").split()
            for name in names:
                read = name.replace("ReadWrite", "Read")
                assert read not in names or names.index(read) <= names.index(name), entry["source"]


def test_no_path_is_described_twice() -> None:
    seen = [
        (entry.get("method", "GET"), path.lower())
        for entry in ENTRIES
        for path in entry["paths"].split()
    ]
    assert len(seen) == len(set(seen))


def test_each_documented_path_finds_itself() -> None:
    for pattern in READ:
        found = known("GET", pattern.replace("{id}", GUID))
        assert found is not None
        assert found.path == pattern
        assert found.service == service_of(pattern) != UNKNOWN


def test_there_are_about_as_many_as_notebooks_use() -> None:
    assert 100 < len(ENTRIES) < 200


@pytest.mark.parametrize(
    ("method", "path", "pattern", "page"),
    [
        ("GET", "users", "users", 999),
        ("get", "/Users/?$select=id", "users", 999),
        ("GET", f"users/{GUID}", "users/{id}", None),
        ("GET", "me", "me", None),
        ("GET", "me/messages", "me/messages", 1000),
        ("GET", "users/ann@contoso.com/messages", "users/{id}/messages", 1000),
        ("GET", "ME/MAILFOLDERS/inbox/MESSAGES", "me/mailFolders/{id}/messages", 1000),
        ("GET", "groups/1/members", "groups/{id}/members", 999),
        ("GET", "groups/1/members/microsoft.graph.user", "groups/{id}/members", 999),
        ("GET", "groups/1/members/microsoft.graph.user/$count", "groups/{id}/members", None),
        ("GET", "users/$count", "users", None),
        ("GET", "users/delta", "users/delta", None),
        ("GET", "users/delta()", "users/delta", None),
        ("GET", "users/microsoft.graph.delta()", "users/delta", None),
        ("GET", "applications/delta()", "applications/{id}", None),
        ("GET", "sites/root/lists/x/items/delta", "sites/{id}/lists/{id}/items/delta", None),
        ("GET", "contacts/$count", "contacts", None),
        ("GET", "me/drive/root/children", "me/drive/root/children", None),
        ("GET", "me/drive/root:/a/b:/content", "me/drive/root/content", None),
        ("PUT", "me/drive/root:/a/b.csv:/content", "me/drive/root/content", None),
        ("PUT", "drives/1/items/2:/f.txt:/content", "drives/{id}/items/{id}/content", None),
        ("GET", "me/drive/root:/a/children", "me/drive/root", None),
        ("GET", "me/drive/root:/a:/children", "me/drive/root/children", None),
        ("GET", "me/drive/root/search(q='a/b')", "me/drive/root/search", None),
        ("GET", "me/drive/root/search(q='O''Brien')", "me/drive/root/search", None),
        (
            "POST",
            "groups/1/drive/root:/x (1)/it's.bin:/createUploadSession",
            "groups/{id}/drive/root/createUploadSession",
            None,
        ),
        ("GET", "sites/contoso.sharepoint.com:/sites/a:/lists", "sites/{id}/lists", None),
        ("GET", "sites/contoso.sharepoint.com,1,2/lists", "sites/{id}/lists", None),
        ("GET", "users('$ann@contoso.com')/messages", "users/{id}/messages", 1000),
        ("GET", "users('a/b')/messages", "users/{id}/messages", 1000),
        ("GET", "users/O'Brien@contoso.com/messages", "users/{id}/messages", 1000),
        (
            "GET",
            "reports/getOffice365ActiveUserDetail(period='D7')",
            "reports/getOffice365ActiveUserDetail",
            None,
        ),
        (
            "GET",
            "reports/getOffice365ActiveUserDetail(date=2026-01-02,x='a,b')",
            "reports/getOffice365ActiveUserDetail",
            None,
        ),
        (
            "GET",
            "teams/1/channels/19:4a95@thread.tacv2/messages",
            "teams/{id}/channels/{id}/messages",
            50,
        ),
        ("GET", "places/microsoft.graph.room", "places", None),
        ("POST", "me/sendMail", "me/sendMail", None),
        ("GET", "auditLogs/signIns", "auditLogs/signIns", 1000),
    ],
)
def test_paths(method: str, path: str, pattern: str, page: int | None) -> None:
    found = known(method, path)
    assert found is not None
    assert (found.path, found.largest_page) == (pattern, page)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""),
        ("GET", "/"),
        ("POST", "$batch"),
        ("GET", "$metadata"),
        ("GET", "$count"),
        ("DELETE", "users"),
        ("GET", "me/sendMail"),
        ("GET", "me/messages/1/2/3/4"),
        ("GET", "nothing/like/this"),
        ("GET", "me/photo/$value"),
    ],
)
def test_paths_that_are_not_documented(method: str, path: str) -> None:
    assert known(method, path) is None


@pytest.mark.parametrize("name", ["delta", "messages", "me", "root", "members", "users"])
def test_an_id_may_look_like_a_literal(name: str) -> None:
    assert path_of("GET", f"users/{name}/messages") == "users/{id}/messages"
    assert path_of("GET", f"groups/{name}/members") == "groups/{id}/members"
    assert path_of("GET", f"chats/{name}/messages") == "chats/{id}/messages"


IDS = st.text(st.characters(codec="utf-8"), min_size=1).filter(
    lambda one: not {*one} & {"(", ":"} and not one.startswith("microsoft.graph.")
)


@given(IDS, st.sampled_from(["users/{}/messages", "teams/{}/channels/{}/messages"]))
@example("a/b?c#d%25", "users/{}/messages")
@example("$ann@contoso.com", "users/{}/messages")
def test_any_quoted_id_is_an_id(one: str, form: str) -> None:
    system = {"$count", "$value", "$ref", "$batch", "$metadata"}
    pattern = form.replace("{}", "{id}")
    expected = None if one.lower() in system else pattern
    assert path_of("GET", form.replace("{}", quote(one, safe=""))) == expected


@given(st.text() | st.lists(st.sampled_from([*"/(':=,)%$", "me", "users", "root:"])).map("".join))
def test_no_text_is_too_strange(path: str) -> None:
    service_of(path)
    known("GET", path)
    needs_eventual(path, {"$filter": path, "$orderby": path})
    largest_page(path, {"$select": path})


def test_an_own_scope_is_enough_for_me_alone() -> None:
    me, other = known("GET", "me"), known("GET", "users/1")
    assert me is not None
    assert other is not None
    assert me.scopes[0] == "User.Read"
    assert other.scopes[0] == "User.ReadBasic.All"
    assert "User.Read" not in other.scopes
    assert me.roles == other.roles


def test_the_page_is_smaller_where_a_property_makes_it_smaller() -> None:
    assert largest_page("users", {}) == 999
    assert largest_page("users", {"$select": "id,signInActivity"}) == 500
    assert largest_page("me/messages", {"$select": "signInActivity"}) == 1000
    assert largest_page("me/drive/root/children", {}) is None


@pytest.mark.parametrize(
    ("path", "service"),
    [
        ("users", "directory"),
        ("me", "directory"),
        ("users/1/unheardOf", "directory"),
        ("me/messages/1/unheardOf", "outlook"),
        ("users/1/calendarView", "outlook"),
        ("users/messages", "directory"),
        ("users/workbook", "directory"),
        ("groups/1", "directory"),
        ("groups/1/threads", "outlook"),
        ("groups/1/drive/root/children", "files"),
        ("groups/1/team/channels", "teams"),
        ("sites/root", "files"),
        ("sites/root/onenote/pages", "onenote"),
        ("me/drive/items/1/workbook/tables", "excel"),
        ("me/drive/root:/workbook:/content", "files"),
        ("me/chats/1", "teams"),
        ("auditLogs/signIns", "identity_reports"),
        ("reports/getX(period='D7')", "reports"),
        ("deviceManagement/anything", "intune"),
        ("security/alerts_v2", "security"),
        ("identityProtection/riskyUsers", "identity_protection"),
        ("$batch", UNKNOWN),
        ("", UNKNOWN),
        ("unheardOf/1", UNKNOWN),
    ],
)
def test_services(path: str, service: str) -> None:
    assert service_of(path) == service


BOTH, HEADER, NONE = Needs(True, True), Needs(True, False), Needs(False, False)


@pytest.mark.parametrize(
    ("path", "query", "needs"),
    [
        ("users", {}, NONE),
        ("users", {"$filter": "accountEnabled eq true"}, NONE),
        ("users", {"$filter": "startswith(displayName,'a')"}, NONE),
        ("users", {"$search": '"displayName:a"'}, HEADER),
        ("users", {"search": '"displayName:a"'}, HEADER),
        ("users", {"$count": "true"}, HEADER),
        ("users", {"$count": "false"}, NONE),
        ("users", {"$filter": "accountEnabled ne true"}, BOTH),
        ("users", {"$filter": "accountEnabled ne true", "$count": "true"}, HEADER),
        ("users", {"$filter": "NOT(companyName eq 'x')"}, BOTH),
        ("users", {"$filter": "NOT startsWith(displayName, 'Conf')"}, BOTH),
        ("users", {"$filter": "a eq 1 and not (b eq 2)"}, BOTH),
        ("users", {"$filter": "endsWith(mail,'@outlook.com')"}, BOTH),
        ("users", {"$filter": "proxyAddresses/any (p:endsWith(p, 'x'))"}, BOTH),
        ("users", {"$filter": "assignedLicenses/$count eq 0"}, BOTH),
        ("users", {"$filter": "displayName eq 'this is not (ne) it'"}, NONE),
        ("users", {"$filter": "displayName eq 'O''Brien ne you'"}, NONE),
        ("users", {"$filter": "displayName eq 'endsWith(a,b)'"}, NONE),
        ("users", {"$filter": "displayName eq 'unfinished ne "}, NONE),
        ("users", {"$filter": "displayName eq 'a' and mail ne 'b'"}, BOTH),
        ("users", {"$filter": "x/any(ne:ne eq 'a')"}, NONE),
        ("users", {"$filter": "anne eq 1 and notes eq 2"}, NONE),
        ("users", {"$orderby": "displayName"}, NONE),
        ("users", {"$orderby": "displayName desc, userPrincipalName"}, NONE),
        ("users", {"$orderby": "createdDateTime"}, BOTH),
        ("groups", {"$orderby": "displayName"}, NONE),
        ("groups", {"$orderby": "deletedDateTime"}, BOTH),
        ("applications", {"$orderby": "displayName"}, BOTH),
        ("users", {"$orderby": "displayName", "$filter": "startswith(mail,'a')"}, BOTH),
        ("users/$count", {}, HEADER),
        ("groups/1/members/$count", {}, HEADER),
        ("groups/1/members/microsoft.graph.user/$count", {}, HEADER),
        ("me/transitiveMemberOf/microsoft.graph.group", {}, BOTH),
        ("me/transitiveMemberOf/microsoft.graph.group", {"$count": "true"}, HEADER),
        ("me/memberOf", {}, NONE),
        ("me/memberOf", {"$search": '"displayName:a"'}, HEADER),
        ("users/delta", {"$filter": "id ne 'a'"}, NONE),
        ("users/1", {"$select": "id"}, NONE),
        ("me/messages", {"$search": '"a"', "$filter": "isRead ne true"}, NONE),
        ("me/messages/$count", {}, NONE),
        ("me/contacts", {"$orderby": "displayName", "$filter": "a ne b"}, NONE),
        ("contacts", {"$filter": "mail ne 'b'"}, BOTH),
        ("auditLogs/signIns", {"$filter": "status/errorCode ne 0"}, NONE),
        ("organization", {"$count": "true"}, NONE),
        ("", {"$count": "true"}, NONE),
    ],
)
def test_advanced_queries(path: str, query: dict[str, str], needs: Needs) -> None:
    assert needs_eventual(path, query) == needs


@given(st.text(), st.sampled_from(["users", "groups", "devices/1/memberOf"]))
def test_a_quoted_text_never_makes_a_query_advanced(text: str, path: str) -> None:
    escaped = text.replace("'", "''")
    assert needs_eventual(path, {"$filter": f"displayName eq '{escaped}'"}) == NONE


def test_the_common_paths_come_first_and_once() -> None:
    paths = common_paths()
    assert paths[:4] == ("me", "users", "me/messages", "groups")
    assert len(paths) == len(set(paths))
    assert "users/{id}/messages" in paths
    assert "me/sendMail" not in paths
    assert not any("{user}" in path or "{drive}" in path for path in paths)


def test_the_file_is_read_at_the_first_look_up() -> None:
    code = (
        "import sys, nbauth.msgraph.endpoints.endpoints as e\n"
        "from nbauth.msgraph.endpoints.endpoint_file import entries\n"
        "assert 'tomllib' not in sys.modules\n"
        "assert e.service_of('users/1/messages') == 'outlook'\n"
        "e.needs_eventual('users', {'$top': 5}); assert not entries.cache_info().currsize\n"
        "e.known('GET', 'users'); assert entries.cache_info().currsize"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.timing
def test_a_look_up_is_fast() -> None:
    paths = [f"users/{number}/mailFolders/inbox/messages" for number in range(200)]
    known("GET", paths[0])
    fastest = min(_seconds(paths) for _ in range(10))
    assert fastest / len(paths) < 60e-6


def _seconds(paths: list[str]) -> float:
    begin = time.perf_counter()
    for path in paths:
        known("GET", path)
    return time.perf_counter() - begin


@pytest.mark.parametrize("part", ["/", "('", "(a='/", ":/", "root:/", "%", "')/(", "a/"])
def test_a_long_path_takes_time_in_proportion(part: str) -> None:
    path = "me/drive/" + part * 5_000
    begin = time.process_time()
    segments_of(path)
    known("GET", path)
    needs_eventual("users", {"$filter": path, "$orderby": path})
    assert time.process_time() - begin < 0.5

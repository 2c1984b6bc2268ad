from __future__ import annotations

import pytest

from nbauth.core.errors import ConfigurationError
from nbauth.core.scopes import Scopes, resource_of

GRAPH = "https://graph.microsoft.com"
GUID = "11111111-2222-3333-4444-555555555555"
ARM = "https://management.core.windows.net/"


def microsoft(*words: str, client_id: str = "") -> Scopes:
    return Scopes.parse(words, microsoft=True, client_id=client_id)


def plain(*words: str) -> Scopes:
    return Scopes.parse(words, microsoft=False)


@pytest.mark.parametrize(
    ("written", "asked", "resource"),
    [
        ("User.Read", f"{GRAPH}/User.Read", GRAPH),
        (f"{GRAPH}/User.Read", f"{GRAPH}/User.Read", GRAPH),
        ("api://app/read", "api://app/read", "api://app"),
        (f"api://{GUID}/access_as_user", f"api://{GUID}/access_as_user", f"api://{GUID}"),
        ("https://contoso.com/api/read", "https://contoso.com/api/read", "https://contoso.com/api"),
        (f"{ARM}/user_impersonation", f"{ARM}/user_impersonation", ARM),
        (f"{ARM}/.default", f"{ARM}/.default", ARM),
        (f"{GUID}/read", f"{GUID}/read", GUID),
        (f"{GUID}/.default", f"{GUID}/.default", GUID),
        (".default", f"{GRAPH}/.default", GRAPH),
        (f"{GRAPH}/.default", f"{GRAPH}/.default", GRAPH),
    ],
)
def test_forms_of_a_scope_at_microsoft(written: str, asked: str, resource: str) -> None:
    scopes = microsoft(written)
    assert list(scopes) == [asked]
    assert scopes.resource == resource == resource_of(asked)


def test_short_names_expand_to_the_clouds_graph() -> None:
    scopes = Scopes.parse(["User.Read"], microsoft=True, graph="https://graph.microsoft.us")
    assert str(scopes) == "https://graph.microsoft.us/User.Read"


def test_the_client_id_as_a_scope_expands_to_its_default_scope() -> None:
    assert str(microsoft(GUID, client_id=GUID.upper())) == f"{GUID}/.default"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (["User.Read"], [f"{GRAPH}/User.Read"]),
        (["User.Read"], ["USER.READ"]),
        (["User.Read", "Mail.Read"], ["mail.read", "user.read"]),
        (["User.Read"], ["User.Read", "openid", "offline_access"]),
        (["User.Read Mail.Read"], ["User.Read", "Mail.Read"]),
        (["User.Read,Mail.Read"], ["User.Read", "Mail.Read"]),
        (["User.Read", "User.Read"], ["User.Read"]),
    ],
)
def test_equal_requests_have_the_same_key(one: list[str], other: list[str]) -> None:
    assert microsoft(*one).key == microsoft(*other).key


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (["User.Read"], ["Mail.Read"]),
        (["User.Read"], ["api://app/User.Read"]),
        (["User.Read"], ["User.Read", "Mail.Read"]),
        ([f"{ARM}/user_impersonation"], [f"{ARM}user_impersonation"]),
    ],
)
def test_different_requests_have_different_keys(one: list[str], other: list[str]) -> None:
    assert microsoft(*one).key != microsoft(*other).key


def test_reserved_scopes_are_separate() -> None:
    scopes = microsoft("openid", "User.Read", "OFFLINE_ACCESS")
    assert scopes.resource_scopes == (f"{GRAPH}/User.Read",)
    assert scopes.reserved == ("openid", "offline_access")
    assert list(scopes) == [f"{GRAPH}/User.Read", "openid", "offline_access"]


def test_reserved_scopes_alone_have_a_key_but_no_resource() -> None:
    scopes = microsoft("openid", "profile")
    assert scopes.key == {"openid", "profile"}
    assert scopes.resource is None


def test_two_resources_are_rejected_with_a_hint_how_to_split_the_request() -> None:
    with pytest.raises(ConfigurationError) as caught:
        microsoft("User.Read", "api://app/read", "Mail.Read", "openid")
    assert caught.value.code == "mixed_resources"
    split = f"%token {GRAPH}/User.Read {GRAPH}/Mail.Read; then %token api://app/read"
    assert split in caught.value.hint
    for part in split.split("; then "):
        microsoft(*part.removeprefix("%token ").split())


def test_resources_are_compared_ignoring_case() -> None:
    assert len(microsoft("User.Read", "HTTPS://Graph.Microsoft.com/Mail.Read").resource_scopes) == 2


def test_default_cannot_be_combined_with_another_scope_of_its_resource() -> None:
    with pytest.raises(ConfigurationError) as caught:
        microsoft("User.Read", ".default")
    assert caught.value.code == "mixed_default"


@pytest.mark.parametrize(
    "word",
    [
        'say"so"',
        "back\\slash",
        "null\x00byte",
        "esc\x1b[31m",
        "caf\u00e9",
        "right\u202eleft",
        "del\x7f",
    ],
)
@pytest.mark.parametrize("read", [microsoft, plain])
def test_quotes_and_control_characters_are_invalid_in_a_scope(read: object, word: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read(word)  # type: ignore[operator]
    assert caught.value.code == "invalid_scope"
    assert word not in str(caught.value) or word.isprintable()


@pytest.mark.parametrize(
    "word",
    [
        GUID,
        "https://vault.azure.net/",
        "https://vault.azure.net",
        "api://app/",
        f"api://{GUID}",
    ],
)
def test_a_resource_without_a_permission_is_rejected_with_the_correct_form(word: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        microsoft(word)
    assert caught.value.code == "invalid_scope"
    assert f"{word.rstrip('/')}/.default" in caught.value.hint


@pytest.mark.parametrize("word", [5, None, b"User.Read", ["User.Read"]])
def test_a_scope_must_be_a_string(word: object) -> None:
    with pytest.raises(ConfigurationError, match="A scope must be a string"):
        Scopes.parse([word], microsoft=True)  # type: ignore[list-item]


def test_one_string_may_contain_several_scopes() -> None:
    assert str(Scopes.parse("read write", microsoft=False)) == "read write"


def test_at_other_issuers_a_scope_is_an_opaque_string() -> None:
    scopes = plain("https://a.example/x", "api://b/y", "Read", "openid", GUID)
    assert list(scopes) == ["https://a.example/x", "api://b/y", "Read", GUID, "openid"]
    assert plain("Read").key != plain("read").key
    assert plain("openid", "read").key != plain("read").key

"""Identifying the account, with and without an ID token."""

from __future__ import annotations

from typing import Any

import pytest

from nbauth.core.errors import AuthorityUnreachable, NbAuthError, SignInError
from nbauth.oauth.engines.identity import named
from nbauth.oauth.error_catalogue import error_from
from tests.interop.peers import assert_plain

CLAIMS = {"iss": "https://id.example", "sub": "ada", "aud": "notebooks"}
ODD = [None, [], "text", 7, {}, {"sub": None}, {"sub": ""}, {"sub": " "}, {"sub": ["ada"]}]
ODD += [{"sub": True}, {"id": 0}, {"id": -1}, {"id": 1.5}, {"id": None, "login": ""}]


class Userinfo:
    """Returns or raises the given value, and counts calls."""

    def __init__(self, answer: object) -> None:
        self.answer = answer
        self.asked = 0

    def __call__(self) -> object:
        self.asked += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.mark.parametrize("name", ["preferred_username", "email"])
def test_an_id_token_with_a_name_is_enough(name: str) -> None:
    userinfo = Userinfo({"sub": "ada", "name": "Ada"})
    claims = {**CLAIMS, name: "ada@id.example"}
    assert named(claims, userinfo) == claims
    assert userinfo.asked == 0


@pytest.mark.parametrize("claims", [CLAIMS, {**CLAIMS, "email": None, "preferred_username": ""}])
def test_names_come_from_userinfo(claims: dict[str, Any]) -> None:
    who = named(claims, Userinfo({"sub": "ada", "name": "Ada", "email": "ada@id.example"}))
    assert who["name"] == "Ada"
    assert who["sub"] == "ada"


def test_signed_claims_override_userinfo() -> None:
    told = {"sub": "ada", "iss": "x", "aud": "x", "oid": "eve", "tid": "x", "name": "Eve"}
    who = named({**CLAIMS, "name": "Ada"}, Userinfo(told))
    assert who == {**CLAIMS, "name": "Ada"}


@pytest.mark.parametrize(
    "told", [{"sub": "eve", "name": "Eve"}, {"sub": "ADA", "name": "Eve"}, {"name": "Eve"}, *ODD]
)
def test_userinfo_of_another_subject_is_ignored(told: Any) -> None:
    """OpenID Connect Core §5.3.2."""
    assert named(CLAIMS, Userinfo(told)) == CLAIMS


FAULTS: list[NbAuthError] = [
    AuthorityUnreachable("id.example did not answer in time.", code="timeout"),
    AuthorityUnreachable("id.example sent an invalid response.", code="not_json"),
    error_from({"error": "invalid_token"}, 401),
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.code)
def test_a_sign_in_succeeds_without_a_display_name(fault: NbAuthError) -> None:
    assert named(CLAIMS, Userinfo(fault)) == CLAIMS


@pytest.mark.parametrize(
    ("told", "subject", "username"),
    [
        ({"sub": "ada", "preferred_username": "Ada"}, "ada", "Ada"),
        ({"sub": 12, "id": 13}, "12", None),
        ({"id": 583231, "login": "octocat", "name": "Octo"}, "583231", "octocat"),  # GitHub
        ({"id": "80351110", "username": "nelly"}, "80351110", "nelly"),  # Discord
        ({"login": "octocat"}, "octocat", "octocat"),
        ({"sub": None, "id": 5, "login": None}, "5", None),
    ],
)
def test_without_an_id_token_userinfo_identifies_the_account(
    told: Any, subject: str, username: str | None
) -> None:
    who = named({}, Userinfo(told))
    assert who["sub"] == subject
    assert who.get("preferred_username") == username


@pytest.mark.parametrize("told", [*ODD, {"name": "Ada", "email": "ada@id.example"}], ids=repr)
def test_without_an_identifier_there_is_no_account(told: Any) -> None:
    """A name or a mail address is not an identifier, since it may be reassigned."""
    with pytest.raises(SignInError) as nobody:
        named({}, Userinfo(told))
    assert nobody.value.code == "no_identity"
    assert "openid" in nobody.value.hint
    assert_plain(nobody.value)


def test_an_error_in_the_userinfo_response_is_shown() -> None:
    with pytest.raises(SignInError, match=r"names no account: Too many\."):
        named({}, Userinfo({"error": "limit", "error_description": "Too many."}))
    with pytest.raises(SignInError, match="no userinfo endpoint"):
        named({}, Userinfo(None))


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.code)
def test_an_error_of_the_userinfo_request_is_shown(fault: NbAuthError) -> None:
    """It ends the sign-in: the code is already redeemed, so polling again cannot succeed."""
    with pytest.raises(SignInError) as nobody:
        named({}, Userinfo(fault))
    assert nobody.value.code == "no_identity"
    assert str(fault).rstrip(".") in str(nobody.value)
    assert_plain(nobody.value)

"""Which account a response belongs to."""

from __future__ import annotations

from typing import Any

import pytest

from nbauth.core.errors import SignInError
from nbauth.core.secret import SecretStr
from nbauth.core.settings import Settings
from nbauth.core.tokens import TokenResponse
from nbauth.kernel.accounts.records import UnreadableRecord, decode, encode
from nbauth.kernel.accounts.signed_in import SignedIn, signed_in_from
from nbauth.oauth.client import Client

MICROSOFT = Client.from_settings(Settings(tenant="contoso.com", client_id="notebooks"))
ELSEWHERE = Client.from_settings(Settings(authority="https://id.example", client_id="notebooks"))
EACH = pytest.mark.parametrize("client", [MICROSOFT, ELSEWHERE], ids=["microsoft", "elsewhere"])


def read(client: Client, claims: dict[str, Any], **client_info: Any) -> SignedIn:
    response = TokenResponse(
        SecretStr("a"), 3600, ("read",), id_token_claims=claims, client_info=client_info
    )
    return signed_in_from(client, response)


@EACH
@pytest.mark.parametrize(
    "claims", [{}, {"name": "Ada"}, {"sub": ""}, {"sub": None, "email": "ada@id.example"}], ids=repr
)
def test_a_response_without_an_identifier_is_no_account(
    client: Client, claims: dict[str, Any]
) -> None:
    """Two people without an identifier would be one account and could get each other's tokens."""
    with pytest.raises(SignInError) as nobody:
        read(client, claims)
    assert nobody.value.code == "no_identity"
    assert nobody.value.hint


def test_microsofts_client_info_identifies_an_account() -> None:
    assert read(MICROSOFT, {}, uid="u", utid="t").key.home_account_id == "u.t"


@pytest.mark.parametrize(
    "info", [{"utid": "t"}, {"uid": "", "utid": "t"}, {"uid": True, "utid": "t"}, {"uid": {}}]
)
def test_a_tenant_alone_identifies_no_account(info: dict[str, Any]) -> None:
    """All its people would be one account."""
    named = [read(MICROSOFT, {"sub": sub}, **info).key for sub in ("ada", "bob")]
    assert [key.home_account_id for key in named] == ["ada", "bob"]
    with pytest.raises(SignInError):
        read(MICROSOFT, {}, **info)


def test_an_identifier_that_is_not_text_is_ignored() -> None:
    assert read(MICROSOFT, {"sub": "ada", "oid": True}).key.home_account_id == "ada"


def test_oid_identifies_a_person_at_microsoft_only() -> None:
    """At another provider it may identify the organisation; all members would be one account."""
    claims = {"sub": "ada", "oid": "the-organisation"}
    assert read(MICROSOFT, claims).key.home_account_id == "the-organisation"
    assert read(ELSEWHERE, claims).key.home_account_id == "ada"
    assert read(ELSEWHERE, claims).unique_id == "ada"
    with pytest.raises(SignInError):
        read(ELSEWHERE, {"oid": "the-organisation"})


class NoClients:
    def client_of(self, key: object, profile: str) -> Client:
        raise AssertionError("not asked")


def test_a_stored_account_without_an_identifier_is_refused() -> None:
    signed_in = read(ELSEWHERE, {"sub": "ada"})
    decode(encode(signed_in, []), signed_in.key, ELSEWHERE, NoClients())
    data = encode(signed_in, []).replace(b'"home_account_id": "ada"', b'"home_account_id": ""')
    nobody = signed_in.key._replace(home_account_id="")
    with pytest.raises(UnreadableRecord):
        decode(data, nobody, ELSEWHERE, NoClients())


def test_an_account_stored_under_an_organisations_oid_is_refused() -> None:
    """Earlier versions identified accounts by oid everywhere, which merged all members."""
    claims = {"sub": "ada", "oid": "the-organisation"}
    for client, named in ((MICROSOFT, True), (ELSEWHERE, False)):
        signed_in = read(client, claims)
        data = encode(signed_in, []).replace(
            f'"home_account_id": "{signed_in.key.home_account_id}"'.encode(),
            b'"home_account_id": "the-organisation"',
        )
        key = signed_in.key._replace(home_account_id="the-organisation")
        if named:
            decode(data, key, client, NoClients())
        else:
            with pytest.raises(UnreadableRecord, match="sign in again"):
                decode(data, key, client, NoClients())


def test_the_reason_for_refusing_a_record_is_reported() -> None:
    signed_in = read(ELSEWHERE, {"sub": "ada"})
    data = encode(signed_in, []).replace(b'"form": 1', b'"form": 2')
    with pytest.raises(UnreadableRecord, match="newer version of nbauth"):
        decode(data, signed_in.key, ELSEWHERE, NoClients())

"""Which account a response is of."""

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
def test_nobody_is_no_account(client: Client, claims: dict[str, Any]) -> None:
    """Two whom nothing names would be one account, and one's variable give the other's token."""
    with pytest.raises(SignInError) as nobody:
        read(client, claims)
    assert nobody.value.code == "no_identity"
    assert nobody.value.hint


def test_microsofts_client_info_names_an_account() -> None:
    assert read(MICROSOFT, {}, uid="u", utid="t").key.home_account_id == "u.t"


@pytest.mark.parametrize(
    "info", [{"utid": "t"}, {"uid": "", "utid": "t"}, {"uid": True, "utid": "t"}, {"uid": {}}]
)
def test_a_tenant_alone_names_nobody(info: dict[str, Any]) -> None:
    """All its people would be one account."""
    named = [read(MICROSOFT, {"sub": sub}, **info).key for sub in ("ada", "bob")]
    assert [key.home_account_id for key in named] == ["ada", "bob"]
    with pytest.raises(SignInError):
        read(MICROSOFT, {}, **info)


def test_what_is_no_text_names_nobody() -> None:
    assert read(MICROSOFT, {"sub": "ada", "oid": True}).key.home_account_id == "ada"


def test_oid_names_a_person_at_microsoft_only() -> None:
    """At another provider it may be the organisation, and all its members one account."""
    claims = {"sub": "ada", "oid": "the-organisation"}
    assert read(MICROSOFT, claims).key.home_account_id == "the-organisation"
    assert read(ELSEWHERE, claims).key.home_account_id == "ada"
    assert read(ELSEWHERE, claims).unique_id == "ada"
    with pytest.raises(SignInError):
        read(ELSEWHERE, {"oid": "the-organisation"})


class NoClients:
    def client_of(self, key: object, profile: str) -> Client:
        raise AssertionError("not asked")


def test_a_kept_account_of_nobody_is_not_taken_in() -> None:
    signed_in = read(ELSEWHERE, {"sub": "ada"})
    decode(encode(signed_in, []), signed_in.key, ELSEWHERE, NoClients())
    data = encode(signed_in, []).replace(b'"home_account_id": "ada"', b'"home_account_id": ""')
    nobody = signed_in.key._replace(home_account_id="")
    with pytest.raises(UnreadableRecord):
        decode(data, nobody, ELSEWHERE, NoClients())


def test_who_was_kept_under_an_organisations_name_is_not_taken_in() -> None:
    """Earlier versions named accounts by oid everywhere, and put its members together."""
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


def test_why_a_record_is_not_read_is_said() -> None:
    signed_in = read(ELSEWHERE, {"sub": "ada"})
    data = encode(signed_in, []).replace(b'"form": 1', b'"form": 2')
    with pytest.raises(UnreadableRecord, match="its form is newer"):
        decode(data, signed_in.key, ELSEWHERE, NoClients())

"""The format of a stored account, as JSON. No other module knows this format."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Protocol

from nbauth.core.account import Account, AccountKey, ClientKey
from nbauth.core.errors import NbAuthError
from nbauth.core.secret import SecretStr
from nbauth.core.tokens import TokenResponse
from nbauth.kernel.accounts.cached_token import CachedToken
from nbauth.kernel.accounts.grants import Grant, RefreshTokenGrant
from nbauth.kernel.accounts.signed_in import SignedIn
from nbauth.oauth.client import Client, name_in

FORM = 1
"""The version of the record's format. A newer record is not changed."""


class UnreadableRecord(ValueError):
    """Not a valid record, or in a newer format than this version knows."""


OF_AN_ORGANISATION = (
    "an earlier version of nbauth identified the account by oid, which can be the same for a whole"
    " organisation; sign in again (%logout --forget deletes the stored sign-ins)"
)


def encode(signed_in: SignedIn, tokens: list[CachedToken]) -> bytes:
    """An account with its grants, and its access tokens with the scopes requested for each."""
    grants = [grant for grant in signed_in.grants if grant.ours]
    account = asdict(signed_in.account)
    del account["client_id"]  # part of the entry's name
    record = {
        "form": FORM,
        "account": account,
        "unique_id": signed_in.unique_id,
        "id_token": None if signed_in.id_token is None else str(signed_in.id_token),
        "sign_out_url": signed_in.sign_out_url,
        "beside": signed_in.beside,
        "id_token_claims": dict(signed_in.id_token_claims),
        "grants": [dict(grant.record()) for grant in grants],
        "superseded": [dict(grant.record()) for grant in signed_in.superseded if grant.ours],
        "tokens": [
            {
                "asked": list(token.asked),
                "targets": sorted(token.client.targets),
                "declares": token.asked.declares,
                "access_token": str(token.response.access_token),
                "token_type": token.response.token_type,
                "scopes": list(token.response.scopes),
                "received_at": token.response.received_at,
                "expires_in": token.response.expires_in,
                "grant": grants.index(token.grant) if token.grant in grants else None,
            }
            for token in tokens
            if token.valid
        ],
    }
    return json.dumps(record, ensure_ascii=False).encode()


class Clients(Protocol):
    """Finds the client of an account by the current settings; the kernel's ``Door``."""

    def client_of(self, key: ClientKey, profile: str) -> Client:
        """The client of the profile, if it has this key; else one made from the key."""


def decode(
    data: bytes, key: AccountKey, client: Client | None, clients: Clients
) -> tuple[SignedIn, dict[frozenset[str], CachedToken]]:
    """Decode a record for a client; if ``client`` is another, for the one that ``clients`` finds.

    Raises ``UnreadableRecord``, also for a record of another account or without an account.
    """
    try:
        record = json.loads(data)
        if record["form"] != FORM:
            raise UnreadableRecord("it was written by a newer version of nbauth")
        account = Account(**{**record["account"], "client_id": key.client_id})
        if account.key != key or not key.home_account_id:
            raise UnreadableRecord("it does not belong to this account")
        if client is None or client.key != key.client:
            client = clients.client_of(key.client, account.profile)
        grants: list[Grant] = [RefreshTokenGrant.from_record(kept) for kept in record["grants"]]
        signed_in = SignedIn(
            account,
            client,
            record["unique_id"],
            None if record["id_token"] is None else SecretStr(record["id_token"]),
            record["id_token_claims"],
            record["sign_out_url"],
            grants=grants,
            beside=bool(record.get("beside", False)),
            superseded=[RefreshTokenGrant.from_record(old) for old in record.get("superseded", ())],
        )
        if not client.authority.microsoft and name_in(signed_in.id_token_claims, "sub") not in (
            "",
            key.home_account_id,
        ):
            raise UnreadableRecord(OF_AN_ORGANISATION)
        restored = [
            _token(kept, grants, client)
            for kept in record["tokens"]
            if client.targets == frozenset(kept.get("targets", ()))
        ]
    except UnreadableRecord:
        raise
    except (
        KeyError, TypeError, IndexError, ValueError, AttributeError, NbAuthError,
    ) as error:  # fmt: skip
        raise UnreadableRecord(f"it is damaged ({type(error).__name__})") from None
    return signed_in, {token.asked.key: token for token in restored}


def _token(kept: Mapping[str, Any], grants: list[Grant], client: Client) -> CachedToken:
    response = TokenResponse(
        access_token=SecretStr(kept["access_token"]),
        token_type=kept["token_type"],
        expires_in=float(kept["expires_in"]),
        scopes=tuple(kept["scopes"]),
        received_at=float(kept["received_at"]),
    )
    at = kept["grant"]
    grant = RefreshTokenGrant(None, frozenset()) if at is None else grants[at]
    asked = client.just(kept["asked"])
    if kept.get("declares", False):
        asked = asked.declaring()
    token = CachedToken(response, grant, asked, client)
    token.used = False  # not used by this kernel yet
    return token

"""What is kept of one account beyond this kernel, as JSON: the only place that knows its form."""

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
"""Of the record. A kernel leaves newer ones alone."""


class UnreadableRecord(ValueError):
    """It is none, or of a newer form than this version knows."""


OF_AN_ORGANISATION = (
    "an earlier version named its account by oid, which may be a whole organisation's; sign in"
    " again (%logout --forget removes what is kept)"
)


def encode(signed_in: SignedIn, tokens: list[CachedToken]) -> bytes:
    """An account with its grants and its access tokens, by the scopes that each was asked for."""
    grants = [grant for grant in signed_in.grants if grant.ours]
    account = asdict(signed_in.account)
    del account["client_id"]  # a part of the entry's own name
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
    """Finds the client of an account by what is set now; the kernel's ``Door``."""

    def client_of(self, key: ClientKey, profile: str) -> Client:
        """The client that the profile leads to, if that is the one; else one made from the key."""


def decode(
    data: bytes, key: AccountKey, client: Client | None, clients: Clients
) -> tuple[SignedIn, dict[frozenset[str], CachedToken]]:
    """The reverse, for the client that asks; for the one that ``clients`` finds if none does.

    Raises ``UnreadableRecord``, also for another account's record and for nobody's.
    """
    try:
        record = json.loads(data)
        if record["form"] != FORM:
            raise UnreadableRecord("its form is newer")
        account = Account(**{**record["account"], "client_id": key.client_id})
        if account.key != key or not key.home_account_id:
            raise UnreadableRecord("it is another account's, or nobody's")
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
        raise UnreadableRecord(f"a kept sign-in cannot be read: {type(error).__name__}") from None
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
    token = CachedToken(response, grant, client.just(kept["asked"]), client)
    token.used = False  # by this kernel, so far
    return token

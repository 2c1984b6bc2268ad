"""What is kept of one account beyond this kernel, as JSON: the only place that knows its form."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from nbauth.core.accounts import Account
from nbauth.core.secret import SecretStr
from nbauth.core.tokens import TokenResponse
from nbauth.kernel.cache import AccountKey, CachedToken, Grant, SignedIn

FORM = 1
"""Of the record. A kernel leaves newer ones alone."""


class UnreadableRecord(ValueError):
    """It is none, or of a newer form than this version knows."""


def encode(signed_in: SignedIn, tokens: Mapping[frozenset[str], CachedToken]) -> bytes:
    """An account with its grants and its access tokens, by the scopes that each was asked for."""
    grants = signed_in.grants
    account = signed_in.account
    record = {
        "form": FORM,
        "account": {
            "username": account.username,
            "name": account.name,
            "tenant_id": account.tenant_id,
            "home_account_id": account.home_account_id,
            "authority": account.authority,
            "profile": account.profile,
        },
        "unique_id": signed_in.unique_id,
        "id_token": _text(signed_in.id_token),
        "sign_out_url": signed_in.sign_out_url,
        "id_token_claims": dict(signed_in.id_token_claims),
        "grants": [
            {
                "refresh_token": _text(grant.refresh_token),
                "scopes": sorted(grant.scopes),
                "expires_on": grant.expires_on,
            }
            for grant in grants
        ],
        "tokens": [
            {
                "asked": sorted(asked),
                "access_token": _text(token.response.access_token),
                "token_type": token.response.token_type,
                "scopes": list(token.response.scopes),
                "received_at": token.response.received_at,
                "expires_in": token.response.expires_in,
                "grant": grants.index(token.grant) if token.grant in grants else None,
            }
            for asked, token in tokens.items()
            if token.valid
        ],
    }
    return json.dumps(record, ensure_ascii=False).encode()


def decode(data: bytes, key: AccountKey) -> tuple[SignedIn, dict[frozenset[str], CachedToken]]:
    """The reverse. Raises ``UnreadableRecord``, also for another account's record."""
    try:
        record = json.loads(data)
        if record["form"] != FORM:
            raise UnreadableRecord("its form is newer")
        account = Account(**record["account"])
        if (account.authority, account.home_account_id) != (key[0], key[2]):
            raise UnreadableRecord("it is another account's")
        grants = [
            Grant(_secret(kept["refresh_token"]), frozenset(kept["scopes"]), kept["expires_on"])
            for kept in record["grants"]
        ]
        signed_in = SignedIn(
            account,
            record["unique_id"],
            _secret(record["id_token"]),
            record["id_token_claims"],
            record["sign_out_url"],
            grants=grants,
        )
        tokens = {frozenset(kept["asked"]): _token(kept, grants) for kept in record["tokens"]}
    except (KeyError, TypeError, IndexError, ValueError, AttributeError) as error:
        raise UnreadableRecord(f"a kept sign-in cannot be read: {type(error).__name__}") from None
    return signed_in, tokens


def _token(kept: Mapping[str, Any], grants: list[Grant]) -> CachedToken:
    response = TokenResponse(
        access_token=SecretStr(kept["access_token"]),
        token_type=kept["token_type"],
        expires_in=float(kept["expires_in"]),
        scopes=tuple(kept["scopes"]),
        received_at=float(kept["received_at"]),
    )
    at = kept["grant"]
    token = CachedToken(response, Grant(None, frozenset()) if at is None else grants[at])
    token.used = False  # by this kernel, so far
    return token


def _text(secret: SecretStr | None) -> str | None:
    return None if secret is None else str(secret)


def _secret(text: str | None) -> SecretStr | None:
    return None if text is None else SecretStr(text)

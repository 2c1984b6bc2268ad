"""Imports a plain MSAL cache: a file of ``SerializableTokenCache``, such as the Azure CLI's.

Its format is MSAL's "unified cache schema": sections of records, each with ``home_account_id``,
``environment`` (the authority's host) and ``client_id``. Only the refresh token of an account is
imported; its first use gets new access tokens.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from nbauth.core.account import Account, AccountKey
from nbauth.core.errors import ConfigurationError, PersistenceError
from nbauth.core.regular_file import read_regular
from nbauth.core.secret import SecretStr
from nbauth.kernel.accounts.cache import TokenCache
from nbauth.kernel.accounts.grants import RefreshTokenGrant
from nbauth.kernel.accounts.signed_in import SignedIn
from nbauth.kernel.accounts.stored_accounts import StoredAccounts
from nbauth.oauth.client import Client
from nbauth.oauth.clouds import aliases

MOST_BYTES = 100_000_000
"""Maximum size of a cache file."""


@dataclass(frozen=True)
class Found:
    """What a file contains for a client.

    Attributes:
        accounts: by their keys in nbauth's cache.
        others: the client ids of accounts in the file that belong to other clients.
    """

    accounts: dict[AccountKey, SignedIn]
    others: tuple[str, ...]


def read_file(path: Path, client: Client) -> Found:
    """Read the accounts of a client from a plain MSAL cache.

    Raises ``ConfigurationError`` if the file does not exist or is not such a cache.
    """
    try:
        cache = json.loads(read_regular(path, MOST_BYTES).decode("utf-8-sig"))
        if not isinstance(cache, dict) or not isinstance(cache.get("RefreshToken", {}), dict):
            raise ValueError("no sections")
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be read: {error.strerror}.", code="bad_cache_file"
        ) from None
    except (ValueError, RecursionError):
        raise ConfigurationError(
            f"{path} is not an unencrypted MSAL cache.",
            code="bad_cache_file",
            hint="nbauth cannot read an encrypted cache (msal-extensions, Azure CLI on Windows)."
            " Run %login instead.",
        ) from None
    hosts = aliases(urlsplit(client.authority.url).netloc)
    accounts: dict[AccountKey, SignedIn] = {}
    others: dict[str, None] = {}
    for token in _records(cache, "RefreshToken"):
        if token.get("environment") not in hosts or not _is_whole(token):
            continue
        if token.get("client_id") != client.client_id:
            others[str(token.get("client_id"))] = None
            continue
        signed_in = _signed_in(cache, token, client)
        accounts[signed_in.key] = signed_in
    return Found(accounts, tuple(others))


def import_file(path: Path, client: Client, cache: TokenCache, stored: StoredAccounts) -> Found:
    """Add the accounts of a file to the cache, and store them.

    Raises ``ConfigurationError``; ``PersistenceError`` if no store outlives this process.
    """
    found = read_file(path, client)
    if client.settings.persist == "memory" and found.accounts:
        raise PersistenceError(
            "Nothing was imported: with persist = memory, nothing is stored.",
            code="kept_nowhere",
            hint="Choose a store: --persist keyring or --persist file.",
        )
    taken: list[str] = []
    stored.fetch_all(client.settings.persist)
    for key, signed_in in found.accounts.items():
        cache.add_older(signed_in)
        if not stored.keep(client, key):
            raise PersistenceError(
                f"{signed_in.account.username} could not be stored, so the import stopped;"
                f" imported: {', '.join(taken) or 'nobody'}.",
                code="kept_nowhere",
            )
        taken.append(signed_in.account.username)
    return found


def _is_whole(token: Mapping[str, Any]) -> bool:
    needed = (token.get("secret"), token.get("home_account_id"))
    return all(isinstance(text, str) and text for text in needed)


def _signed_in(cache: Mapping[str, Any], token: Mapping[str, Any], client: Client) -> SignedIn:
    home = str(token.get("home_account_id") or "")
    known = next(_of(cache, "Account", token), {})
    claims = _claims(next(_of(cache, "IdToken", token), {}).get("secret"))
    account = Account(
        username=str(known.get("username") or claims.get("preferred_username") or "unnamed"),
        name=str(claims.get("name") or ""),
        tenant_id=str(claims.get("tid") or known.get("realm") or ""),
        home_account_id=home,
        authority=client.authority.url,
        profile=client.settings.profile,
        client_id=client.client_id,
    )
    scopes = client.granted(str(token.get("target") or "").split())
    return SignedIn(
        account,
        client,
        unique_id=str(claims.get("oid") or claims.get("sub") or ""),
        id_token=None,
        id_token_claims=claims,
        grants=[RefreshTokenGrant(SecretStr(token["secret"]), scopes)],
    )


def _records(cache: Mapping[str, Any], section: str) -> Iterator[Mapping[str, Any]]:
    records = cache.get(section)
    if isinstance(records, dict):
        yield from (record for record in records.values() if isinstance(record, dict))


def _of(
    cache: Mapping[str, Any], section: str, token: Mapping[str, Any]
) -> Iterator[Mapping[str, Any]]:
    """The records of a section that belong to the same account."""
    for record in _records(cache, section):
        if all(record.get(name) == token.get(name) for name in ("home_account_id", "environment")):
            yield record


def _claims(id_token: Any) -> dict[str, Any]:
    """Names for display. They are not verified and nothing depends on them."""
    try:
        body = str(id_token).split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    except (ValueError, IndexError):
        return {}
    return claims if isinstance(claims, dict) else {}

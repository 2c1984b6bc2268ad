"""A client: one application at one authority, as the settings name it."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from nbauth.core.accounts import Account
from nbauth.core.errors import ConfigurationError
from nbauth.core.scopes import Scopes
from nbauth.core.settings import Settings
from nbauth.core.tokens import TokenResponse
from nbauth.kernel.cache import AccountKey, SignedIn
from nbauth.oauth.authorities import Authority, authority_from

DEFAULT_SCOPES = {True: ("User.Read",), False: ("openid", "profile", "email", "offline_access")}
"""At Microsoft's authorities, and elsewhere."""

NO_CLIENT_ID_HINT = (
    "Register one: az ad app create --display-name nbauth --is-fallback-public-client true"
    " --public-client-redirect-uris http://localhost --query appId; then"
    " %config NbAuth.client_id = '<appId>', NBAUTH_CLIENT_ID, or client_id in config.toml."
)


@dataclass(frozen=True)
class Client:
    """Settings with the authority and client_id that they lead to."""

    settings: Settings
    authority: Authority
    client_id: str

    @classmethod
    def from_settings(cls, settings: Settings) -> Client:
        """Raises ``ConfigurationError`` without a client_id, or with an authority that is none."""
        authority = authority_from(settings)
        if not settings.client_id:
            raise ConfigurationError(
                "No client_id is set, and none is built in.",
                code="no_client_id",
                hint=NO_CLIENT_ID_HINT
                if authority.microsoft
                else "Register a public client at the provider and set NBAUTH_CLIENT_ID,"
                " or client_id in config.toml.",
            )
        return cls(settings, authority, settings.client_id)

    @property
    def key(self) -> tuple[str, str]:
        """What its accounts are kept under."""
        return self.authority.url, self.client_id

    def scopes(self, words: Iterable[str]) -> Scopes:
        """The scopes asked for, else the profile's, else the default."""
        microsoft = self.authority.microsoft
        return Scopes.parse(
            tuple(words) or self.settings.scopes or DEFAULT_SCOPES[microsoft],
            microsoft=microsoft,
            graph=self.authority.graph,
            client_id=self.client_id,
        )

    def sign_in_scopes(self, wanted: Scopes) -> Scopes:
        """What a sign-in asks for: those, and what makes it last and names the account."""
        if self.authority.microsoft:
            return wanted  # MSAL adds openid, profile and offline_access
        return Scopes.parse(
            [*wanted, *DEFAULT_SCOPES[False]],
            microsoft=False,
        )

    def signed_in(self, response: TokenResponse) -> tuple[AccountKey, SignedIn]:
        """Read who signed in from a response: from its checked ID token, never its access token."""
        claims, info = response.id_token_claims, response.client_info
        tenant = str(claims.get("tid", "")) if self.authority.microsoft else ""
        unique = str(claims.get("oid") or claims.get("sub") or "")
        home = ".".join(str(info[part]) for part in ("uid", "utid") if info.get(part))
        account = Account(
            username=_first(claims, "preferred_username", "upn", "email", "sub") or "unnamed",
            name=_first(claims, "name"),
            tenant_id=tenant,
            home_account_id=home or unique,
            authority=self.authority.url,
            profile=self.settings.profile,
        )
        key = (*self.key, account.home_account_id)
        return key, SignedIn(account, unique, response.id_token, claims)


def _first(claims: Mapping[str, Any], *names: str) -> str:
    return next((str(claims[name]) for name in names if claims.get(name)), "")


class Engines:
    """The engines in use: one a client, made on first use, and one of its own for each sign-in."""

    def __init__(self, make: Any = None) -> None:
        self._make = make
        self._engines: dict[Any, Any] = {}
        self._clients: dict[tuple[str, str], Client] = {}
        self._lock = threading.Lock()

    def of(self, client: Client) -> Any:
        """Its engine. Importing the protocol library happens here, at the first sign-in."""
        settings = client.settings
        key = (*client.key, settings.verify, tuple(sorted((settings.proxies or {}).items())))
        with self._lock:
            if key not in self._engines:
                self._engines[key] = self._new(client)
            return self._engines[key]

    def for_sign_in(self, client: Client) -> Any:
        """A new one, so that breaking off a sign-in breaks off nobody else's request."""
        self.remember(client)
        with self._lock:
            return self._new(client)

    def remember(self, client: Client) -> None:
        """Know a client by its key from now on, with the settings that it has here."""
        self._clients[client.key] = client

    def client(self, key: tuple[str, str]) -> Client:
        """A client that has been remembered."""
        return self._clients[key]

    def _new(self, client: Client) -> Any:
        if self._make is None:
            from nbauth.oauth.engines import engine_for

            self._make = engine_for
        settings = client.settings
        return self._make(
            client.authority, client.client_id, verify=settings.verify, proxies=settings.proxies
        )

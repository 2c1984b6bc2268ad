"""A client: one application at one authority, as configured by the settings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from nbauth.core.account import ClientKey
from nbauth.core.errors import ConfigurationError
from nbauth.core.forks import no_fork
from nbauth.core.scopes import Scopes
from nbauth.core.settings import CREDENTIALS, Settings
from nbauth.oauth.authorities import Authority, authority_from, parse
from nbauth.oauth.authority_forms import is_microsofts_host
from nbauth.oauth.credentials import ClientCredential

if TYPE_CHECKING:
    from nbauth.oauth.engines.protocol import Engine

TARGETS = ("audience", "resource")
"""Extra parameters that select the API of a token (Auth0's, RFC 8707 §2)."""

MOST_SPELLINGS = 256
"""Maximum number of cached scope spellings; then the cache is cleared."""

NO_CLIENT_ID_HINT = (
    "Register one: az ad app create --display-name nbauth --is-fallback-public-client true"
    " --public-client-redirect-uris http://localhost --query appId; then"
    " %config NbAuth.client_id = '<appId>', NBAUTH_CLIENT_ID, or client_id in config.toml."
)


def no_client_id(authority: Authority) -> ConfigurationError:
    """The error for a sign-in without a client_id."""
    return ConfigurationError(
        "No client_id is set, and nbauth has no default one.",
        code="no_client_id",
        hint=NO_CLIENT_ID_HINT
        if authority.microsoft
        else "Register a public client at the provider and set NBAUTH_CLIENT_ID,"
        " or client_id in config.toml.",
    )


@dataclass(frozen=True)
class Client:
    """Settings with the authority and client_id that they determine."""

    settings: Settings
    authority: Authority
    client_id: str
    _parsed: dict[tuple[str, ...], Scopes] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def from_settings(cls, settings: Settings, *, need_id: bool = True) -> Client:
        """Raises ``ConfigurationError`` for an invalid authority, and without a client_id.

        ``need_id``: whether that is an error. A service identity has a client of its own.
        """
        authority = authority_from(settings)
        if need_id and not settings.client_id:
            raise no_client_id(authority)
        return cls(settings, authority, settings.client_id or "")

    @classmethod
    def from_key(cls, key: ClientKey, profile: str = "default") -> Client:
        """The client of a stored account that the settings no longer configure."""
        settings = Settings(profile=profile, authority=key.issuer, client_id=key.client_id)
        authority = parse(key.issuer)
        if authority.url != key.issuer:
            ours = authority.microsoft and is_microsofts_host(urlsplit(key.issuer).hostname or "")
            # else: it looks like Microsoft's, but was used as an OpenID issuer
            authority = (
                replace(authority, url=key.issuer) if ours else Authority("oidc", key.issuer)
            )
        return cls(settings, authority, key.client_id)

    @cached_property
    def key(self) -> ClientKey:
        """The key under which its accounts are stored."""
        return ClientKey(self.authority.url, self.client_id)

    @cached_property
    def targets(self) -> frozenset[str]:
        """The APIs in its extra parameters, as parts of each ``Scopes.key``: tokens for different
        APIs are different, even if the scopes are the same."""
        extra = self.settings.extra_parameters
        return frozenset(f"{name} {extra[name]}" for name in TARGETS if name in extra)

    def scopes(self, words: Iterable[str]) -> Scopes:
        """The given scopes, else the profile's, else the default; each spelling is parsed once."""
        spelling = words if isinstance(words, tuple) else tuple(words)
        try:
            return self._parsed[spelling]
        except (KeyError, TypeError):  # TypeError: an unhashable value, which is rejected below
            pass
        scopes = self.just(spelling or self.settings.scopes or self._default_scopes)
        if len(self._parsed) >= MOST_SPELLINGS:
            self._parsed.clear()
        self._parsed[spelling] = scopes
        return scopes

    def just(self, words: Iterable[str]) -> Scopes:
        """Exactly these scopes, even if there are none. Raises ``ConfigurationError``."""
        scopes = Scopes.parse(
            words,
            microsoft=self.authority.microsoft,
            graph=self.authority.graph,
            client_id=self.client_id,
        )
        return replace(scopes, key=scopes.key | self.targets)

    def for_calls(self, scopes: Scopes) -> Scopes:
        """The scopes of a token that only nbauth's own calls use.

        These calls answer claims challenges; see ``oauth.challenge``. Entra has to be told so.
        """
        return scopes.declaring() if self.authority.kind == "entra" else scopes

    @property
    def _default_scopes(self) -> tuple[str, ...]:
        """The scopes to request if none are set. A sign-in adds the OpenID scopes that the provider
        offers. A provider whose endpoints are set in the profile may not support OpenID Connect and
        reject ``openid``."""
        match self.authority.kind:
            case "entra" | "external-id":
                return ("User.Read",)
            case "b2c":  # issues an access token only for the client itself or for an API
                return (self.client_id,)
            case "adfs":
                return ("openid",)
        return () if self.authority.described else ("openid",)

    def covers(self, granted: Iterable[str], wanted: Scopes) -> bool:
        """Whether all wanted scopes were granted, except the reserved ones.

        ``.default`` is always covered, since it is granted as other scopes.
        """
        return not self.not_granted(granted, wanted)

    def not_granted(self, granted: Iterable[str], wanted: Scopes) -> tuple[str, ...]:
        """The wanted scopes that were not granted; see :meth:`covers`."""
        have = self.granted(granted)
        if any(scope.lower().endswith("/.default") for scope in wanted.resource_scopes):
            return ()
        if self.authority.microsoft:
            if f"{wanted.resource}/.default".lower() in have:  # an application's permissions
                return ()
            return tuple(word for word in wanted.resource_scopes if word.lower() not in have)
        return tuple(word for word in wanted.resource_scopes if word not in have)

    def granted(self, scopes: Iterable[str]) -> frozenset[str]:
        """The scopes of a token response, in the form of ``Scopes.key``.

        Entra returns Graph's scopes as short names, and may return scopes of several resources.
        """
        if not self.authority.microsoft:
            return frozenset(scopes) | self.targets
        graph = self.authority.graph
        full = (scope if "/" in scope or not graph else f"{graph}/{scope}" for scope in scopes)
        return frozenset(scope.lower() for scope in full) | self.targets


class Engines:
    """The engines in use: one per client and network settings, and a separate one per sign-in.

    Args:
        make: for tests; the default is ``oauth.engines.engine_for``.
        credential_of: returns the client's credential, ``None`` for a public client.
    """

    def __init__(
        self,
        make: Callable[..., Engine] | None = None,
        credential_of: Callable[[Settings], ClientCredential | None] = lambda _: None,
    ) -> None:
        self.make = make
        self._credential_of = credential_of
        self._engines: dict[object, Engine] = {}

    def of(self, client: Client) -> Engine:
        """The client's engine. The first call imports the protocol library."""
        settings = client.settings
        secret = [value for name in CREDENTIALS if (value := getattr(settings, name))]
        if secret:  # an entry of the keyring belongs to a profile
            secret.append(settings.profile)
        proxies = tuple(sorted((settings.proxies or {}).items()))
        key = (client.authority, client.client_id, settings.verify, proxies, *secret)
        engine = self._engines.get(key)
        if engine is None:  # another thread may create one too; setdefault keeps one of them
            engine = self._engines.setdefault(key, self.for_sign_in(client))
        return engine

    def for_sign_in(self, client: Client) -> Engine:
        """A new engine, so that cancelling a sign-in aborts no other request."""
        settings = client.settings
        with no_fork():
            if self.make is None:
                from nbauth.oauth.engines import engine_for

                self.make = engine_for
            credential = self._credential_of(settings)
            return self.make(
                client.authority,
                client.client_id,
                verify=settings.verify,
                proxies=settings.proxies,
                **({"credential": credential} if credential else {}),
            )

    def forget(self) -> None:
        """Drop all engines without closing them, in a forked child that inherited connections."""
        self._engines = {}


def name_in(claims: Mapping[str, Any], *names: str) -> str:
    """The first of these claims that has a value, as a string."""
    return next((str(claims[name]) for name in names if claims.get(name)), "")

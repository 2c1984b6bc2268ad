"""A client: one application at one authority, as the settings name it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from nbauth.core.account import ClientKey
from nbauth.core.errors import ConfigurationError
from nbauth.core.forks import no_fork
from nbauth.core.scopes import Scopes
from nbauth.core.secret import SecretStr
from nbauth.core.settings import Settings
from nbauth.oauth.authorities import Authority, authority_from, parse

if TYPE_CHECKING:
    from nbauth.oauth.engines.protocol import Engine

TARGETS = ("audience", "resource")
"""Extra parameters that say which API a token is for (Auth0's, RFC 8707 §2)."""

MOST_SPELLINGS = 256
"""Spellings of scopes that a client remembers, before it begins anew."""

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
    _parsed: dict[tuple[str, ...], Scopes] = field(default_factory=dict, compare=False, repr=False)

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

    @classmethod
    def from_key(cls, key: ClientKey, profile: str = "default") -> Client:
        """The client of an account that was kept, where no setting leads to it any more."""
        settings = Settings(profile=profile, authority=key.issuer, client_id=key.client_id)
        authority = parse(key.issuer)
        if authority.url != key.issuer:  # an issuer of Microsoft's shape, with metadata of its own
            authority = Authority("oidc", key.issuer)
        return cls(settings, authority, key.client_id)

    @cached_property
    def key(self) -> ClientKey:
        """What its accounts are kept under."""
        return ClientKey(self.authority.url, self.client_id)

    @cached_property
    def targets(self) -> frozenset[str]:
        """The APIs that its extra parameters name, as parts of each ``Scopes.key``: a token for one
        is none for another, though the scopes are the same."""
        extra = self.settings.extra_parameters
        return frozenset(f"{name} {extra[name]}" for name in TARGETS if name in extra)

    def scopes(self, words: Iterable[str]) -> Scopes:
        """The scopes asked for, else the profile's, else the default; read once a spelling."""
        spelling = words if isinstance(words, tuple) else tuple(words)
        try:
            return self._parsed[spelling]
        except (KeyError, TypeError):  # a word may be anything, a list too: it is refused below
            pass
        scopes = self.just(spelling or self.settings.scopes or self._default_scopes)
        if len(self._parsed) >= MOST_SPELLINGS:
            self._parsed.clear()
        self._parsed[spelling] = scopes
        return scopes

    def just(self, words: Iterable[str]) -> Scopes:
        """These scopes, also if there are none. Raises ``ConfigurationError``."""
        scopes = Scopes.parse(
            words,
            microsoft=self.authority.microsoft,
            graph=self.authority.graph,
            client_id=self.client_id,
        )
        return replace(scopes, key=scopes.key | self.targets)

    @property
    def _default_scopes(self) -> tuple[str, ...]:
        """What is asked for where nobody names anything; a sign-in adds what its provider offers to
        name the account and to make it last. A provider whose endpoints are written in the profile
        may be no OpenID provider, and refuse ``openid``."""
        if self.authority.microsoft:
            return ("User.Read",)
        return () if self.authority.described else ("openid",)

    def covers(self, granted: Iterable[str], wanted: Scopes) -> bool:
        """Whether all that is wanted was granted, what makes a sign-in last aside.

        What stands for all that is registered (``.default``) is granted under other names.
        """
        return not self.not_granted(granted, wanted)

    def not_granted(self, granted: Iterable[str], wanted: Scopes) -> tuple[str, ...]:
        """Of the scopes that are wanted those that were not granted; see :meth:`covers`."""
        have = self.granted(granted)
        if any(scope.lower().endswith("/.default") for scope in wanted.resource_scopes):
            return ()
        if self.authority.microsoft:
            return tuple(word for word in wanted.resource_scopes if word.lower() not in have)
        return tuple(word for word in wanted.resource_scopes if word not in have)

    def granted(self, scopes: Iterable[str]) -> frozenset[str]:
        """The scopes of a token response, in the form of ``Scopes.key``.

        Entra names Graph's in short, and may name several resources at once.
        """
        if not self.authority.microsoft:
            return frozenset(scopes) | self.targets
        graph = self.authority.graph
        full = (scope if "/" in scope else f"{graph}/{scope}" for scope in scopes)
        return frozenset(scope.lower() for scope in full) | self.targets


class Engines:
    """The engines in use: one a client and its way there, and one of its own for each sign-in.

    Args:
        make: for tests; the default is ``oauth.engines.engine_for``.
        secret_of: gives what reads the secret of the settings' client, ``None`` if it has none.
    """

    def __init__(
        self,
        make: Callable[..., Engine] | None = None,
        secret_of: Callable[[Settings], Callable[[], SecretStr] | None] = lambda _: None,
    ) -> None:
        self._make = make
        self._secret_of = secret_of
        self._engines: dict[object, Engine] = {}

    def of(self, client: Client) -> Engine:
        """Its engine. Importing the protocol library happens here, at the first sign-in."""
        settings = client.settings
        secret = settings.client_secret_from and (settings.client_secret_from, settings.profile)
        proxies = tuple(sorted((settings.proxies or {}).items()))
        key = (client.authority, client.client_id, settings.verify, proxies, secret)
        engine = self._engines.get(key)
        if engine is None:  # another thread may make one too: one of them is kept, under no lock
            engine = self._engines.setdefault(key, self.for_sign_in(client))
        return engine

    def for_sign_in(self, client: Client) -> Engine:
        """A new one, so that breaking off a sign-in breaks off nobody else's request."""
        settings = client.settings
        with no_fork():
            if self._make is None:
                from nbauth.oauth.engines import engine_for

                self._make = engine_for
            secret = self._secret_of(settings)
            return self._make(
                client.authority,
                client.client_id,
                verify=settings.verify,
                proxies=settings.proxies,
                **({"client_secret": secret} if secret else {}),
            )

    def forget(self) -> None:
        """Let all engines go, unused: a forked child shares no connection with its parent."""
        self._engines = {}


def name_in(claims: Mapping[str, Any], *names: str) -> str:
    """The first of these claims that is there, as text."""
    return next((str(claims[name]) for name in names if claims.get(name)), "")

"""What one sign-in requests, read once from the call and its settings."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from nbauth.core.account import Account, AccountKey, Asked, name_of
from nbauth.core.errors import ConfigurationError
from nbauth.core.flow_names import AUTO, BROWSER
from nbauth.core.scopes import Scopes
from nbauth.core.text import closest
from nbauth.core.value_readers import text
from nbauth.kernel.unattended import is_identity
from nbauth.oauth.client import Client
from nbauth.oauth.engines.protocol import UNSET, AuthorizationRequest

DEFAULT_TIMEOUT = 300.0
"""Seconds for the person, if the provider sets no limit."""

WebUi = Callable[[str], str]
"""Takes the authorize URL and returns the address of the last page."""


@dataclass(frozen=True)
class Request:
    """A sign-in as it was requested.

    Attributes:
        client: the client, with the settings at the time of the call.
        scopes: of the first token.
        authorization: the parameters of the authorization request.
        asked: the account to sign in; ``None`` for any.
        web_ui: a program that acts as the browser.
        flow: the name of the flow, or ``"auto"``.
        makes_current: whether the account becomes the client's current one.
        unasked: whether the flow was chosen because nobody can be asked.
        asked_by: the host that refused a request and needs these scopes, shown to the person.
    """

    client: Client
    scopes: Scopes
    authorization: AuthorizationRequest
    asked: Asked | None = None
    web_ui: WebUi | None = None
    flow: str = field(default=AUTO, compare=False)
    makes_current: bool = field(default=True, compare=False)
    unasked: bool = field(default=False, compare=False)
    asked_by: str = field(default="", compare=False)

    @property
    def first_flow(self) -> str:
        """The flow to begin with; ``"auto"`` if it depends on the front end."""
        return BROWSER if self.web_ui is not None and self.flow == AUTO else self.flow

    def is_same(self, other: Request) -> bool:
        """Whether one sign-in can serve both requests.

        The flow makes no difference, but a service identity is not the person.
        """
        return self._subject == other._subject

    @property
    def _subject(self) -> tuple[object, ...]:
        asked, settings = self.authorization, self.client.settings
        return (
            self.client.key,
            self.scopes.key,
            _normal(self.asked),
            self.web_ui,
            (asked.scopes.key, asked.prompt, _normal(asked.login_hint), asked.domain_hint),
            (asked.max_age, asked.claims, asked.acr_values),
            (frozenset(asked.consent_also), asked.extra_parameters),
            (settings.persist, settings.redirect_uri, settings.verify, settings.proxies),
            id(settings.credential),
            self.first_flow if is_identity(self.first_flow) else "",
        )


def _normal(asked: Asked | None) -> object:
    if isinstance(asked, Account):
        return asked.key
    return asked.casefold() if isinstance(asked, str) else asked


def read_request(
    client: Client,
    wanted: Scopes,
    asked: Mapping[str, Any],
    account: Asked | None = None,
    web_ui: WebUi | None = None,
) -> Request:
    """Read a sign-in from a call. Raises ``ConfigurationError`` before anything is sent.

    Args:
        client: the client.
        wanted: the scopes of the first token.
        asked: parameters of the authorization request (OpenID Connect Core §3.1.2.1).
        account: the account to sign in.
        web_ui: acts as the browser.
    """
    authorization = _authorization(client, wanted, asked)
    if isinstance(account, str):
        _name("account", account)
    hint = None if account is None or isinstance(account, AccountKey) else name_of(account)
    if hint is not None and authorization.login_hint is None:
        authorization = replace(authorization, login_hint=hint)
    return Request(client, wanted, authorization, account, web_ui, client.settings.flow)


def _authorization(
    client: Client, wanted: Scopes, asked: Mapping[str, Any]
) -> AuthorizationRequest:
    from nbauth.oauth.flows.browser import PROMPTS

    prompt, claims = asked.get("prompt"), asked.get("claims")
    if prompt is not None and str(prompt) not in PROMPTS:
        guess = f" Did you mean {close}?" if (close := closest(str(prompt), PROMPTS)) else ""
        raise ConfigurationError(
            f"Unknown prompt {prompt!r}.{guess}",
            code="bad_prompt",
            hint=f"Choose one of {', '.join(sorted(PROMPTS))}.",
        )
    sent = prompt or client.settings.extra_parameters.get("prompt")
    client.authority.refuse_prompt(None if sent == UNSET else sent)
    if claims is not None:
        check_claims(claims)
    return AuthorizationRequest(
        scopes=wanted,
        exact_scopes=client.settings.exact_scopes,
        prompt=prompt,
        login_hint=_name("login_hint", asked.get("login_hint")),
        domain_hint=_name("domain_hint", asked.get("domain_hint")),
        max_age=_max_age(asked.get("max_age")),
        claims=claims,
        acr_values=asked.get("acr_values"),
        consent_also=_consent_also(client, asked.get("consent_also") or ()),
        extra_parameters=client.settings.extra_parameters,
        credential=client.settings.credential,
    )


def _name(option: str, given: Any) -> str | None:
    """The name that an option gives, as one line of text."""
    try:
        return None if given is None else text(given)
    except ValueError as error:
        raise ConfigurationError(f"The option {option} {error}.", code="bad_name") from None


def _max_age(given: Any) -> int | None:
    try:
        max_age = None if given is None else int(given)
        if max_age is not None and max_age < 0:
            raise ValueError
    except (TypeError, ValueError, OverflowError):
        raise ConfigurationError(
            "max_age has to be a whole number of seconds.", code="bad_max_age"
        ) from None
    return max_age


def _consent_also(client: Client, words: Iterable[str]) -> tuple[str, ...]:
    """Scopes of any resources; each word is read separately."""
    authority = client.authority
    return tuple(
        scope
        for word in Scopes.parse(words, microsoft=False)
        for scope in Scopes.parse([word], microsoft=authority.microsoft, graph=authority.graph)
    )


def check_claims(claims: str) -> None:
    """Raise ``ConfigurationError`` for a claims request that is not a JSON object."""
    try:
        if not isinstance(json.loads(claims), dict):
            raise ValueError
    except (ValueError, TypeError):
        raise ConfigurationError(
            "claims has to be a JSON object.",
            code="bad_claims",
            hint="""Write --claims '{"id_token": …}', or name a dict: --claims $claims.""",
        ) from None

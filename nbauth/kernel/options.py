"""From the options of a call to what a sign-in is made of."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from nbauth.core.errors import ConfigurationError
from nbauth.core.scopes import Scopes
from nbauth.core.settings import Settings
from nbauth.kernel.client import Client
from nbauth.oauth.engines import AuthorizationRequest
from nbauth.oauth.flows.browser import PROMPTS


def request_from(client: Client, wanted: Scopes, asked: Mapping[str, Any]) -> AuthorizationRequest:
    """Check the options of a sign-in before any request. Raises ``ConfigurationError``."""
    prompt, max_age, claims = asked.get("prompt"), asked.get("max_age"), asked.get("claims")
    if prompt is not None and prompt not in PROMPTS:
        raise ConfigurationError(
            f"There is no prompt {prompt!r}.",
            code="bad_prompt",
            hint=f"Choose one of {', '.join(sorted(PROMPTS))}.",
        )
    client.authority.refuse_prompt(prompt)
    if claims is not None:
        check_claims(claims)
    try:
        max_age = None if max_age is None else int(max_age)
        if max_age is not None and max_age < 0:
            raise ValueError
    except (TypeError, ValueError):
        raise ConfigurationError(
            "max_age has to be a whole number of seconds.", code="bad_max_age"
        ) from None
    also = Scopes.parse(
        asked.get("consent_also") or (),
        microsoft=False,
    )
    full = tuple(
        scope
        for word in also
        for scope in Scopes.parse(
            [word], microsoft=client.authority.microsoft, graph=client.authority.graph
        )
    )
    return AuthorizationRequest(
        scopes=client.sign_in_scopes(wanted),
        prompt=prompt,
        login_hint=asked.get("login_hint"),
        domain_hint=asked.get("domain_hint"),
        max_age=max_age,
        claims=claims,
        consent_also=full,
        extra_parameters=client.settings.extra_parameters,
    )


def check_claims(claims: str) -> None:
    """Raise ``ConfigurationError`` for a claims request that is no JSON object."""
    try:
        if not isinstance(json.loads(claims), dict):
            raise ValueError
    except (ValueError, TypeError):
        raise ConfigurationError(
            "claims has to be a JSON object.",
            code="bad_claims",
            hint="""Put it into a variable: claims = '{"id_token": …}', then --claims '$claims'.""",
        ) from None


def open_browser_from(settings: Settings) -> Callable[[str], object] | None:
    """What opens the address, as the setting says; ``None`` leaves it to the screen."""
    choice = settings.open_browser
    if choice is None or choice is False or callable(choice):
        return choice or None

    def open_it(address: str) -> object:
        import webbrowser

        try:
            return webbrowser.get(None if choice is True else choice).open(address)
        except webbrowser.Error as error:
            raise ConfigurationError(
                f"The browser {choice!r} cannot be started here.",
                code="no_browser",
                hint="Set open_browser to another name, or leave it out and use the panel's link.",
            ) from error

    return open_it

"""Calls that may ask nobody: which of them use a service identity, and the error of the others."""

from __future__ import annotations

import os

from nbauth.core.account import Account, Asked
from nbauth.core.errors import ConsentRequired, InteractionRequired, NbAuthError
from nbauth.core.flow_names import APP, AUTO, AZURE_CLI
from nbauth.core.magic_word import as_word, login_line
from nbauth.core.person import NOBODY, Obstacle
from nbauth.core.scopes import Scopes
from nbauth.core.settings import Settings
from nbauth.oauth.authorities import authority_from
from nbauth.oauth.challenge import Requirement
from nbauth.oauth.client import Client, no_client_id

MOST_CLAIMS = 200
"""Characters of a claims request that a hint shows."""


def named_flow(client: Client) -> str:
    """The flow of the service identity that the environment names for this client, or ``""``.

    If it names none, the sign-in of the Azure CLI, if that is installed and has been used. A
    ``flow`` in the settings decides; then the environment does not.
    """
    if client.settings.flow != AUTO or client.authority.kind != "entra":
        return ""
    from nbauth.oauth.identities.azure_cli import AzureCli
    from nbauth.oauth.service_identity import named_in

    named = named_in(os.environ, client.authority)
    return named or (AZURE_CLI if AzureCli().has_signed_in(os.environ) else "")


def has_own_client(settings: Settings) -> bool:
    """Whether a service identity is used, or named, that needs no ``client_id`` in the settings."""
    try:
        client = Client(settings, authority_from(settings), "")
    except NbAuthError:  # reported by the caller, who reads the authority too
        return False
    if settings.flow != AUTO:
        return _is_own(client, settings.flow)
    return bool(named_flow(client))


def check_client_id(client: Client, flow: str) -> None:
    """Raise ``ConfigurationError`` if a flow needs a ``client_id`` and the client has none."""
    if not client.client_id and not (flow != AUTO and _is_own(client, flow)):
        raise no_client_id(client.authority)


def is_service(flow: str) -> bool:
    """Whether a flow needs no person."""
    if flow == AUTO:
        return False
    from nbauth.oauth.flows import flow_named

    return not flow_named(flow).interactive


def asks_nobody(flow: str) -> bool:
    """Whether a flow signs a person in without asking: by a sign-in outside the notebook."""
    if flow == AUTO:
        return False
    from nbauth.oauth.flows import flow_named

    found = flow_named(flow)
    return not found.interactive and found.renew is None


def is_identity(flow: str) -> bool:
    """Whether a flow uses an identity of its own, and not the person at the notebook."""
    return is_service(flow) and not asks_nobody(flow)


def _is_own(client: Client, flow: str) -> bool:
    from nbauth.oauth.flows import flow_named

    if flow == APP and client.authority.kind != "entra":
        return False  # the variables of the Azure SDKs name an application of Entra ID
    try:
        return flow_named(flow).own_client
    except NbAuthError:
        return False


def nobody_asked(
    error: NbAuthError,
    client: Client,
    scopes: Scopes,
    whom: Asked | None,
    obstacle: Obstacle | None,
    *,
    may_ask: bool,
    for_worker: bool = False,
    required: Requirement | None = None,
) -> InteractionRequired:
    """The error for a call that needs a person and may not ask one, or that finds none.

    Args:
        error: why a person is needed.
        client, scopes: of the call.
        whom: the account.
        obstacle: why nobody can be asked, if that is known.
        may_ask: whether the call itself may ask.
        for_worker: whether a worker process needs the token.
        required: what a host requires of a new token.
    """
    kind = ConsentRequired if isinstance(error, ConsentRequired) else InteractionRequired
    account = whom.username if isinstance(whom, Account) else ""
    login = login_line(client.settings.profile, account, str(scopes).split())
    login += _options(required)
    if for_worker:
        what = "A worker process asks nobody to sign in."
        hint = f"Run {login} in the notebook, then repeat the work."
    elif obstacle is None and not may_ask:
        what = "This call does not ask anybody to sign in."
        hint = f"Run {login}, then call again."
    elif obstacle is None or obstacle is NOBODY:
        what, hint = "Nobody can be asked here.", NOBODY.hint
        if isinstance(whom, Account):
            hint = f"Run {login}, then this cell again."
    else:
        what, hint = obstacle.what, obstacle.hint
    why = str(error)
    if required is not None and required.host:
        why = f"{required.host} refused the token and requires a new sign-in. {why}"
    return kind(
        f"{why} {what}",
        code=error.code,
        hint=hint,
        correlation_id=error.correlation_id,
        timestamp=error.timestamp,
    )


def _options(required: Requirement | None) -> str:
    """The options of ``%login`` for a sign-in that fulfils a requirement."""
    if required is None:
        return ""
    if required.claims is not None and len(required.claims) <= MOST_CLAIMS:
        return f" --claims {as_word(required.claims)}"
    return " --force" if required.max_age is None else f" --max-age {required.max_age}"

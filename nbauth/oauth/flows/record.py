"""The record of a flow, which panel, doctor, help, completion and settings use."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

from nbauth.core.steps import ReceiverKind, Step
from nbauth.core.tokens import TokenResponse
from nbauth.oauth.authorities import Authority
from nbauth.oauth.engines.protocol import AuthorizationRequest, Engine

Check = Callable[[Authority, AuthorizationRequest], None]
Run = Callable[[Engine, AuthorizationRequest], Generator[Step, Any, TokenResponse]]
Renew = Callable[[Engine, AuthorizationRequest], TokenResponse]


def _accept(authority: Authority, request: AuthorizationRequest) -> None:
    """The check of a flow that works at every authority, or finds out by asking it."""


@dataclass(frozen=True)
class Flow:
    """One way to sign in.

    Attributes:
        name: the value of ``--flow``.
        run: its generator.
        label: the text of its button.
        how: what the person will do, for choosing a flow.
        detail: how it works technically, for the doctor's report.
        receiver: what receives the authorization response; ``None`` if no receiver is needed.
        interactive: whether a person is needed.
        renew: gets new tokens without a person, for a flow whose tokens are not renewed with a
            refresh token.
        own_client: whether it identifies itself without the profile's ``client_id``.
        offered: whether the person can choose it in a panel, and ``auto`` can choose it.
        check: raises ``FlowUnavailable`` or ``ConfigurationError`` for an authority or a request
            for which the flow cannot work, before anything is sent.
        asks_password: whether it uses a password, which the keyring may hold.
    """

    name: str
    run: Run
    label: str
    how: str
    detail: str
    receiver: ReceiverKind | None = None
    interactive: bool = True
    renew: Renew | None = None
    own_client: bool = False
    offered: bool = True
    check: Check = _accept
    asks_password: bool = False


def service_flow(name: str, get: Renew, *, detail: str, own_client: bool = True) -> Flow:
    """The record of a flow that needs no person: it gets each token with ``get``.

    The tokens are renewed by ``get`` too, with the scopes of the new token.
    """

    def run(engine: Engine, request: AuthorizationRequest) -> Generator[Step, Any, TokenResponse]:
        return get(engine, request)
        yield  # makes it a generator; there is no step

    return Flow(
        name,
        run,
        label=f"Use {name}",
        how="Nobody has to sign in.",
        detail=detail,
        interactive=False,
        renew=get,
        own_client=own_client,
        offered=False,
    )

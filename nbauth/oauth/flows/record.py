"""The record of a flow, which panel, doctor, help, completion and settings use."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

from nbauth.core.steps import ReceiverKind, Step
from nbauth.core.tokens import TokenResponse
from nbauth.oauth.engines.protocol import AuthorizationRequest, Engine

Run = Callable[[Engine, AuthorizationRequest], Generator[Step, Any, TokenResponse]]


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
    """

    name: str
    run: Run
    label: str
    how: str
    detail: str
    receiver: ReceiverKind | None = None
    interactive: bool = True

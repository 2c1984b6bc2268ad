"""What a flow is: one record, from which panel, doctor, help, completion and settings read."""

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
        name: the word after ``--flow``.
        run: its generator.
        label: what a button says that begins it.
        how: what happens then, for who chooses.
        detail: the same for an administrator, in the doctor's report.
        receiver: what takes the answer; ``None`` where none has to be reachable.
        interactive: whether a person is needed.
    """

    name: str
    run: Run
    label: str
    how: str
    detail: str
    receiver: ReceiverKind | None = None
    interactive: bool = True

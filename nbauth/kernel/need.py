"""What one call for a token asks for."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from nbauth.core.account import Asked
from nbauth.core.scopes import Scopes
from nbauth.oauth.challenge import Requirement
from nbauth.oauth.client import Client


class Need(NamedTuple):
    """What one call for a token asks for.

    Attributes:
        client: whose token.
        scopes: of the token.
        asked: the account; ``None`` for the current one. A key is an account that was fixed before;
            no other account is used.
        required: what the new token has to fulfil; only the provider knows whether it does.
        refused: the text of a token that a host has refused; it is not returned again.
        interactive: whether the person may be asked.
        asked_by: the host that needs these scopes, which the sign-in shows to the person.
        since: on the monotonic clock; if the person has refused the same sign-in of another call
            since then, they are not asked again.
        for_worker: whether it is for a worker process; an error that the person has not seen yet is
            left for a call of theirs.
    """

    client: Client
    scopes: Scopes
    asked: Asked | None = None
    required: Requirement | None = None
    refused: str | None = None
    interactive: bool = True
    asked_by: str = ""
    since: float = math.inf
    for_worker: bool = False

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The parameters of an authorization request for what is required."""
        return {} if self.required is None else self.required.parameters

"""What a worker asks, and what the notebook's kernel answers: plain values, and no pickles.

A question names a token that a host has refused by its digest. An answer contains an access token
and never a refresh token or an ID token.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from nbauth.core import errors
from nbauth.core.account import Account, AccountKey
from nbauth.core.errors import NbAuthError, TokenError
from nbauth.core.scopes import CAPABLE, Scopes
from nbauth.core.secret import SecretStr
from nbauth.core.tokens import AuthenticationResult, TokenResponse
from nbauth.oauth.challenge import Requirement

VERSION = 1
ON_ITS_WAY = 5.0
"""Seconds for which an answer may be on its way; if it is later, the clocks differ."""


@dataclass(frozen=True)
class Question:
    """What a worker asks for.

    Attributes:
        reference: names the client and account in the notebook's session.
        scopes: the words of the scopes.
        key: as ``Scopes.key``.
        refused: the digest of a token that a host has refused; ``""`` for none.
        required: what the token has to fulfil, or ``None``.
        account: the account, if the worker knows it.
    """

    reference: str
    scopes: tuple[str, ...]
    key: frozenset[str]
    refused: str = ""
    required: Requirement | None = None
    account: AccountKey | None = None

    @classmethod
    def of(
        cls,
        reference: str,
        scopes: Scopes,
        refused: str | None,
        required: Requirement | None,
        account: AccountKey | None,
    ) -> Question:
        """A question for a token of these scopes; ``refused`` is the text of a token."""
        gone = digest(refused) if refused else ""
        return cls(reference, tuple(scopes), scopes.key, gone, required, account)

    @property
    def declares(self) -> bool:
        """Whether the token declares a client capability; see ``Scopes.declaring``."""
        return CAPABLE in self.key

    def plain(self) -> dict[str, Any]:
        """As JSON and msgpack can carry it."""
        return {
            "version": VERSION,
            "reference": self.reference,
            "scopes": list(self.scopes),
            "key": sorted(self.key),
            "refused": self.refused,
            "required": None if self.required is None else asdict(self.required),
            "account": None if self.account is None else list(self.account),
        }

    @classmethod
    def read(cls, plain: object) -> Question:
        """The reverse of :meth:`plain`. Raises ``TokenError`` for anything else."""
        match plain:
            case {
                "version": 1,
                "reference": str(reference),
                "scopes": [*scopes],
                "key": [*key],
                "refused": str(refused),
                "required": required,
                "account": [str(), str(), str()] | None as account,
            } if all(isinstance(word, str) for word in (*scopes, *key)):
                known = None if account is None else AccountKey(*account)
                words = tuple(scopes), frozenset(key)
                return cls(reference, *words, refused, _requirement(required), known)
        raise other_version()


def _requirement(plain: object) -> Requirement | None:
    match plain:
        case None:
            return None
        case {
            "claims": str() | None as claims,
            "acr_values": str() | None as acr_values,
            "max_age": int() | None as max_age,
            "renewable": bool(renewable),
            "host": str(host),
        }:
            return Requirement(claims, acr_values, max_age, renewable, host)
    raise other_version()


def digest(token: str) -> str:
    """Identifies a token without its text."""
    return hashlib.sha256(token.encode()).hexdigest()


def answer_with(result: AuthenticationResult, lifetime: float) -> dict[str, Any]:
    """The answer with a token. ``lifetime``: of the token from its issue, in seconds.

    Its end is in seconds from now, since the clocks of two machines may differ, and as a time,
    since the answer may be on its way for a while.
    """
    account = result.account
    return {
        "version": VERSION,
        "access_token": str(result.access_token),
        "token_type": result.token_type,
        "left": float(result.expires_on - time.time()),
        "expires_on": float(result.expires_on),
        "lifetime": float(lifetime),
        "scopes": list(result.scopes),
        "unique_id": result.unique_id,
        "correlation_id": result.correlation_id,
        "account": {
            "username": account.username,
            "name": account.name,
            "tenant_id": account.tenant_id,
            "home_account_id": account.home_account_id,
            "authority": account.authority,
            "profile": account.profile,
            "client_id": account.client_id,
            "application": account.application,
        },
    }


def answer_with_error(error: NbAuthError) -> dict[str, Any]:
    """The answer with an error."""
    told = {"kind": type(error).__name__, "message": str(error), "code": error.code}
    also = {"hint": error.hint, "correlation_id": error.correlation_id}
    return {"version": VERSION, "error": {**told, **also, "timestamp": error.timestamp}}


@dataclass(frozen=True)
class Lent:
    """A token of the notebook's session, and whose it is."""

    response: TokenResponse
    account: Account
    unique_id: str


def read_answer(plain: object) -> Lent:
    """The token of an answer. Raises its error; ``TokenError`` if it is not an answer."""
    try:
        return _lent(plain)
    except NbAuthError as error:
        del plain  # a traceback in the mode Verbose shows the variables of its frames
        raise error.with_traceback(None)  # noqa: B904


def _lent(plain: object) -> Lent:
    match plain:
        case {"version": 1, "error": {"kind": str(kind), "message": str(message), **told}}:
            raise _kind_of(kind)(message, **_texts(told))
        case {
            "version": 1,
            "access_token": str(text),
            "token_type": str(token_type),
            "left": float(left),
            "expires_on": float(expires_on),
            "lifetime": float(lifetime),
            "scopes": [*scopes],
            "unique_id": str(unique_id),
            "correlation_id": str() | None as correlation_id,
            "account": {**of},
        } if text and all(map(math.isfinite, (left, expires_on, lifetime))):
            if not all(isinstance(scope, str) for scope in scopes):
                raise other_version()
            now = time.time()
            late = now + left - expires_on
            left -= late if 0 < late < ON_ITS_WAY else 0
            response = TokenResponse(
                access_token=SecretStr(text),
                expires_in=lifetime,
                scopes=tuple(scopes),
                received_at=now - max(lifetime - left, 0.0),
                token_type=token_type,
                correlation_id=correlation_id,
            )
            return Lent(response, _account(of), unique_id)
    raise other_version()


def _account(plain: Mapping[Any, Any]) -> Account:
    kinds = {item.name: bool if item.name == "application" else str for item in fields(Account)}
    if plain.keys() != kinds.keys():
        raise other_version()
    if not all(isinstance(plain[name], kind) for name, kind in kinds.items()):
        raise other_version()
    return Account(**plain)


def other_version() -> TokenError:
    """The error for a message that cannot be read."""
    return TokenError(
        "The worker and the notebook have versions of nbauth that do not understand each other.",
        code="other_version",
        hint="Install the same version of nbauth in the notebook, on the scheduler and on the"
        " workers.",
    )


def _kind_of(name: str) -> type[NbAuthError]:
    known = getattr(errors, name, None)
    if isinstance(known, type) and issubclass(known, NbAuthError):
        return known
    return TokenError


def _texts(told: Mapping[Any, Any]) -> dict[str, str]:
    known = ("code", "hint", "correlation_id", "timestamp")
    return {name: told[name] for name in known if isinstance(told.get(name), str)}

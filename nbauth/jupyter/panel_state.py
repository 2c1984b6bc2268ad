"""What a panel tells the browser: one message for each state, of harmless text alone."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from nbauth.core.accounts import Account
from nbauth.core.errors import NbAuthError, SignInExpired
from nbauth.jupyter.display import complete_address, web_address
from nbauth.oauth.error_catalogue import plain

if TYPE_CHECKING:
    from nbauth.kernel.cache import AccountKey, TokenCache
    from nbauth.kernel.sign_in import SignIn

Message = dict[str, Any]


def signed_out(ways: Sequence[str]) -> Message:
    """Nobody is signed in, and nothing is under way."""
    return {"state": "signed-out", "ways": list(ways)}


def waiting(sign_in: SignIn) -> Message:
    """A sign-in under way. ``expires_in`` is in seconds, ``None`` while unknown."""
    refusal = sign_in.refusal
    return {
        "state": "waiting",
        "flow": sign_in.flow,
        "ways": list(sign_in.ways),
        "refusal": two_lines(refusal) if refusal else None,
        "message": plain(sign_in.message),
        "user_code": plain(sign_in.user_code) if sign_in.user_code else None,
        "verification_uri": web_address(sign_in.verification_uri),
        "verification_uri_complete": complete_address(sign_in),
        "authorize_url": web_address(sign_in.authorize_url),
        "expires_in": sign_in.expires_in,
        "asks": {
            "client_id": plain(sign_in.engine.client_id),
            "authority": plain(sign_in.engine.authority.url),
            "scopes": [plain(scope) for scope in sign_in.request.scopes],
        },
    }


def ended(sign_in: SignIn, at: float) -> Message:
    """A sign-in that has come to nothing, at a time in seconds since the epoch."""
    expired = isinstance(sign_in.error, SignInExpired)
    told = failure(sign_in.error, at) if sign_in.error is not None else {}
    state = "expired" if expired else sign_in.state
    return {**told, "state": state, "ways": list(sign_in.ways)}


def failure(error: NbAuthError, at: float) -> Message:
    """What happened, what to do, and what an administrator needs to find it in a log."""
    details = [
        ["code", plain(error.code)],
        ["correlation_id", plain(error.correlation_id or "")],
        ["time", time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(at))],
    ]
    return {
        "state": "failed",
        "error": two_lines(error),
        "error_details": [detail for detail in details if detail[1]],
    }


def two_lines(error: NbAuthError) -> list[str]:
    """What happened, and what to do next."""
    return [plain(error), plain(error.hint)]


def done(
    cache: TokenCache, key: AccountKey, account: Account, others: Iterable[tuple[int, Account]]
) -> Message:
    """Who is signed in, and whom one could change to, each under the number to name them by."""
    tokens = cache.tokens_of(key)
    left = max((token.expires_on for token in tokens), default=None)
    granted = dict.fromkeys(scope for token in tokens for scope in token.response.scopes)
    return {
        "state": "done",
        "account": {
            "name": plain(account.name),
            **_names(account),
            "expires_in": None if left is None else max(0.0, left - time.time()),
            "scopes": [plain(scope) for scope in granted],
        },
        "others": [{"n": number, **_names(other)} for number, other in others],
    }


def _names(account: Account) -> dict[str, str]:
    return {"username": plain(account.username), "tenant": plain(account.tenant_id)}

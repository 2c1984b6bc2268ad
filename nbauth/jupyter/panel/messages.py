"""The messages of a panel to the browser: one for each state, with sanitized text only."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from nbauth.core.account import Account, AccountKey
from nbauth.core.errors import NbAuthError, SignInExpired
from nbauth.core.flow_names import AUTO
from nbauth.core.scopes import application_name, short_names
from nbauth.core.steps import Asking, AskPassword, ChooseFlow, OpenBrowser, Shown, ShowUserCode
from nbauth.core.text import plain, web_address
from nbauth.jupyter.display import complete_address
from nbauth.kernel.sign_in.protocol import Pending
from nbauth.oauth.flows import flow_named

if TYPE_CHECKING:
    from nbauth.kernel.accounts.cache import TokenCache

Message = dict[str, Any]
_AUTO = "Sign in", "nbauth chooses the way to sign in that works best here."


def flows(names: Iterable[str]) -> list[dict[str, str]]:
    """The flows that the panel offers, each with the text of its button and an explanation."""
    offered = [(AUTO, *_AUTO) if name == AUTO else _words(name) for name in names]
    return [{"name": name, "label": label, "how": how} for name, label, how in offered]


def _words(name: str) -> tuple[str, str, str]:
    flow = flow_named(name)
    return flow.name, flow.label, flow.how


def signed_out(ways: Sequence[str]) -> Message:
    """No account is signed in, and no sign-in is pending."""
    return {"state": "signed-out", "ways": flows(ways)}


def waiting(sign_in: Pending) -> Message:
    """A pending sign-in. ``expires_in`` is in seconds, ``None`` while unknown."""
    client, scopes = sign_in.request.client, tuple(sign_in.request.authorization.scopes)
    return {
        "state": "waiting",
        "flow": sign_in.flow,
        "ways": flows(sign_in.ways),
        "message": plain(sign_in.message),
        "expires_in": sign_in.expires_in,
        "asks": {
            "application": plain(application_name(client.client_id)),
            "permissions": [plain(name) for name in short_names(scopes)],
            "client_id": plain(client.client_id),
            "authority": plain(client.authority.url),
            "scopes": [plain(scope) for scope in scopes],
            "needed_by": plain(sign_in.request.asked_by),
        },
        **_NOTHING_SHOWN,
        **_shown(sign_in.step),
    }


_NOTHING_SHOWN = dict.fromkeys(
    ("refusal", "user_code", "verification_uri", "verification_uri_complete", "authorize_url",
     "paste", "password")
)  # fmt: skip


def _shown(step: Shown) -> Message:
    """The data of a step. Raises ``TypeError`` for a kind of step that the panel cannot show."""
    match step:
        case Asking():
            return {}
        case ShowUserCode():
            return {
                "user_code": plain(step.user_code),
                "verification_uri": web_address(step.verification_uri),
                "verification_uri_complete": complete_address(step),
            }
        case OpenBrowser():
            return {"authorize_url": web_address(step.authorize_url), "paste": step.paste}
        case AskPassword():
            question = {
                "username": plain(step.username),
                "note": plain(step.note),
                "refusal": step.refusal and two_lines(step.refusal),
                "attempt": step.attempt,
                "id": step.id,
            }
            return {"password": question}
        case ChooseFlow(refusal):
            return {"refusal": two_lines(refusal)}
    raise TypeError(f"the panel cannot show {type(step).__name__}")


def ended(sign_in: Pending, at: float) -> Message:
    """A sign-in that ended without an account. ``at`` is the time in seconds since the epoch."""
    error = sign_in.error
    state = "expired" if isinstance(error, SignInExpired) else sign_in.state
    told = failure(error, at) if error is not None else {}
    return {**told, "state": state, "ways": flows(sign_in.ways)}


def failure(error: NbAuthError, at: float) -> Message:
    """An error: the message, the hint, and the details with which a log can be searched."""
    here = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(at))
    details = [
        ["code", plain(error.code)],
        ["correlation_id", plain(error.correlation_id or "")],
        ["time", plain(error.timestamp or here)],
    ]
    return {
        "state": "failed",
        "error": two_lines(error),
        "error_details": [detail for detail in details if detail[1]],
    }


def two_lines(error: NbAuthError) -> list[str]:
    """The message and the hint of an error."""
    return [plain(error), plain(error.hint)]


def done(
    cache: TokenCache,
    key: AccountKey,
    shown: tuple[int, Account],
    others: Iterable[tuple[int, Account]],
    *,
    stopped: bool = False,
) -> Message:
    """The signed-in account and the other accounts, each with its number.

    ``stopped``: whether the cell that began the sign-in had failed before.
    """
    number, account = shown
    tokens = cache.tokens_of(key)
    left = max((token.expires_on for token in tokens), default=None)
    granted = dict.fromkeys(scope for token in tokens for scope in token.response.scopes)
    return {
        "state": "done",
        "stopped": stopped,
        "account": {
            "n": number,
            "name": plain(account.name),
            **_names(account),
            "expires_in": None if left is None else max(0.0, left - time.time()),
            "scopes": [plain(scope) for scope in granted],
        },
        "others": [{"n": number, **_names(other)} for number, other in others],
    }


def _names(account: Account) -> dict[str, str]:
    return {"username": plain(account.title), "tenant": plain(account.tenant_id)}

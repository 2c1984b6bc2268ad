"""Sign in from a notebook.

``%load_ext nbauth`` and ``%login``, or the functions of the same names. Names are resolved on first
use, so that importing nbauth loads neither msal, requests nor widgets.
"""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False  # type checkers treat it as true; importing typing would be slow

__version__ = "0.1.0"

_HOME = {
    **dict.fromkeys(
        (
            "accounts", "acquire", "auth", "configure", "credential", "login",
            "login_async", "logout", "panel", "run", "session", "token",
        ),
        "nbauth.api",
    ),
    **dict.fromkeys(("load_ipython_extension", "unload_ipython_extension"), "nbauth.extension"),
    "Account": "nbauth.core.account",
    "AuthenticationResult": "nbauth.core.tokens",
    **dict.fromkeys(("BatchItem", "BatchRequest"), "nbauth.msgraph.batch.items"),
    "Changes": "nbauth.msgraph.changes",
    "Graph": "nbauth.msgraph.client",
    "SecretStr": "nbauth.core.secret",
    "SignIn": "nbauth.kernel.sign_in.attempt",
    "Token": "nbauth.core.tokens",
    **dict.fromkeys(
        (
            "AuthorityUnreachable", "ConfigurationError", "ConsentRequired", "FlowUnavailable",
            "GraphError", "InteractionRequired", "NbAuthError", "NotSignedIn",
            "PersistenceError",
            "SignInCancelled", "SignInDeclined", "SignInError", "SignInExpired",
            "TokenError",
        ),
        "nbauth.core.errors",
    ),
    **dict.fromkeys(
        ("GraphInterrupted", "SignInInterrupted", "TransferInterrupted"), "nbauth.core.interrupted"
    ),
}  # fmt: skip

__all__ = sorted(["graph", *(name for name in _HOME if not name.endswith("_extension"))])

if TYPE_CHECKING:
    from nbauth.api import accounts as accounts
    from nbauth.api import acquire as acquire
    from nbauth.api import auth as auth
    from nbauth.api import configure as configure
    from nbauth.api import credential as credential
    from nbauth.api import login as login
    from nbauth.api import login_async as login_async
    from nbauth.api import logout as logout
    from nbauth.api import panel as panel
    from nbauth.api import run as run
    from nbauth.api import session as session
    from nbauth.api import token as token
    from nbauth.core.account import Account as Account
    from nbauth.core.errors import AuthorityUnreachable as AuthorityUnreachable
    from nbauth.core.errors import ConfigurationError as ConfigurationError
    from nbauth.core.errors import ConsentRequired as ConsentRequired
    from nbauth.core.errors import FlowUnavailable as FlowUnavailable
    from nbauth.core.errors import GraphError as GraphError
    from nbauth.core.errors import InteractionRequired as InteractionRequired
    from nbauth.core.errors import NbAuthError as NbAuthError
    from nbauth.core.errors import NotSignedIn as NotSignedIn
    from nbauth.core.errors import PersistenceError as PersistenceError
    from nbauth.core.errors import SignInCancelled as SignInCancelled
    from nbauth.core.errors import SignInDeclined as SignInDeclined
    from nbauth.core.errors import SignInError as SignInError
    from nbauth.core.errors import SignInExpired as SignInExpired
    from nbauth.core.errors import TokenError as TokenError
    from nbauth.core.interrupted import GraphInterrupted as GraphInterrupted
    from nbauth.core.interrupted import SignInInterrupted as SignInInterrupted
    from nbauth.core.interrupted import TransferInterrupted as TransferInterrupted
    from nbauth.core.secret import SecretStr as SecretStr
    from nbauth.core.tokens import AuthenticationResult as AuthenticationResult
    from nbauth.core.tokens import Token as Token
    from nbauth.kernel.sign_in.attempt import SignIn as SignIn
    from nbauth.msgraph.batch.items import BatchItem as BatchItem
    from nbauth.msgraph.batch.items import BatchRequest as BatchRequest
    from nbauth.msgraph.changes import Changes as Changes
    from nbauth.msgraph.client import Graph as Graph

    graph: Graph


if not TYPE_CHECKING:  # type checkers use the names above only

    def __getattr__(name):
        if name == "graph":  # not stored: it is of the account that is current now
            from nbauth.api import current_graph

            return current_graph()
        home = _HOME.get(name)
        if home is None:
            raise AttributeError(f"module 'nbauth' has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(home), name)  # next time found directly
        return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]

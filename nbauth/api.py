"""The public functions. Each does the same as the magic of its name, on the process's session."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING, Literal, TypeVar, overload

from nbauth.process_session import config_files as config_files
from nbauth.process_session import session_if_made as session_if_made
from nbauth.process_session import the_session as the_session

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Unpack

    from nbauth.adapters.azure_core import Credential
    from nbauth.core.account import Account, AccountKey
    from nbauth.core.options import CallOptions, SettingOptions, SignInOptions
    from nbauth.core.tokens import AuthenticationResult, Token
    from nbauth.jupyter.panel.panel import SignInPanel
    from nbauth.kernel.calls.authorise import Auth
    from nbauth.kernel.calls.authorised_session import AuthorisedSession
    from nbauth.kernel.sign_in.attempt import SignIn
    from nbauth.msgraph.client import Graph

Result = TypeVar("Result")


@overload
def login(
    *scopes: str,
    background: Literal[True],
    account: Account | AccountKey | str | None = None,
    force: bool = False,
    quiet: bool = False,
    web_ui: Callable[[str], str] | None = None,
    **options: Unpack[SignInOptions],
) -> Account | SignIn: ...
@overload
def login(
    *scopes: str,
    background: Literal[False] = False,
    account: Account | AccountKey | str | None = None,
    force: bool = False,
    quiet: bool = False,
    web_ui: Callable[[str], str] | None = None,
    **options: Unpack[SignInOptions],
) -> Account: ...
def login(
    *scopes: str,
    background: bool = False,
    account: Account | AccountKey | str | None = None,
    force: bool = False,
    quiet: bool = False,
    web_ui: Callable[[str], str] | None = None,
    **options: Unpack[SignInOptions],
) -> Account | SignIn:
    """Sign in and return the account; return it at once if it is already signed in.

    Args:
        scopes: the scopes of the first token; default: the profile's, else ``User.Read`` at
            Microsoft's authorities; at other issuers ``openid``, with ``profile``, ``email`` and
            ``offline_access`` if the provider lists them.
        background: return the pending ``SignIn`` at once; cells that need a token wait for it.
        flow: the way to sign in, such as ``"device"``; the setting ``flow`` lists all of them.
        profile, tenant, client_id, authority, timeout (seconds) and every other setting: for this
            call only.
        account: the user name to sign in, also sent as ``login_hint``.
        force: sign in even if already signed in.
        quiet: print nothing if already signed in.
        prompt, login_hint, domain_hint, max_age (seconds), claims (JSON): sent to the provider
            (OpenID Connect Core §3.1.2.1).
        consent_also: more scopes to consent to in the same sign-in; the token does not contain
            them.
        web_ui: a function that controls a browser: it takes the address of the sign-in page, and
            returns the address of the last page.

    Raises:
        ConfigurationError: a setting or option is invalid; nothing was sent.
        SignInError: the sign-in ended without an account.
        InteractionRequired: no user is present to sign in.
        AuthorityUnreachable: the provider did not respond.
    """
    return the_session().login(
        *scopes,
        background=background,
        account=account,
        force=force,
        quiet=quiet,
        web_ui=web_ui,
        **options,
    )


async def login_async(
    *scopes: str,
    account: Account | AccountKey | str | None = None,
    force: bool = False,
    web_ui: Callable[[str], str] | None = None,
    **options: Unpack[SignInOptions],
) -> Account:
    """The same as :func:`login`, for ``await``; cancelling the task cancels the sign-in."""
    return await the_session().login_async(
        *scopes, account=account, force=force, web_ui=web_ui, **options
    )


def logout(
    account: Account | AccountKey | str | None = None,
    *,
    all: bool = False,
    revoke: bool = False,
    forget: bool = False,
    profile: str | None = None,
) -> None:
    """Sign out the current account, the given account or all accounts, and delete their tokens.

    ``revoke`` also asks the provider to revoke the refresh tokens (RFC 7009). ``forget`` signs out
    all accounts, and deletes all stored files and the key. ``profile`` selects the account if
    several have the same name. The browser may still be signed in at the provider.

    Raises:
        NotSignedIn: this kernel has no sign-in for the account.
        ConfigurationError: several accounts have this name, or the arguments contradict.
    """
    the_session().logout(account, all=all, revoke=revoke, forget=forget, profile=profile)


def accounts() -> list[Account]:
    """All accounts that are signed in, current accounts first."""
    return the_session().accounts()


def token(
    *scopes: str,
    account: Account | AccountKey | str | None = None,
    interactive: bool = True,
    id: bool = False,
    **options: Unpack[CallOptions],
) -> Token:
    """A live token: it is refreshed when less than a fifth of its lifetime (at most 300 s) is left.

    ``id``: the ID token of the account instead, which is refreshed by its own lifetime.

    Raises:
        InteractionRequired: a sign-in is needed and no user is present (or ``interactive=False``).
        NotSignedIn, ConsentRequired, AuthorityUnreachable.
    """
    return the_session().token(*scopes, account=account, interactive=interactive, id=id, **options)


def acquire(
    *scopes: str,
    account: Account | AccountKey | str | None = None,
    force_refresh: bool = False,
    claims: str | None = None,
    interactive: bool = True,
    **options: Unpack[CallOptions],
) -> AuthenticationResult:
    """One token with its details. Raises the same errors as :func:`token`.

    ``claims`` is a claims challenge (JSON); with it, a new token is requested from the provider.
    """
    return the_session().acquire(
        *scopes,
        account=account,
        force_refresh=force_refresh,
        claims=claims,
        interactive=interactive,
        **options,
    )


def auth(
    *scopes: str,
    account: Account | AccountKey | str | None = None,
    hosts: Sequence[str] | None = None,
    **options: Unpack[CallOptions],
) -> Auth:
    """An object for ``auth=`` of requests and httpx that adds a valid token for listed hosts only.

    It keeps the client and the account with which it is created; the default is the current
    account. The setting ``hosts`` lists each host with scopes, and the host gets only tokens for
    these scopes. The argument ``hosts`` restricts this object to some of the listed hosts. A
    request that already has an ``Authorization`` header or a storage signature (SAS) is not
    changed.

    Raises:
        ConfigurationError: a host is not listed, or no listed host has these scopes.
    """
    return the_session().authorise(*scopes, account=account, hosts=hosts, **options)


def session(
    *scopes: str,
    account: Account | AccountKey | str | None = None,
    hosts: Sequence[str] | None = None,
    **options: Unpack[CallOptions],
) -> AuthorisedSession:
    """A ``requests.Session`` that adds a token to requests to listed hosts only.

    It checks the host again after each redirect. If a person would have to sign in first, it reads
    Azure Storage without a token, because public data needs none, and signs in only if the response
    requires a token.
    """
    return the_session().authorised_session(*scopes, account=account, hosts=hosts, **options)


def credential(
    *scopes: str,
    account: Account | AccountKey | str | None = None,
    **options: Unpack[CallOptions],
) -> Credential:
    """A credential for the Azure SDKs: azure-core's ``TokenCredential``; ``.aio`` is for ``async``.

    It keeps the client and the account with which it is created; the default is the current
    account. With ``scopes``, it gives tokens for these only; otherwise for the scopes that a
    library requests. Pickling it stores the names of client and account, and no token.

    Raises:
        ConfigurationError: a setting is invalid.
    """
    from nbauth.adapters.azure_core import Credential

    bound = the_session().bind(account, **options)
    return Credential(bound, bound.client.scopes(scopes) if scopes else None)


def current_graph() -> Graph:
    """What ``nbauth.graph`` is: the Graph of the current client and account."""
    from nbauth.msgraph.client import current

    return current(the_session())


def panel(
    *scopes: str,
    account: Account | AccountKey | str | None = None,
    **options: Unpack[SignInOptions],
) -> SignInPanel:
    """The sign-in panel as a widget, to display alone or in a layout."""
    from nbauth.jupyter.panel.panel import SignInPanel

    here = the_session()
    client = here.check(*scopes, account=account, **options)

    def start(flow: str | None = None) -> SignIn:
        chosen = {**options, "flow": flow} if flow else {**options}
        return here.start(*scopes, account=account, show=False, **chosen)

    here.accounts()  # also loads stored accounts
    made = SignInPanel(here, start, client=client if options else None)
    adopt = getattr(here.screen, "adopt", None)
    return made if adopt is None else adopt(made)


def configure(**settings: Unpack[SettingOptions]) -> None:
    """Set settings for this kernel, by their names in ``config.toml``; ``None`` removes a value.

    Raises:
        ConfigurationError: a name is unknown or a value is invalid. No setting is then changed.
    """
    the_session().configure(**settings)


def run(awaitable: Awaitable[Result]) -> Result:
    """Run a coroutine from a plain cell, although an event loop is already running.

    nest_asyncio2 nests the loop, only during the call. Cells that are queued during the call run
    after it.
    """
    import asyncio

    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(_as_task(awaitable))
    from nbauth.jupyter.ipykernel.nesting import nested

    with nested(loop):
        return loop.run_until_complete(_as_task(awaitable))


async def _as_task(awaitable: Awaitable[Result]) -> Result:
    return await awaitable

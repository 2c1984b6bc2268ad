"""The functions users call; each does what the magic of its name does, on one session a process."""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Awaitable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Unpack

    from nbauth.core.account import Account, AccountKey
    from nbauth.core.options import CallOptions, SettingOptions, SignInOptions
    from nbauth.core.tokens import AuthenticationResult, Token
    from nbauth.jupyter.panel.panel import SignInPanel
    from nbauth.jupyter.screens import Screens
    from nbauth.kernel.authorise import Auth, AuthorisedSession
    from nbauth.kernel.session import Session
    from nbauth.kernel.sign_in.attempt import SignIn

Result = TypeVar("Result")

_session: Session | None = None
_lock = threading.Lock()
_loaded_in = os.getpid()
"""The process whose notebook this is; a child that was forked from it has none."""


def _new_lock() -> None:
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):  # also for a child that is forked before the first use
    os.register_at_fork(after_in_child=_new_lock)


def the_session() -> Session:
    """The process's one session, made on first use."""
    if _session is not None:
        return _session
    from nbauth.core.forks import no_fork

    with no_fork(), _lock:
        return _session or _new_session()


def session_if_made() -> Session | None:
    """The same, but ``None`` where nothing has used it yet."""
    return _session


def _new_session(
    screens: Screens | None = None, make_engine: Callable[..., Any] | None = None
) -> Session:
    """One with the hooks of a process; tests give it a screen and engines of their own."""
    global _session
    # Most of nbauth is loaded here, and so not by %load_ext.
    from nbauth.core.errors import NbAuthError
    from nbauth.core.settings_reader import SettingsReader
    from nbauth.kernel.session import Session

    if screens is None:
        from nbauth.jupyter.screens import Screens

        screens = Screens()
    if os.getpid() != _loaded_in:
        screens.forked()
    made = Session(SettingsReader(os.environ, config_files, screens), screens, make_engine)
    screens.serve(made)
    atexit.register(made.rest)  # what a refresh under way brings is kept first
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=partial(_forked, made, screens))
    NbAuthError.wants_traceback = staticmethod(_debugging)
    _session = made
    return made


def _forked(session: Session, screens: Screens) -> None:
    """In a child that was forked from this process, multiprocessing's own way."""
    screens.forked()
    session.forked()


def config_files() -> list[Path]:
    """Where settings may be written down; the first file that is there counts."""
    from nbauth.core import folders

    return [Path(path) for path in folders.config_files()]


def _debugging() -> bool:
    from nbauth.core.errors import NbAuthError

    try:
        return the_session().settings().debug
    except NbAuthError:
        return False  # what cannot be read asks for nothing


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
    """Sign in and return the account; return it at once if it is signed in already.

    Args:
        scopes: what the first token is for; default: the profile's, else ``User.Read`` at
            Microsoft's authorities and ``openid profile email offline_access`` elsewhere.
        background: return the pending ``SignIn`` at once; cells that need a token wait for it.
        flow: ``"auto"``, ``"browser"``, ``"callback"``, ``"paste"`` or ``"device"``.
        profile, tenant, client_id, authority, timeout (seconds) and every other setting: for this
            call only.
        account: the user name to sign in, also sent as ``login_hint``.
        force: sign in even if signed in already.
        quiet: say nothing if signed in already.
        prompt, login_hint, domain_hint, max_age (seconds), claims (JSON), consent_also (scopes):
            sent as given (OpenID Connect Core §3.1.2.1).
        web_ui: ``web_ui(authorize_url) -> address the browser ended at``.

    Raises:
        ConfigurationError: before anything is sent.
        SignInError: the attempt ended without an account.
        InteractionRequired: nobody can answer here.
        AuthorityUnreachable: the provider did not answer.
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
    """:func:`login` for ``await``; cancelling the task cancels the sign-in."""
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
    """Forget the current account, or the named one, or all, with every token.

    ``revoke`` also asks the provider to withdraw the sign-in, where it offers that (RFC 7009).
    ``profile`` says whose account a name means. The browser's own session at the provider stays.

    Raises:
        NotSignedIn: for an account that is not signed in here.
        ConfigurationError: for a name that several accounts share.
    """
    the_session().logout(account, all=all, revoke=revoke, forget=forget, profile=profile)


def accounts() -> list[Account]:
    """Everybody who is signed in, current accounts first."""
    return the_session().accounts()


def token(
    *scopes: str,
    account: Account | AccountKey | str | None = None,
    interactive: bool = True,
    **options: Unpack[CallOptions],
) -> Token:
    """A live token: it is refreshed when less than min(a fifth of its life, 300 s) is left.

    Raises:
        InteractionRequired: a person is needed and nobody can answer (or ``interactive=False``).
        NotSignedIn, ConsentRequired, AuthorityUnreachable.
    """
    return the_session().token(*scopes, account=account, interactive=interactive, **options)


def acquire(
    *scopes: str,
    account: Account | AccountKey | str | None = None,
    force_refresh: bool = False,
    claims: str | None = None,
    interactive: bool = True,
    **options: Unpack[CallOptions],
) -> AuthenticationResult:
    """One token with all that is known of it. Raises as :func:`token` does.

    ``claims`` is a claims challenge (JSON), which asks the provider anew.
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
    """An object for ``auth=`` of requests and httpx: adds a fresh token for listed hosts only.

    It keeps the client and the account that it is made with, by default the current one. A host
    gets only a token for scopes that its entry in the setting ``hosts`` covers; ``hosts`` here
    narrows the listed hosts for this object. A request that has an ``Authorization`` or a storage
    signature (SAS) of its own is left as it is.

    Raises:
        ConfigurationError: for a host that is not listed, or scopes that no listed host covers.
    """
    return the_session().authorise(*scopes, account=account, hosts=hosts, **options)


def session(
    *scopes: str,
    account: Account | AccountKey | str | None = None,
    hosts: Sequence[str] | None = None,
    **options: Unpack[CallOptions],
) -> AuthorisedSession:
    """A ``requests.Session`` that authorises its calls to listed hosts, at every redirect anew.

    What storage may give to anybody is read without a token where a person would have to be asked
    for one, and asked for with one if the answer says so.
    """
    return the_session().authorised_session(*scopes, account=account, hosts=hosts, **options)


def panel(
    *scopes: str,
    account: Account | AccountKey | str | None = None,
    **options: Unpack[SignInOptions],
) -> SignInPanel:
    """The sign-in panel as a widget: show it, or lay it out beside others."""
    from nbauth.jupyter.panel.panel import SignInPanel

    here = the_session()
    client = here.check(*scopes, account=account, **options)

    def start(flow: str | None = None) -> SignIn:
        chosen = {**options, "flow": flow} if flow else {**options}
        return here.start(*scopes, account=account, show=False, **chosen)

    here.accounts()  # finds who is kept, too
    made = SignInPanel(here, start, client=client if options else None)
    adopt = getattr(here.screen, "adopt", None)
    return made if adopt is None else adopt(made)


def configure(**settings: Unpack[SettingOptions]) -> None:
    """Set settings for this kernel, by the names of the profile file; ``None`` takes one back.

    Raises:
        ConfigurationError: for an unknown name or a bad value; then none of them is set.
    """
    the_session().configure(**settings)


def run(awaitable: Awaitable[Result]) -> Result:
    """Run a coroutine from a plain cell, where an event loop is running already.

    The loop is nested only while it runs (nest_asyncio2); cells queued meanwhile are kept.
    """
    import asyncio

    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:

        async def awaited() -> Result:
            return await awaitable

        return asyncio.run(awaited())
    from nbauth.jupyter.ipykernel.nesting import nested

    with nested(loop):
        return loop.run_until_complete(_as_task(awaitable))


async def _as_task(awaitable: Awaitable[Result]) -> Result:
    return await awaitable

"""The functions users call; each does what the magic of its name does, on one session a process."""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Awaitable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from nbauth.core.accounts import Account
from nbauth.core.errors import NbAuthError
from nbauth.core.settings import NAMES
from nbauth.core.settings_reader import SettingsReader
from nbauth.core.tokens import AuthenticationResult, Token
from nbauth.kernel.session import Session

if TYPE_CHECKING:
    from nbauth.jupyter.panel import SignInPanel
    from nbauth.kernel.authorise import Auth, AuthorisedSession
    from nbauth.kernel.sign_in import SignIn

Result = TypeVar("Result")

_session: Session | None = None
_lock = threading.Lock()


def the_session() -> Session:
    """The process's one session, made on first use."""
    global _session
    with _lock:
        if _session is None:
            from nbauth.jupyter.screen import Screens

            reader = SettingsReader(os.environ, config_files)
            _session = Session(reader.settings, reader.profiles)
            atexit.register(_session.rest)  # what a refresh under way brings is kept first
            _session.screen = Screens(_session)
            NbAuthError.wants_traceback = staticmethod(_debugging)
        return _session


def config_files() -> list[Path]:
    """Where settings may be written down; the first file that is there counts."""
    from platformdirs import site_config_path, user_config_path

    folders = user_config_path("nbauth", False), site_config_path("nbauth", False)
    return [folder / "config.toml" for folder in folders]


def _debugging() -> bool:
    try:
        return the_session().settings().debug
    except NbAuthError:
        return False  # what cannot be read asks for nothing


@overload
def login(*scopes: str, background: Literal[True], **options: Any) -> Account | SignIn: ...
@overload
def login(*scopes: str, background: Literal[False] = False, **options: Any) -> Account: ...
def login(*scopes: str, background: bool = False, **options: Any) -> Account | SignIn:
    """Sign in and return the account; return it at once if that is so already.

    Args:
        scopes: what the first token is for; default: the profile's, else ``User.Read`` at
            Microsoft's authorities and ``openid profile email offline_access`` elsewhere.
        background: return the pending ``SignIn`` at once; cells that need a token wait for it.
        flow: ``"auto"``, ``"browser"``, ``"callback"``, ``"paste"`` or ``"device"``.
        profile, tenant, client_id, authority, timeout (seconds) and every other setting: for this
            call only.
        account: the user name to sign in, also sent as ``login_hint``.
        force: sign in even if that is so already.
        prompt, login_hint, domain_hint, max_age (seconds), claims (JSON), consent_also (scopes):
            sent as given (OpenID Connect Core §3.1.2.1).
        web_ui: ``web_ui(authorize_url) -> address the browser ended at``.

    Raises:
        ConfigurationError: before anything is sent.
        SignInError: the attempt ended without an account.
        InteractionRequired: nobody can answer here.
        AuthorityUnreachable: the provider did not answer.
    """
    return the_session().login(*scopes, background=background, **options)


async def login_async(*scopes: str, **options: Any) -> Account:
    """:func:`login` for ``await``; cancelling the task cancels the sign-in."""
    return await the_session().login_async(*scopes, **options)


def logout(
    account: Account | str | None = None,
    *,
    all: bool = False,
    revoke: bool = False,
    forget: bool = False,
) -> None:
    """Forget the current account, or the named one, or all, with every token.

    ``revoke`` also asks the provider to withdraw the sign-in, where it offers that (RFC 7009).
    The browser's own session at the provider stays.

    Raises:
        NotSignedIn: for an account that is not signed in here.
    """
    the_session().logout(account, all=all, revoke=revoke, forget=forget)


def accounts() -> list[Account]:
    """Everybody who is signed in, current accounts first."""
    return the_session().accounts()


def token(
    *scopes: str, account: Account | str | None = None, interactive: bool = True, **options: Any
) -> Token:
    """A live token: it is refreshed when less than min(a fifth of its life, 300 s) is left.

    Raises:
        InteractionRequired: a person is needed and nobody can answer (or ``interactive=False``).
        NotSignedIn, ConsentRequired, AuthorityUnreachable.
    """
    return the_session().token(*scopes, account=account, interactive=interactive, **options)


def acquire(
    *scopes: str,
    account: Account | str | None = None,
    force_refresh: bool = False,
    claims: str | None = None,
    interactive: bool = True,
    **options: Any,
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


def auth(*scopes: str, hosts: list[str] | None = None, **options: Any) -> Auth:
    """An object for ``auth=`` of requests and httpx: adds a fresh token for listed hosts only.

    ``hosts`` narrows the listed hosts for this object. Raises ``ConfigurationError`` for a host
    that is not listed.
    """
    from nbauth.kernel.authorise import Auth, listed_hosts

    session = the_session()
    client = session.client(**options)
    wanted = client.scopes(scopes) if scopes else None

    def fetch(its_scopes: Any, anew: bool) -> str:
        return str(session.acquire(*its_scopes, force_refresh=anew, **options).access_token)

    return Auth(listed_hosts(client, wanted, hosts), fetch)


def session(*scopes: str, hosts: list[str] | None = None, **options: Any) -> AuthorisedSession:
    """A ``requests.Session`` that authorises its calls to listed hosts, at every redirect anew."""
    from nbauth.kernel.authorise import AuthorisedSession

    settings = the_session().settings(**options)
    return AuthorisedSession(
        auth(*scopes, hosts=hosts, **options), settings.verify, settings.proxies
    )


def panel(*scopes: str, **options: Any) -> SignInPanel:
    """The sign-in panel as a widget: show it, or lay it out beside others."""
    from nbauth.jupyter.panel import SignInPanel
    from nbauth.jupyter.screen import NotebookScreen

    here = the_session()
    here.client(**{name: options.get(name) for name in NAMES})

    def start(flow: str | None = None) -> SignIn:
        return here.start(*scopes, show=False, **{**options, **({"flow": flow} if flow else {})})

    here.accounts()  # finds who is kept, too
    made = SignInPanel(here, start)
    screen = here.screen()
    return screen.adopt(made) if isinstance(screen, NotebookScreen) else made


def configure(**settings: Any) -> None:
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

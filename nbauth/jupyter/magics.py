"""``%login``, ``%logout``, ``%token``, ``%accounts``."""

from __future__ import annotations

import shlex
import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError
from IPython.core.magic import Magics, line_magic, magics_class

from nbauth.core.flow_names import AUTO, HERE
from nbauth.jupyter.on_first_use import OnFirstUse
from nbauth.jupyter.parsed_late import argument, parsed_late

if TYPE_CHECKING:
    from nbauth.core.account import Account
    from nbauth.core.secret import SecretStr
    from nbauth.core.tokens import AuthenticationResult, Token
    from nbauth.kernel.sign_in.attempt import SignIn

_OF_A_CALL = ("profile", "flow", "tenant", "client_id", "authority", "persist", "timeout")
_OF_A_SIGN_IN = ("prompt", "login_hint", "domain_hint", "max_age", "claims", "consent_also")


def _common(function: Any) -> Any:
    for option in (
        argument("--profile", metavar="NAME", help="the profile of config.toml to use"),
        argument("--account", metavar="USER", help="whose sign-in or token"),
        argument("--quiet", action="store_true", help="print less"),
    ):
        function = option(function)
    return function


def _print(*lines: str) -> None:
    from nbauth.core.output import OutputGone, write

    with suppress(OutputGone):  # a full disk, or a closed stream of the person's own
        write(*lines)


def read_line(magic: Any, line: str) -> Any:
    """Parse a magic's line; a bad argument is one line to the person (``UsageError``)."""
    try:
        shlex.split(line)
    except ValueError as error:
        raise UsageError(f"That line cannot be read: {error}.") from None
    try:
        return magic.parser.parse_argstring(line)
    except UsageError as error:
        raise UsageError(_with_guess(str(error), magic.parser)) from None


def _with_guess(error: str, parser: Any) -> str:
    """What argparse says of an option that there is not, with the one that was probably meant."""
    from nbauth.core.text import closest

    unknown = next((word for word in error.split() if word.startswith("--")), "")
    known = [name for action in parser._actions for name in action.option_strings]
    guess = closest(unknown.partition("=")[0], known) if "unrecognized" in error else ""
    return f"{error}. Did you mean {guess}?" if guess else error


@magics_class
class AuthMagics(Magics):  # type: ignore[misc]
    """The magics, over one session."""

    def __init__(self, shell: Any, used: OnFirstUse) -> None:
        super().__init__(shell)
        self._used = used

    @parsed_late
    @argument("scopes", nargs="*", metavar="SCOPE", help="what the first token is for")
    @_common
    @argument("--flow", help=f"the way to sign in: {', '.join((AUTO, *HERE))}")
    @argument("--tenant", help="a tenant's GUID or domain")
    @argument("--client-id", help="the application's id")
    @argument("--authority", metavar="URL", help="an authority's or issuer's address")
    @argument("--prompt", help="select_account, consent, login, create or none")
    @argument("--login-hint", metavar="USER", help="whom the provider should propose")
    @argument("--domain-hint", metavar="DOMAIN", help="whose sign-in page to go to")
    @argument("--max-age", type=int, metavar="SECONDS", help="how old the browser's session may be")
    @argument("--claims", metavar="JSON", help="a claims request; write it as $variable")
    @argument(
        "--consent-also", nargs="+", metavar="SCOPE", help="request consent now for later use"
    )
    @argument("--persist", metavar="STORE", help="where it is kept: memory, keyring or file")
    @argument("--timeout", type=float, metavar="SECONDS", help="how long to wait for the person")
    @argument("--force", action="store_true", help="sign in even if signed in already")
    @argument("--background", action="store_true", help="return at once; cells that need it wait")
    @argument(
        "--doctor",
        action="store_true",
        help="print what was seen, what holds, what the provider says",
    )
    @argument("--offline", action="store_true", help="with --doctor: ask nothing over the network")
    @line_magic
    def login(self, line: str) -> Account | SignIn | None:
        """Sign in. Gives the account, or the pending sign-in with --background."""
        asked = read_line(self.login, line)
        if asked.doctor:
            self._doctor(asked)
            return None
        if asked.offline:
            raise UsageError("--offline goes with --doctor.")
        options = {
            name: value
            for name in _OF_A_CALL + _OF_A_SIGN_IN
            if (value := getattr(asked, name)) is not None
        }
        return self._used.session.login(
            *asked.scopes,
            account=asked.account,
            force=asked.force,
            background=asked.background,
            quiet=asked.quiet,
            **options,
        )

    @parsed_late
    @_common
    @argument("--all", action="store_true", help="every account")
    @argument("--revoke", action="store_true", help="also ask the provider to withdraw the sign-in")
    @argument("--forget", action="store_true", help="every account, and all that is remembered")
    @line_magic
    def logout(self, line: str) -> None:
        """Forget the account and its tokens. The browser's own session at the provider stays."""
        asked = read_line(self.logout, line)
        self._sign_out(
            asked, asked.account, all=asked.all, revoke=asked.revoke, forget=asked.forget
        )

    def _sign_out(self, asked: Any, account: str | None, **how: bool) -> None:
        gone = self._used.session.logout(account, profile=asked.profile, **how)
        if asked.quiet:
            return
        if not gone:
            _print("Nobody was signed in.")
        for record in gone:
            where = f" To end it, open {record.sign_out_url}" if record.sign_out_url else ""
            _print(
                f"Signed out {record.account.username}. The browser's own session at the provider"
                f" stays.{where}"
            )

    @parsed_late
    @argument("scopes", nargs="*", metavar="SCOPE", help="what the token is for")
    @_common
    @argument("--into", metavar="NAME", help="set this variable, show nothing")
    @argument(
        "--str", dest="text", action="store_true", help="a masked str, rebound before it goes stale"
    )
    @argument("--env", metavar="NAME", help="set this environment variable for ! commands")
    @argument("--header", action="store_true", help='{"Authorization": "Bearer …"}')
    @argument("--show", action="store_true", help="who, scopes, tenant, expiry, source; no secret")
    @argument("--force-refresh", action="store_true", help="fetch it anew")
    @line_magic
    def token(self, line: str) -> Token | SecretStr | dict[str, str] | None:
        """A live token, which never goes stale."""
        asked = read_line(self.token, line)
        options = {"profile": asked.profile} if asked.profile else {}
        self._used.variables.check(asked.into, asked.env)
        session, variables = self._used.session, self._used.variables
        if asked.force_refresh or asked.show:
            result = session.acquire(
                *asked.scopes, account=asked.account, force_refresh=asked.force_refresh, **options
            )
            if asked.show:
                _print(*describe(result))
        token = session.token(*asked.scopes, account=asked.account, **options)
        # A variable is read before every cell, where nobody expects to be asked.
        quiet = partial(
            session.token, *asked.scopes, account=token.owner, interactive=False, **options
        )
        if asked.env:
            variables.put_environment(asked.env, quiet())
        if asked.into:
            if asked.text:
                variables.put_text(asked.into, quiet())
            else:
                variables.put(asked.into, token.header if asked.header else token)
        self._used.forget_the_gone()  # who signed out after the token was read
        if asked.into or asked.env or asked.show:
            return None
        if asked.header:
            return token.header
        return token.value if asked.text else token

    @parsed_late
    @argument("verb", nargs="?", choices=["use", "drop"], help="make USER current, or sign it out")
    @argument("user", nargs="?", metavar="USER")
    @_common
    @line_magic
    def accounts(self, line: str) -> list[Account]:
        """Who is signed in: a table, and the list of accounts."""
        from nbauth.jupyter.accounts_table import table_of

        asked = read_line(self.accounts, line)
        if asked.verb and not asked.user:
            raise UsageError(f"Say whom: %accounts {asked.verb} USER.")
        if asked.verb == "use":
            account = self._used.session.use(asked.user, profile=asked.profile)
            if not asked.quiet:
                _print(f"Using {account.username}.")
        elif asked.verb == "drop":
            self._sign_out(asked, asked.user)
        return table_of(self._used.session, asked.profile, asked.account)

    def _doctor(self, asked: Any) -> None:
        from nbauth.jupyter.places.doctor import parts

        call = {name: getattr(asked, name) for name in _OF_A_CALL}
        page = getattr(self._used.session.screen, "page", None)
        for part in parts(self._used.session, call, page=page, ask=not asked.offline):
            _print(*part.lines)


def describe(result: AuthenticationResult) -> list[str]:
    """What ``%token --show`` shows: everything but the secret."""
    left = round(result.expires_on - time.time())
    return [
        f"account  {result.account.username}",
        f"scopes   {' '.join(result.scopes)}",
        *([f"tenant   {result.tenant_id}"] if result.tenant_id else []),
        f"expires  in {left // 60} min {left % 60} s",
        f"source   {result.source}",
    ]

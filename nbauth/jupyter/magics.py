"""The magics ``%login``, ``%logout``, ``%token``, ``%accounts``, ``%whoami`` and ``%%auth``."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError
from IPython.core.magic import Magics, cell_magic, line_magic, magics_class

from nbauth.jupyter.hidden_value import HiddenValue
from nbauth.jupyter.lazy_parser import argument, lazily_parsed, lazily_parsed_cell
from nbauth.jupyter.magic_arguments import common_arguments, sign_in_arguments
from nbauth.jupyter.magic_questions import scopes_of, verb_of
from nbauth.jupyter.magic_state import MagicState

if TYPE_CHECKING:
    from nbauth.core.account import Account
    from nbauth.core.secret import SecretStr
    from nbauth.core.tokens import Token
    from nbauth.kernel.sign_in.attempt import SignIn

_OF_A_CALL = ("profile", "flow", "tenant", "client_id", "authority", "persist", "timeout")
_OF_A_SIGN_IN = ("prompt", "login_hint", "domain_hint", "max_age", "claims", "consent_also")


def _print(*lines: str) -> None:
    from nbauth.core.output import OutputGone, write

    with suppress(OutputGone):  # a full disk, or a stream that the user has closed
        write(*lines)


@magics_class
class AuthMagics(Magics):  # type: ignore[misc]
    """The magics of the process's session."""

    def __init__(self, shell: Any, state: MagicState, hidden_value: HiddenValue) -> None:
        super().__init__(shell)
        self._state = state
        self._hidden_value = hidden_value

    @lazily_parsed
    @argument("scopes", nargs="*", metavar="SCOPE", help="the scopes of the first token")
    @sign_in_arguments
    @common_arguments
    @line_magic
    def login(self, args: Any) -> Account | SignIn | None:
        """Sign in. Returns the account, or with --background the pending sign-in.

        Values may be quoted; $name and {expression} are replaced by their values.
        """
        scopes = self._scopes(args, "login")
        if args.doctor:
            self._doctor(args)
            return None
        if args.offline:
            raise UsageError("--offline needs --doctor.")
        options = {
            name: value
            for name in _OF_A_CALL + _OF_A_SIGN_IN
            if (value := getattr(args, name)) is not None
        }
        result = self._state.session.login(
            *scopes,
            account=args.account,
            force=args.force,
            background=args.background,
            quiet=args.quiet,
            **options,
        )
        if not args.quiet:
            self._hidden_value.hide(result)
        return result

    @lazily_parsed
    @argument("--all", action="store_true", help="sign out every account")
    @argument(
        "--revoke", action="store_true", help="also ask the provider to revoke the refresh tokens"
    )
    @argument(
        "--forget",
        action="store_true",
        help="sign out every account, and delete all stored files and the key",
    )
    @common_arguments
    @line_magic
    def logout(self, args: Any) -> None:
        """Sign out: remove the current or the named account and its tokens.

        The browser may still be signed in at the provider.
        """
        self._sign_out(args, args.account, all=args.all, revoke=args.revoke, forget=args.forget)

    def _sign_out(self, args: Any, account: str | None, **how: bool) -> None:
        gone = self._state.session.logout(account, profile=args.profile, **how)
        if args.quiet:
            return
        if not gone:
            _print("Nobody was signed in.")
        for record in gone:
            where = f" To sign out there: {record.sign_out_url}" if record.sign_out_url else ""
            browser = f" The browser may still be signed in at the provider.{where}"
            told = "" if record.account.application else browser
            _print(f"Signed out {record.account.title}.{told}")

    @lazily_parsed
    @argument("scopes", nargs="*", metavar="SCOPE", help="the scopes of the token")
    @argument("--into", metavar="NAME", help="put the token into this variable, and show nothing")
    @argument(
        "--str",
        dest="text",
        action="store_true",
        help="return a str whose display is masked; with --into, it is refreshed before each cell",
    )
    @argument(
        "--env",
        metavar="NAME",
        help="put the token into this environment variable, for ! commands; it is refreshed before"
        " each cell",
    )
    @argument(
        "--header",
        action="store_true",
        help='return a dict: {"Authorization": "Bearer …"}; with --into, a mapping that always has'
        " the current token",
    )
    @argument("--id", action="store_true", help="the ID token instead, refreshed in the same way")
    @argument(
        "--show", action="store_true", help="print account, scopes, tenant, expiry and source"
    )
    @argument("--force-refresh", action="store_true", help="request a new token now")
    @common_arguments
    @line_magic
    def token(self, args: Any) -> Token | SecretStr | dict[str, str] | None:
        """A live token: it is refreshed when it is read. Its display is masked.

        A variable of --into or --env is removed when its account signs out. Without --into, use
        the token as f"Bearer {t}", "Bearer " + t, t.header or str(t).
        """
        scopes = self._scopes(args, "token")
        if args.header and args.text:
            raise UsageError("--header and --str exclude each other.")
        options: dict[str, Any] = {"profile": args.profile} if args.profile else {}
        from nbauth.jupyter.shown_token import describe, describe_id_token

        self._state.variables.check(args.into, args.env)
        session, variables = self._state.session, self._state.variables
        if args.force_refresh or (args.show and not args.id):
            result = session.acquire(
                *scopes, account=args.account, force_refresh=args.force_refresh, **options
            )
            if args.show and not args.id:
                _print(*describe(result))
        options["id"] = args.id
        token = session.token(*scopes, account=args.account, **options)
        if args.show and args.id:
            _print(*describe_id_token(token, session.cache.signed_in[token.owner].id_token_claims))
        # It is read before every cell, where a sign-in must not begin.
        quiet = partial(session.token, *scopes, account=token.owner, interactive=False, **options)
        if args.env:
            variables.put_environment(args.env, quiet())
        if args.into:
            if args.text:
                variables.put_text(args.into, quiet())
            else:
                from nbauth.core.live_header import LiveHeader

                variables.put(args.into, LiveHeader(token) if args.header else token, token)
        self._state.remove_signed_out()  # the account may have signed out since the token was read
        if args.into or args.env or args.show:
            return None
        if args.header:
            return token.header
        return token.value if args.text else token

    @lazily_parsed
    @argument("verb", nargs="?", metavar="use|drop", help="make USER current, or sign USER out")
    @argument("user", nargs="?", metavar="USER", help="a user name, or an Account")
    @common_arguments
    @line_magic
    def accounts(self, args: Any) -> list[Account]:
        """Show the signed-in accounts as a table, and return them as a list.

        The table also has the names of the variables that %token has set.
        """
        from nbauth.jupyter.accounts_table import table_of

        verb, user = verb_of(args.verb, args.user)
        if verb == "use":
            account = self._state.session.use(user, profile=args.profile)
            if not args.quiet:
                _print(f"Using {account.username}.")
        elif verb == "drop":
            self._sign_out(args, user)
        names_of = self._state.names_of
        return table_of(self._state.session, args.profile, args.account, names_of)

    @lazily_parsed
    @common_arguments
    @line_magic
    def whoami(self, args: Any) -> None:
        """Print the current account in one line: tenant, profile, token and where it is kept."""
        from nbauth.jupyter.accounts_table import table_of

        names_of = self._state.names_of
        table = table_of(self._state.session, args.profile, args.account, names_of)
        _print(table.first_line())

    @lazily_parsed_cell
    @argument("scopes", nargs="*", metavar="SCOPE", help="the scopes of the tokens")
    @argument("--host", nargs="+", metavar="NAME", help="only these of the listed hosts")
    @common_arguments
    @cell_magic
    def auth(self, args: Any, cell: str | None) -> None:
        """Run the cell with tokens added to its calls of requests and httpx.

        A call to a listed https host gets the Authorization header, unless it has its own. Threads
        and tasks that the cell starts are included until the cell ends. Other HTTP libraries, such
        as urllib and aiohttp, are not: for them, use headers=nbauth.token().header.
        """
        from nbauth.jupyter.authorise_cell import begin

        begin(self._state.session, args, self._scopes(args, "auth"), cell)

    def _scopes(self, args: Any, magic: str) -> list[str]:
        found = vars(type(self))[magic]
        options, magic = found.options, found.prog
        return scopes_of(args.scopes, magic, options, lambda: self._state.session.reader.profiles())

    def _doctor(self, args: Any) -> None:
        from nbauth.jupyter.places.doctor import parts

        call = {name: getattr(args, name) for name in _OF_A_CALL}
        page = getattr(self._state.session.screen, "page", None)
        for part in parts(self._state.session, call, page=page, ask=not args.offline):
            _print(*part.lines)

"""The `nbauth` command. Each subcommand is imported when it is called, not before."""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path

from nbauth import __version__
from nbauth.core.output import OutputGone, discard, fit_streams, flush, write

_DEMO_NEEDS = ("tornado", "cryptography", "joserfc")
_OF_A_CLIENT = ("profile", "tenant", "client_id", "authority", "persist")
_LAB_NEEDS = ("jupyterlab",)
_CHECK_NEEDS = ("jupyter_client", "ipykernel", "nbformat", "requests")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand. Returns the exit code: 0 success, 1 failure, 2 usage, 130 interrupted."""
    fit_streams()
    try:
        try:
            return _run(argv)
        finally:
            flush()
    except OutputGone:  # a full disk or a closed pipe: an error message cannot be written either
        discard()
        return 1
    except KeyboardInterrupt:
        return 130


def parser() -> argparse.ArgumentParser:
    """The parser of the command line; each subcommand sets `run`."""
    parser = argparse.ArgumentParser(prog="nbauth", description="Sign in from a Jupyter notebook.")
    parser.add_argument("--version", action="version", version=f"nbauth {__version__}")
    parser.set_defaults(run=None)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    _add_demo(commands)
    _add_doctor(commands)
    _add_import_cache(commands)
    return parser


def _run(argv: Sequence[str] | None) -> int:
    ours = parser()
    arguments = ours.parse_args(argv)
    if arguments.run is None:
        ours.print_help(sys.stderr)
        return 2
    code: int = arguments.run(arguments)
    return code


def _add_demo(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    demo = commands.add_parser(
        "demo",
        help="try nbauth with a local identity provider; nothing leaves this computer",
        description="Starts a local identity provider, a local Graph and JupyterLab with two"
        " notebooks.",
    )
    demo.add_argument(
        "--port", type=_port, metavar="N", help="JupyterLab's port (default: a free port)"
    )
    demo.add_argument(
        "--no-browser", action="store_true", help="print the address, do not open a browser"
    )
    demo.add_argument(
        "--access-ttl",
        type=_seconds,
        default=3600,
        metavar="SECONDS",
        help="lifetime of access tokens (default: 3600)",
    )
    demo.add_argument(
        "--pages-url",
        type=_pages_url,
        metavar="URL",
        help="address of the sign-in pages for a browser on another computer, with {port} for their"
        " port: https://HUB/user/NAME/proxy/{port}; sign-in then uses a device code",
    )
    mode = demo.add_mutually_exclusive_group()
    mode.add_argument(
        "--check",
        action="store_true",
        help="run the notebooks without a browser, with real sign-ins",
    )
    mode.add_argument(
        "--idp-only", action="store_true", help="start only provider and Graph, until stopped"
    )
    demo.add_argument(
        "--json", action="store_true", help="with --idp-only: print one JSON line only"
    )
    demo.set_defaults(run=_demo, fail=demo.error)


def _add_doctor(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    doctor = commands.add_parser(
        "doctor",
        help="show what is installed and set, which flow is chosen, and what to register",
        description="Starts no sign-in and shows no secret. Requests the provider's metadata, for"
        " at most ten seconds. The exit code is 1 if something would prevent a sign-in. In a"
        " notebook: %login --doctor.",
    )
    _add_options(doctor)
    doctor.add_argument("--flow", metavar="FLOW", help="the sign-in flow")
    doctor.add_argument("--offline", action="store_true", help="send no network request")
    doctor.add_argument(
        "--live",
        action="store_true",
        help="try each way to sign in at the provider, and print a report without names and secrets"
        " for an issue; takes about five minutes",
    )
    doctor.set_defaults(run=_doctor, fail=doctor.error)


def _add_import_cache(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = commands.add_parser(
        "import-cache",
        help="import accounts from an unencrypted MSAL cache (SerializableTokenCache, Azure CLI)",
        description="Imports the accounts of the profile's application from the file, and stores"
        " them encrypted; the file is not changed. The Azure CLI's file is"
        " ~/.azure/msal_token_cache.json.",
    )
    command.add_argument("file", metavar="FILE", type=_path, help="the MSAL cache file")
    _add_options(command)
    command.add_argument(
        "--persist", metavar="STORE", help="where to store the accounts: keyring or file"
    )
    command.set_defaults(run=_import_cache)


def _add_options(command: argparse.ArgumentParser) -> None:
    """Add the options that select the application and the authority."""
    for option, metavar, what in (
        ("--profile", "NAME", "the profile of config.toml to use"),
        ("--tenant", "TENANT", "a tenant's GUID or domain"),
        ("--client-id", "ID", "the application's id"),
        ("--authority", "URL", "the address of an authority or issuer"),
    ):
        command.add_argument(option, metavar=metavar, help=what)


def _import_cache(arguments: argparse.Namespace) -> int:
    from nbauth.api import the_session
    from nbauth.core.errors import NbAuthError

    given = vars(arguments)
    options = {name: given[name] for name in _OF_A_CLIENT if given[name] is not None}
    try:
        found = the_session().import_cache(arguments.file, **options)
    except NbAuthError as error:
        write(*error.lines(), stream=sys.stderr)
        return 1
    for signed_in in found.accounts.values():
        write(f"Imported the account {signed_in.account.username}.")
    for client_id in found.others:
        write(f"Skipped the accounts of {client_id}: it is not the profile's application.")
    if not found.accounts:
        write("The file has no account of this application at this authority.")
    return 0 if found.accounts else 1


def _doctor(arguments: argparse.Namespace) -> int:
    from nbauth.api import the_session
    from nbauth.jupyter.places.doctor import parts

    if arguments.live and arguments.offline:
        arguments.fail("--live signs in, so it cannot be used with --offline")
    code = 0
    for part in parts(the_session(), vars(arguments), ask=not arguments.offline):
        write(*part.lines)
        code = 1 if part.trouble else code
    return _live(arguments) if arguments.live and code == 0 else code


def _live(arguments: argparse.Namespace) -> int:
    from nbauth.api import the_session
    from nbauth.core.errors import NbAuthError
    from nbauth.jupyter.places.live import live

    given = vars(arguments)
    names = ("profile", "tenant", "client_id", "authority", "flow")
    options = {name: given[name] for name in names if given[name] is not None}
    try:
        report = live(the_session(), options, input, write)
    except (NbAuthError, EOFError) as error:
        write(*(error.lines() if isinstance(error, NbAuthError) else ["Nobody answers."]))
        return 1
    write("", "The report, for an issue. Read it before you publish it.", "", report.markdown())
    return 1 if report.failed or not report.flows else 0


def _demo(arguments: argparse.Namespace) -> int:
    if arguments.json and not arguments.idp_only:
        arguments.fail("--json requires --idp-only")
    if arguments.port and (arguments.idp_only or arguments.check):
        arguments.fail("--port is JupyterLab's port, but --idp-only and --check do not start it")
    if arguments.check and arguments.pages_url:
        arguments.fail("--pages-url cannot be used with --check, which uses no browser")
    needs: tuple[str, ...] = _DEMO_NEEDS
    if arguments.check:
        needs += _CHECK_NEEDS
    elif not arguments.idp_only:
        needs += _LAB_NEEDS
    missing = [name for name in needs if importlib.util.find_spec(name) is None]
    if missing:
        write(f"The demo needs {', '.join(missing)}: pip install 'nbauth[demo]'", stream=sys.stderr)
        return 1
    if arguments.check:
        from nbauth.demo.tour import check

        return check(access_ttl=arguments.access_ttl)
    from nbauth.demo.launcher import run_lab, serve_until_stopped

    if arguments.idp_only:
        return serve_until_stopped(
            access_ttl=arguments.access_ttl,
            as_json=arguments.json,
            pages_url=arguments.pages_url,
        )
    return run_lab(
        port=arguments.port,
        browser=not arguments.no_browser,
        access_ttl=arguments.access_ttl,
        pages_url=arguments.pages_url,
    )


def _path(text: str) -> Path:
    from nbauth.core.value_readers import expanded

    try:
        return Path(expanded(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"the path {error}") from None


def _pages_url(text: str) -> str:
    from nbauth.demo.outside import pages_address

    try:
        pages_address(text, 1)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def _port(text: str) -> int:
    return _between(text, 1, 65535)


def _seconds(text: str) -> int:
    return _between(text, 1, 24 * 3600)


def _between(text: str, low: int, high: int) -> int:
    try:
        number = int(text)
    except ValueError:
        number = low - 1
    if not low <= number <= high:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from {low} to {high}")
    return number

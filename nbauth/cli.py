"""The `nbauth` command: its subcommands and options. The module ``subcommands`` runs them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from nbauth import __version__, subcommands
from nbauth.core.output import OutputGone, discard, fit_streams, flush


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
    _add_register(commands)
    _add_scan(commands)
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
        description="Starts a local identity provider, a local Graph and JupyterLab with six"
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
    demo.set_defaults(run=subcommands.demo, fail=demo.error)


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
    doctor.set_defaults(run=subcommands.doctor, fail=doctor.error)


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
    command.set_defaults(run=subcommands.import_cache)


def _add_register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = commands.add_parser(
        "register",
        help="print how to register an application at the provider, for the flows you want",
        description="Sends nothing. At Microsoft's authorities it prints commands of the Azure CLI."
        " At other providers it prints client metadata (RFC 7591) in JSON, which the provider's"
        " registration endpoint or its administrator takes. The profile gives the authority, the"
        " scopes and redirect_uri. With a client_id, the commands change that application.",
    )
    _add_options(command)
    command.add_argument(
        "--flow",
        action="append",
        default=[],
        metavar="FLOW",
        help="a flow to register for; can be repeated (default: browser and device)",
    )
    command.add_argument(
        "--provider",
        choices=subcommands.PROVIDERS,
        help="the form of the output (default: by the authority)",
    )
    command.add_argument("--name", help="the name of the application (default: nbauth)")
    command.add_argument(
        "--hub", metavar="URL", help="the address of the JupyterHub, for the flow callback"
    )
    command.add_argument(
        "--certificate",
        metavar="PATH",
        help="a file with a certificate, for the flows app and obo; without it they use a secret",
    )
    command.add_argument(
        "--federated-issuer",
        metavar="URL",
        help="the issuer of the tokens of the flow workload-identity",
    )
    command.add_argument(
        "--federated-subject",
        metavar="SUBJECT",
        help="the subject of the tokens of the flow workload-identity",
    )
    command.set_defaults(run=subcommands.register)


def _add_scan(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = commands.add_parser(
        "scan",
        help="find tokens and other secrets in saved notebooks and text files; remove them",
        description="Prints each secret's place, kind and length, never the secret. The exit code"
        " is 0 if nothing was found, 1 if something was found or removed, 2 if a file could not be"
        " read or replaced. Binary files are skipped. A secret with the words nbauth: allow after"
        " it on its line is not reported.",
    )
    command.add_argument(
        "file",
        nargs="+",
        metavar="FILE",
        help="a notebook or text file; a folder, for the notebooks in it; - for standard input",
    )
    command.add_argument(
        "--clean",
        action="store_true",
        help="write [REMOVED] in the place of each secret; nothing else in the file changes",
    )
    command.add_argument("--json", action="store_true", help="print the findings as JSON")
    command.set_defaults(run=subcommands.scan, fail=command.error)


def _add_options(command: argparse.ArgumentParser) -> None:
    """Add the options that select the application and the authority."""
    for option, metavar, what in (
        ("--profile", "NAME", "the profile of config.toml to use"),
        ("--tenant", "TENANT", "a tenant's GUID or domain"),
        ("--client-id", "ID", "the application's id"),
        ("--authority", "URL", "the address of an authority or issuer"),
    ):
        command.add_argument(option, metavar=metavar, help=what)


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

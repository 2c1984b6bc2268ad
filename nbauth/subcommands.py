"""Runs the subcommands of ``nbauth``. Each imports what it needs when it is called, not before.

A function takes the parsed arguments and returns the exit code. ``arguments.fail`` reports a usage
error and ends the process.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from argparse import Namespace
from collections.abc import Mapping
from typing import Any

from nbauth.core.output import write

_DEMO_NEEDS = ("tornado", "cryptography", "joserfc")
PROVIDERS = ("microsoft", "openid", "keycloak")
"""The forms of the output of ``nbauth register``."""
_OF_A_REGISTRATION = ("hub", "certificate", "name", "federated_issuer", "federated_subject")
_OF_A_CLIENT = ("profile", "tenant", "client_id", "authority", "persist")
_LAB_NEEDS = ("jupyterlab",)
_CHECK_NEEDS = ("jupyter_client", "ipykernel", "nbformat", "requests")


def doctor(arguments: Namespace) -> int:
    """Print the doctor's report; with ``--live`` also try to sign in."""
    from nbauth.api import the_session
    from nbauth.jupyter.places.doctor import parts

    if arguments.live and arguments.offline:
        arguments.fail("--live signs in, so it cannot be used with --offline")
    code = 0
    for part in parts(the_session(), vars(arguments), ask=not arguments.offline):
        write(*part.lines)
        code = 1 if part.trouble else code
    return _live(arguments) if arguments.live and code == 0 else code


def _live(arguments: Namespace) -> int:
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


def import_cache(arguments: Namespace) -> int:
    """Import the accounts of a plain MSAL cache."""
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


def demo(arguments: Namespace) -> int:
    """Start the demo, or run its notebooks."""
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


def register(arguments: Namespace) -> int:
    """Print the registration. Returns the exit code."""
    from nbauth.core.errors import NbAuthError

    try:
        lines = _registration(vars(arguments))
    except NbAuthError as error:
        write(*error.lines(), stream=sys.stderr)
        return 1
    write(*lines)
    return 0


def scan(arguments: Namespace) -> int:
    """Scan files for secrets. Returns the exit code."""
    from nbauth.scanning.command import STANDARD_INPUT, run

    if arguments.clean and STANDARD_INPUT in arguments.file:
        arguments.fail("--clean replaces files, so it cannot be used with standard input")
    return run(arguments.file, cleans=arguments.clean, as_json=arguments.json)


def _registration(given: Mapping[str, Any]) -> list[str]:
    from nbauth.api import the_session
    from nbauth.core.errors import ConfigurationError
    from nbauth.oauth.authorities import Authority, authority_from
    from nbauth.oauth.azure_registration import commands
    from nbauth.oauth.client_metadata import ENDPOINTS, document
    from nbauth.oauth.registration import FLOWS, plan_for

    flows = [str(flow) for flow in given["flow"]]
    for flow in flows:
        if flow not in FLOWS:
            raise ConfigurationError(
                f"There is nothing to register for a flow {flow!r}.",
                code="unknown_flow",
                hint=f"Choose from {', '.join(FLOWS)}.",
            )
    names = ("profile", "tenant", "client_id", "authority")
    settings = the_session().settings(**{name: given[name] for name in names if given[name]})
    authority, provider = authority_from(settings), given["provider"]
    if provider in {"openid", "keycloak"} and authority.microsoft:
        authority = Authority("oidc", authority.url if settings.authority else "")
    if provider == "microsoft" and not authority.microsoft:
        raise ConfigurationError(
            f"{authority.url} is not an authority of Microsoft.",
            code="bad_authority",
            hint="Remove --provider, or set tenant or authority.",
        )
    options = {name: str(given[name]) for name in _OF_A_REGISTRATION if given[name]}
    plan = plan_for(authority, settings, flows, options)
    if authority.microsoft:
        return list(commands(plan))
    endpoint = "the registration_endpoint of its metadata"
    if provider in ENDPOINTS and authority.url:
        endpoint = authority.url + ENDPOINTS[str(provider)]
    lines = [json.dumps(document(plan), indent=2)]
    write(f"POST this document to {endpoint}, with an initial access token if it needs one, or"
          " give it to the provider's administrator. The response has the client_id.",
          stream=sys.stderr)  # fmt: skip
    return lines

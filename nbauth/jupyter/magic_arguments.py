"""The arguments that all magics share, and those of ``%login``."""

from __future__ import annotations

from typing import Any

from nbauth.core.flow_names import ALL
from nbauth.jupyter.lazy_parser import argument


def common_arguments(function: Any) -> Any:
    """Add the arguments that all magics have."""
    return _decorated(
        function,
        argument("--profile", metavar="NAME", help="the profile of config.toml to use"),
        argument("--account", metavar="USER", help="a user name, or an Account"),
        argument("--quiet", action="store_true", help="print less"),
    )


def sign_in_arguments(function: Any) -> Any:
    """Add the arguments of a sign-in."""
    return _decorated(
        function,
        argument(
            "--flow",
            choices=ALL,
            metavar="FLOW",
            help=f"the way to sign in: {', '.join(ALL)}",
        ),
        argument("--tenant", help="the tenant's GUID or domain"),
        argument("--client-id", metavar="ID", help="the application (client) ID"),
        argument("--authority", metavar="URL", help="the authority's or issuer's address"),
        argument(
            "--prompt",
            metavar="PROMPT",
            help="select_account, consent, login, create, none; or unset, to send no prompt",
        ),
        argument(
            "--login-hint", metavar="USER", help="the user name to fill in on the provider's page"
        ),
        argument(
            "--domain-hint",
            metavar="DOMAIN",
            help="the domain of your organisation, so that the provider does not search for it",
        ),
        argument(
            "--max-age",
            type=int,
            metavar="SECONDS",
            help="sign in again at the provider if the last sign-in there is older than this",
        ),
        argument(
            "--claims",
            metavar="JSON",
            help='a claims request, as JSON or a dict: --claims "$claims"',
        ),
        argument(
            "--consent-also",
            nargs="+",
            metavar="SCOPE",
            help="more scopes to consent to in the same sign-in; the token does not contain them",
        ),
        argument(
            "--persist",
            metavar="STORE",
            help="where to keep the sign-in: memory, keyring or file",
        ),
        argument(
            "--timeout", type=float, metavar="SECONDS", help="how long to wait for the person"
        ),
        argument("--force", action="store_true", help="sign in even if signed in already"),
        argument(
            "--background",
            action="store_true",
            help="return at once; cells that need a token wait for the sign-in",
        ),
        argument(
            "--doctor",
            action="store_true",
            help="do not sign in; print what was detected, which flow is chosen and why",
        ),
        argument("--offline", action="store_true", help="with --doctor: send no request"),
    )


def _decorated(function: Any, *arguments: Any) -> Any:
    for each in reversed(arguments):  # as decorators are applied
        function = each(function)
    return function

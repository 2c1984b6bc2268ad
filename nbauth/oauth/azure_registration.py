"""A registration at Microsoft, as commands of the Azure CLI for a POSIX shell."""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Iterator

from nbauth.core.errors import ConfigurationError
from nbauth.core.flow_names import BROKER, WORKLOAD_IDENTITY
from nbauth.core.scopes import Scopes, resource_of
from nbauth.core.text import plain
from nbauth.oauth.registration import OBO, WITHOUT_USER, Plan

AUDIENCES = {
    "common": "AzureADandPersonalMicrosoftAccount",
    "organizations": "AzureADMultipleOrgs",
    "consumers": "PersonalMicrosoftAccount",
}
"""``--sign-in-audience`` for each authority of several tenants."""
CLOUDS = {"usgov": "AzureUSGovernment", "dod": "AzureUSGovernment", "china": "AzureChinaCloud"}
"""The Azure CLI's names of the national clouds."""
TOKEN_EXCHANGE = {
    "public": "api://AzureADTokenExchange",
    "usgov": "api://AzureADTokenExchangeUSGov",
    "dod": "api://AzureADTokenExchangeUSGov",
    "china": "api://AzureADTokenExchangeChina",
}
"""The audience of the tokens that Entra exchanges in each cloud."""


class _ForShell(str):
    """A word that the shell expands; every other word is quoted."""


APP_ID = _ForShell('"$APP_ID"')
APP_ID_URI = _ForShell('"api://$APP_ID"')
WINDOWS_BROKER = _ForShell('"ms-appx-web://Microsoft.AAD.BrokerPlugin/$APP_ID"')
MAC_BROKER = "msauth.com.msauth.unsignedapp://auth"


def commands(plan: Plan) -> Iterator[str]:
    """The lines: comments and commands. Raises ``ConfigurationError`` at AD FS."""
    authority = plan.authority
    if authority.kind == "adfs":
        raise ConfigurationError(
            "An application of AD FS is not registered with the Azure CLI.",
            code="not_registered_here",
            hint="On its server: Add-AdfsNativeClientApplication -Name nbauth -Identifier CLIENT_ID"
            " -RedirectUri http://localhost, and grant it the scopes with"
            " Grant-AdfsApplicationPermission.",
        )
    yield "# Run these lines in bash or zsh, for example in the Azure Cloud Shell."
    if authority.cloud in CLOUDS:
        yield _az("cloud", "set", "--name", CLOUDS[authority.cloud])
    if authority.tenant not in AUDIENCES:
        yield _az("login", "--tenant", authority.tenant, "--allow-no-subscriptions")
    yield from _application(plan)
    yield from _permissions(plan)
    yield from _credentials(plan)
    yield "# Write this into the profile in config.toml:"
    yield "echo \"client_id = '$APP_ID'\""


def _az(*words: str) -> str:
    quoted = (word if isinstance(word, _ForShell) else shlex.quote(word) for word in words)
    return " ".join(["az", *quoted])


def _pem(path: str) -> str:
    from cryptography.hazmat.primitives.serialization import Encoding

    from nbauth.oauth.certificate import public_certificate

    return public_certificate(path).public_bytes(Encoding.PEM).decode()


def _value(text: str) -> str:
    """A value of an option. Raises ``ConfigurationError`` for one that the Azure CLI takes for
    another option or for the name of a file."""
    if text.startswith(("-", "@")) or text.partition("=")[2].startswith("@"):
        raise ConfigurationError(
            f"{plain(text)!r} cannot be written for the Azure CLI, which takes it for an option or"
            " for the name of a file.",
            code="bad_option",
            hint="Choose a name that begins with a letter, and has no =@ in it.",
        )
    return text


def _application(plan: Plan) -> Iterator[str]:
    audience = AUDIENCES.get(plan.authority.tenant, "AzureADMyOrg")
    if plan.authority.kind == "b2c":
        audience = AUDIENCES["common"]
    options = ["--is-fallback-public-client", "true" if plan.public else "false"]
    redirects = list(plan.redirect_uris)
    if redirects:  # a credential is refused at an address of a public client (AADSTS700025)
        platform = "public-client" if plan.public else "web"
        options += [f"--{platform}-redirect-uris", *redirects]
    client_id = plan.settings.client_id
    if client_id:
        yield f"APP_ID={shlex.quote(_value(client_id))}"
        if redirects:
            yield "# The redirect addresses of the application are replaced by these:"
        yield _az("ad", "app", "update", "--id", APP_ID, *options)
    else:
        words = ["--display-name", _value(plan.name), "--sign-in-audience", audience, *options]
        words += ["--query", "appId", "--output", "tsv"]
        yield f"APP_ID=$({_az('ad', 'app', 'create', *words)})"
    if BROKER in plan.flows:
        addresses = [*redirects, WINDOWS_BROKER, MAC_BROKER]
        yield _az(
            "ad", "app", "update", "--id", APP_ID, "--public-client-redirect-uris", *addresses
        )
    yield f"{_az('ad', 'sp', 'show', '--id', APP_ID)} >/dev/null 2>&1 || " + _az(
        "ad", "sp", "create", "--id", APP_ID
    )
    if OBO in plan.flows:
        yield "# In the portal, under 'Expose an API', add a scope that the users' tokens have."
        yield _az("ad", "app", "update", "--id", APP_ID, "--identifier-uris", APP_ID_URI)


def _permissions(plan: Plan) -> Iterator[str]:
    settings, authority = plan.settings, plan.authority
    words = settings.scopes or (("User.Read",) if authority.graph else ())
    scopes = Scopes.parse(
        words, microsoft=True, graph=authority.graph, client_id=settings.client_id or ""
    )
    if set(plan.flows) <= WITHOUT_USER:
        yield "# Add application permissions (roles) of the APIs in the portal, then consent:"
    else:
        for scope in scopes.resource_scopes:
            resource, name = resource_of(scope).rstrip("/"), scope.rpartition("/")[2]
            if resource and name != ".default":
                yield _permission(resource, name)
    if not set(plan.flows).isdisjoint(WITHOUT_USER):
        yield _az("ad", "app", "permission", "admin-consent", "--id", APP_ID)


def _permission(resource: str, name: str) -> str:
    def of_api(query: str) -> str:
        return (
            f"$({_az('ad', 'sp', 'show', '--id', _value(resource), '-o', 'tsv')} --query {query})"
        )

    value = re.sub(r"[^\w.:-]", "", name)  # it stands between quotes
    found = of_api(f"\"oauth2PermissionScopes[?value=='{value}'].id\"")
    return _az(
        "ad", "app", "permission", "add", "--id", APP_ID,
        "--api", _ForShell(f'"{of_api("appId")}"'),
        "--api-permissions", _ForShell(f'"{found}=Scope"'),
    )  # fmt: skip


def _credentials(plan: Plan) -> Iterator[str]:
    reset = ("ad", "app", "credential", "reset", "--id", APP_ID, "--append")
    if plan.certificate:
        public = "nbauth-certificate.pem"
        yield "# Only the certificate is uploaded, without its private key:"
        if os.path.exists(plan.certificate):
            yield f"cat > {public} <<'END'\n{_pem(plan.certificate)}END"
        else:  # it is on another machine, or not made yet
            yield f"openssl x509 -in {shlex.quote(plan.certificate)} -out {public}"
        yield _az(*reset, "--cert", f"@{public}")
    elif plan.has_secret:
        yield "# This prints a secret. Store it where client_secret_from says."
        yield _az(*reset, "--query", "password", "--output", "tsv")
    if WORKLOAD_IDENTITY in plan.flows:
        issuer, subject = plan.federated
        if not (issuer and subject):
            yield "# Replace ISSUER and SUBJECT by those of the workload's token (iss and sub):"
        credential = {
            "name": plan.name,
            "issuer": issuer or "ISSUER",
            "subject": subject or "SUBJECT",
            "audiences": [TOKEN_EXCHANGE[plan.authority.cloud]],
        }
        yield _az(
            "ad", "app", "federated-credential", "create", "--id", APP_ID,
            "--parameters", json.dumps(credential).replace("@", r"\u0040"),
        )  # fmt: skip

"""The doctor's part about service identities: which one is used where nobody can answer.

It reads the environment and files, and contacts nothing. No secret is shown.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

from nbauth.core.errors import NbAuthError
from nbauth.core.flow_names import APP, AUTO, MANAGED_IDENTITY, WORKLOAD_IDENTITY
from nbauth.core.settings import CREDENTIALS
from nbauth.core.text import plain
from nbauth.jupyter.places.in_words import entry
from nbauth.kernel.client_credential import credential_of
from nbauth.kernel.unattended import is_service, named_flow
from nbauth.oauth.certificate import certificate_of
from nbauth.oauth.client import Client
from nbauth.oauth.credentials import Certificate, ClientAssertion
from nbauth.oauth.service_identity import (
    AUTHORITY_HOST,
    CERTIFICATE,
    CLIENT,
    SECRET,
    TENANT,
    TOKEN_FILE,
    application_in,
    endpoint_variables,
    workload_in,
)

LABEL = "without a person"


def in_lines(client: Client) -> Iterator[str]:
    """The service identity that the settings or the environment name, or what is missing."""
    chosen = client.settings.flow
    flow = chosen if chosen != AUTO and is_service(chosen) else named_flow(client)
    if not flow:
        incomplete = _incomplete(client)
        yield from entry(LABEL, "a stored sign-in; no service identity is named", *incomplete)
        return
    always = f"set ({client.settings.source('flow')}), so it is used everywhere"
    used = always if flow == chosen else "used where nobody can answer, if no sign-in is stored"
    yield from entry(LABEL, f"{flow}: {used}", *_details(flow, client))


def check(client: Client) -> None:
    """Read the files that the named service identity needs. Raises their error."""
    flow = client.settings.flow if client.settings.flow != AUTO else named_flow(client)
    if flow == WORKLOAD_IDENTITY:
        credential = workload_in(os.environ, client.authority).credential
    elif flow == APP and not _has_own(client):
        credential = application_in(os.environ, client.authority).credential
    else:
        return
    if isinstance(credential, Certificate):
        certificate_of(credential)
    elif isinstance(credential, ClientAssertion):
        credential.read()


def _has_own(client: Client) -> bool:
    return credential_of(client.settings) is not None or not client.authority.microsoft


def _details(flow: str, client: Client) -> list[str]:
    environ = os.environ
    if flow == MANAGED_IDENTITY:
        endpoint = ", ".join(endpoint_variables(environ)) or "the address of Azure's machines"
        chosen = plain(environ.get(CLIENT, "")) or "system-assigned"
        return [f"identity {chosen}; its endpoint: {endpoint}"]
    if flow == APP and _has_own(client):
        where = " and ".join(name for name in CREDENTIALS if getattr(client.settings, name))
        return [f"application {plain(client.client_id)}; {where or 'it has no credential'}"]
    if flow not in (APP, WORKLOAD_IDENTITY):
        return []
    names = (TOKEN_FILE,) if flow == WORKLOAD_IDENTITY else (SECRET, CERTIFICATE)
    where = next((name for name in names if environ.get(name)), " or ".join(names))
    lines = [f"application {_value(environ, CLIENT)} in tenant {_value(environ, TENANT)}; {where}"]
    if environ.get(AUTHORITY_HOST):
        lines.append(f"at {plain(environ[AUTHORITY_HOST])} ({AUTHORITY_HOST})")
    return lines


def _value(environ: Mapping[str, str], name: str) -> str:
    return f"{plain(environ.get(name, '')) or 'none'} ({name})"


def _incomplete(client: Client) -> list[str]:
    """What is missing if the environment has a part of a service identity only."""
    environ = os.environ
    if client.authority.kind != "entra":
        return []
    credential = next((one for one in (SECRET, CERTIFICATE, TOKEN_FILE) if environ.get(one)), "")
    if not credential:
        return []
    find = workload_in if credential == TOKEN_FILE else application_in
    try:
        find(environ, client.authority)
    except NbAuthError as error:
        return [f"{credential} is set, but not used: {plain(error)}"]
    return []

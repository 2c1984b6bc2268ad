"""Describes flows and the value and source of each setting, including defaults.

No secret is read, and no setting contains one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from nbauth.core.flow_names import AUTO, IWA
from nbauth.core.settings import CREDENTIALS, NAMES, Settings
from nbauth.core.settings_values import ENDPOINTS
from nbauth.core.steps import ReceiverKind
from nbauth.core.text import plain
from nbauth.jupyter.places.environment import Place, kernel
from nbauth.kernel.client_credential import service_of
from nbauth.oauth.flows import FLOWS, flow_named

INDENT = 20
"""The width of a label in characters."""
WIDTH = 40
"""The width of a value in characters; its source follows."""
NAMES_ONLY = ("hosts", "proxies", "extra_parameters")
"""Settings whose values may contain a password or be long. Only their keys are shown."""
NOBODY_SET = {
    "profile": "default (none is named)",
    "client_id": "none: a sign-in needs one",
    "tenant": "common: any organisation's or personal account",
    "authority": "the address for cloud and tenant",
    "metadata_url": "the usual address at the issuer",
    "cloud": "public",
    "flow": "auto: the first flow below that works here",
    "hosts": "only the hosts that nbauth lists for this authority",
    "graph_url": "the Graph of the cloud",
    "extra_parameters": "none",
    "open_browser": "a notebook shows a link; a terminal opens a browser if it can",
    "success_page": "nbauth's own text",
    "error_page": "nbauth's own text",
    "timeout": "the lifetime of the device code, or 300 seconds",
    "proxies": "the proxies in the environment (HTTPS_PROXY …), if any",
    "verify": "the CAs in the environment (REQUESTS_CA_BUNDLE …), or those of certifi",
}
"""What applies if a setting has no value."""
MEANING: Mapping[str, Mapping[Any, str]] = {
    "persist": {
        "memory": "memory: a sign-in ends when this kernel ends",
        "keyring": "keyring: encrypted files; the key is in the system's keyring",
        "file": "file: encrypted files; the key comes from a passphrase",
    },
    "redact": {
        True: "true: tokens in the output are masked",
        False: "false: tokens in the output are shown",
    },
    "refresh_ahead": {
        True: "true: tokens in use are refreshed before they expire",
        False: "false: a token is refreshed when it is needed",
    },
    "exact_scopes": {
        True: "true: nbauth adds no scopes",
        False: "false: nbauth adds the scopes for the account and for a refresh",
    },
    "debug": {True: "true: errors show their traceback", False: "false: errors have two lines"},
    "verify": {
        True: "true: the CAs of certifi, also if the environment names others",
        "system": "system: the CAs that the operating system trusts",
    },
    "attended": {
        True: "true: a person can answer, also if the front end reports that nobody can",
        False: "false: nobody can answer, so nbauth never asks",
        "auto": "auto: the front end reports whether a person can answer",
    },
    "client_secret_from": {
        "environment": "environment: NBAUTH_CLIENT_SECRET",
    },
}
"""Descriptions of values that are not clear by themselves."""


def entry(label: str, *texts: str) -> list[str]:
    """A label and its texts, each on its own line."""
    first, *rest = texts
    return [f"{label:{INDENT}}{first}", *(" " * INDENT + text for text in rest)]


def ticket_in_words(flow: str) -> list[str]:
    """The Kerberos ticket that a flow would use. Raises ``NbAuthError`` if there is none."""
    if flow != IWA:
        return []
    from nbauth.oauth.federation.negotiate import ticket_principal

    return entry("Kerberos", f"ticket of {plain(ticket_principal())}")


def why_not(way: str, here: Place) -> str:
    """Why a flow does not work in a place."""
    receiver = flow_named(way).receiver
    if receiver is ReceiverKind.LOOPBACK and here.apart:
        return "the browser cannot reach the loopback address of another machine"
    if receiver is ReceiverKind.JUPYTER_SERVER and kernel() is None:
        return "it needs a Jupyter kernel, and this is none"
    return here.note.rstrip(".")


def settings_in_words(settings: Settings) -> Iterator[str]:
    """One line for each setting; the endpoints form one group."""
    for name in NAMES:
        if name in ENDPOINTS or name in CREDENTIALS[1:]:
            continue
        if name in CREDENTIALS:
            yield from entry("client credential", *_credential(settings))
            continue
        yield from entry(name, _line(_value(settings, name), settings.source(name)))
        if name == "metadata_url":
            yield from entry("endpoints", *_endpoints(settings))


def _endpoints(settings: Settings) -> list[str]:
    written = [
        _line(f"{name}: {shown(address)}", settings.source(name))
        for name, address in settings.endpoints
    ]
    return written or [_line("those in the provider's metadata", "default")]


def _credential(settings: Settings) -> list[str]:
    written = [
        _line(f"{name}: {_value(settings, name)}", settings.source(name))
        for name in CREDENTIALS
        if settings.source(name) != "default"
    ]
    return written or [_line("none: a public client", "default")]


def _line(value: str, source: str) -> str:
    return f"{plain(value):{WIDTH}} ({plain(source)})"


def _value(settings: Settings, name: str) -> str:
    value = getattr(settings, name)
    own = settings.source(name) != "default"
    if name == "scopes" and not value:
        return "the scopes of the call, or the default ones"
    if name == "redirect_uri" and not value:
        return "a loopback address, or the callback page of your Jupyter server"
    if name == "tenant" and value is None and settings.authority:
        return "not used, because authority is set"
    if not own and name in NOBODY_SET:
        return NOBODY_SET[name]
    if name == "client_secret_from" and value == "keyring":
        return f"keyring: the entry {service_of(settings)} for this client_id"
    if name in NAMES_ONLY:
        return ", ".join(value) if value else "none"
    if name == "flow" and value != AUTO:
        label = next((flow.detail for flow in FLOWS.values() if flow.name == value), "")
        return f"{value}: {label}" if label else str(value)
    if isinstance(value, str | bool):
        return MEANING.get(name, {}).get(value, shown(value))
    return shown(value)


def shown(value: Any) -> str:
    """A value as text, without the user name and password of an address."""
    if value in (None, ()):
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Callable):  # type: ignore[arg-type]
        return getattr(value, "__name__", "a callable")
    text = " ".join(value) if isinstance(value, tuple) else str(value)
    scheme, mark, rest = text.partition("://")
    return f"{scheme}{mark}{rest.rpartition('@')[2]}" if mark else text

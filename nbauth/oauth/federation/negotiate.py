"""Kerberos tokens for HTTP Negotiate (RFC 4559): GSSAPI on Linux and macOS, SSPI on Windows.

Only a ticket that the system already has is used; nothing is asked for. The mechanism is Kerberos
alone: NTLM would send a value that is derived from the password to any host that asks for it.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import importlib
import logging
import sys
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import requests

from nbauth.core.errors import FlowUnavailable, NbAuthError
from nbauth.core.text import plain
from nbauth.oauth.error_catalogue import error_from

_EXPIRED = 2529638944
"""The minor code KRB5KRB_AP_ERR_TKT_EXPIRED, as GSSAPI reports it."""
_USER_PRINCIPAL = 8  # NameUserPrincipal of EXTENDED_NAME_FORMAT
_LONGEST_NAME = 1024


class Negotiation:
    """One authentication by Kerberos to the server of an address.

    The service principal is ``HTTP/<host>``. Raises ``SignInError`` without a valid ticket, and
    ``FlowUnavailable`` without a Kerberos library.
    """

    def __init__(self, address: str) -> None:
        spnego = _library()
        with _kerberos_errors():
            self._context: Any = spnego.client(
                hostname=urlsplit(address).hostname,
                service="HTTP",
                protocol="kerberos",
                context_req=spnego.ContextReq.mutual_auth,
            )

    def header(self) -> str:
        """The Authorization header of the request."""
        with _kerberos_errors():
            token = self._context.step()
        return f"Negotiate {base64.b64encode(token or b'').decode()}"

    def check(self, response: requests.Response) -> None:
        """Check the server's own proof, if it sent one. Raises ``SignInError``."""
        challenges = response.headers.get("WWW-Authenticate", "").split(",")
        found = [one.strip().partition(" ") for one in challenges]
        proofs = [text for name, _, text in found if name.lower() == "negotiate" and text.strip()]
        if not proofs:
            return
        try:
            with _kerberos_errors():
                self._context.step(base64.b64decode(proofs[0].strip(), validate=True))
        except (NbAuthError, binascii.Error):
            raise error_from({"error": "kerberos_server_not_verified"}) from None


def ticket_principal() -> str:
    """The user principal name of the person who is signed in to Kerberos or to Windows.

    Raises as :class:`Negotiation` does.
    """
    _library()
    if sys.platform == "win32":
        return _windows_principal()
    import gssapi

    with _kerberos_errors():
        credentials = gssapi.Credentials(usage="initiate")
        _ = credentials.lifetime  # raises if the ticket has expired
        return str(credentials.name)


def _windows_principal() -> str:
    import ctypes

    name = ctypes.create_unicode_buffer(_LONGEST_NAME)
    size = ctypes.c_ulong(_LONGEST_NAME)
    get = ctypes.WinDLL("secur32").GetUserNameExW  # type: ignore[attr-defined, unused-ignore]
    get.restype = ctypes.c_ubyte  # BOOLEAN
    if not get(_USER_PRINCIPAL, name, ctypes.byref(size)):
        raise error_from({"error": "unknown_user"})  # not an account of a domain
    return name.value


def _library() -> Any:
    try:
        import spnego

        for name in () if sys.platform == "win32" else ("gssapi", "krb5"):
            importlib.import_module(name)
    except (ImportError, OSError):  # OSError: the system's Kerberos library is missing
        raise FlowUnavailable(
            "Integrated Windows Authentication needs a Kerberos library, which is not installed.",
            code="no_kerberos_library",
            hint="Install nbauth[kerberos] into the kernel's environment, or use another flow:"
            " %login --flow browser.",
            suggested_flow="browser",
        ) from None
    log = logging.getLogger("spnego")
    if log.level == logging.NOTSET:
        log.setLevel(logging.INFO)  # at DEBUG it logs the Kerberos tokens
    return spnego


@contextlib.contextmanager
def _kerberos_errors() -> Iterator[None]:
    """Convert the errors of the Kerberos libraries."""
    try:
        yield
    except NbAuthError:
        raise
    except Exception as error:
        raise _in_words(error) from error


def _in_words(error: Exception) -> NbAuthError:
    cause = getattr(error, "base_error", None) or error
    kind = type(cause).__name__
    if kind == "ExpiredCredentialsError" or getattr(cause, "min_code", None) == _EXPIRED:
        return error_from({"error": "kerberos_ticket_expired"})
    if kind == "MissingCredentialsError" or type(error).__name__ == "NoCredentialError":
        return error_from({"error": "no_kerberos_ticket"})
    told = str(cause).rpartition("Minor")[2].partition("): ")[2] or str(cause)
    return error_from({"error": "kerberos_failed", "error_description": plain(told)[:200]})

"""Describes why a TLS handshake failed: certificate, version, or no TLS at all."""

from __future__ import annotations

import ssl

import urllib3.exceptions as urllib3

from nbauth.core.text import plain

Told = tuple[str, str, str] | None
"""Error code, predicate for the message after the host's name, and remedy."""
_EXPIRED, _NOT_YET, _HOST, _ADDRESS = 10, 9, 62, 64
"""X509_V_ERR_… of OpenSSL's x509_vfy.h."""
_NO_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE")
_OLD_TLS = ("PROTOCOL_VERSION", "UNSUPPORTED_PROTOCOL", "VERSION_TOO_LOW", "NO_PROTOCOLS")
LOST: Told = (
    "connection_lost",
    "cannot be reached: the connection was closed before the response was complete",
    "Try again. If it happens again, check whether a firewall or a proxy closes the connection.",
)


def has(chain: list[BaseException], *kinds: type[BaseException]) -> bool:
    """Whether any of the exceptions has one of these types."""
    return any(isinstance(one, kinds) for one in chain)


def of_certificate(chain: list[BaseException]) -> Told:
    """A rejected certificate."""
    found = next((one for one in chain if isinstance(one, ssl.SSLCertVerificationError)), None)
    if found is None:
        return None
    number = getattr(found, "verify_code", None)
    text = str(found)
    if number == _EXPIRED or "expired" in text:
        return (
            "certificate_expired",
            "has a certificate that has expired",
            "Correct this machine's clock if it is wrong; else ask the provider's administrator"
            " to renew the certificate.",
        )
    if number == _NOT_YET:
        return (
            "certificate_not_yet",
            "has a certificate that is not valid yet",
            "Correct this machine's clock if it is wrong; else ask the provider's administrator.",
        )
    if number in (_HOST, _ADDRESS) or "match" in text:
        return (
            "certificate_host",
            "has a certificate for another host name",
            "Check the authority's address: another server responds there.",
        )
    return (
        "certificate",
        "has a certificate that is not trusted on this machine",
        "If your organisation has its own CA, set verify to its file, or to 'system' to trust the"
        " system's certificates (nbauth[truststore]).",
    )


def of_tls(chain: list[BaseException]) -> Told:
    """A handshake that failed, but not because of the certificate."""
    if not has(chain, ssl.SSLError, urllib3.SSLError):
        return None
    text = " ".join(str(one) for one in chain).upper().replace(" ", "_")
    if any(word in text for word in _NO_TLS):
        return (
            "not_tls",
            "cannot be reached: its port does not use TLS",
            "Check the port, and whether the address should begin with http instead of https.",
        )
    if any(word in text for word in _OLD_TLS):
        return (
            "tls_version",
            "cannot be reached: it offers no TLS version that this machine accepts",
            "Ask the provider's administrator to offer TLS 1.2 or 1.3.",
        )
    if "CERTIFICATE_REQUIRED" in text:
        return (
            "tls_client_certificate",
            "cannot be reached: it requires a client certificate",
            "nbauth sends none. Ask the provider's administrator for an address without that.",
        )
    if has(chain, ssl.SSLEOFError, ssl.SSLZeroReturnError) or "EOF_OCCURRED" in text:
        return LOST
    reason = next((one.reason for one in chain if isinstance(one, ssl.SSLError) and one.reason), "")
    return (
        "tls",
        f"cannot be reached: the TLS handshake failed ({plain(reason) or 'TLS'})",
        "Ask the provider's administrator, or the network's administrator.",
    )

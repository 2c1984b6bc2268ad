"""Why a TLS handshake failed: the certificate, the version, no TLS at all."""

from __future__ import annotations

import ssl

import urllib3.exceptions as urllib3

from nbauth.core.text import plain

Told = tuple[str, str, str] | None
"""Code, what is said of a host, and the remedy."""
OWN_CA = "If your organisation has its own CA, name its file in the setting verify"
ASK = "Ask the provider's administrator"
_EXPIRED, _NOT_YET, _HOST, _ADDRESS = 10, 9, 62, 64
"""X509_V_ERR_… of OpenSSL's x509_vfy.h."""
_NO_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE")
_OLD_TLS = ("PROTOCOL_VERSION", "UNSUPPORTED_PROTOCOL", "VERSION_TOO_LOW", "NO_PROTOCOLS")
LOST: Told = (
    "connection_lost",
    "cannot be reached: it ended the connection before it had answered",
    "Try again. If it repeats, a firewall or a proxy may be on the way.",
)


def has(chain: list[BaseException], *kinds: type[BaseException]) -> bool:
    """Whether any of the exceptions is of a kind."""
    return any(isinstance(one, kinds) for one in chain)


def of_certificate(chain: list[BaseException]) -> Told:
    """A certificate that was refused."""
    found = next((one for one in chain if isinstance(one, ssl.SSLCertVerificationError)), None)
    if found is None:
        return None
    number = getattr(found, "verify_code", None)
    text = str(found)
    if number == _EXPIRED or "expired" in text:
        return (
            "certificate_expired",
            "has a certificate that has expired",
            f"{ASK} to renew it; or set this machine's clock, if it is wrong.",
        )
    if number == _NOT_YET:
        return (
            "certificate_not_yet",
            "has a certificate that is not valid yet",
            "Set this machine's clock, if it is wrong.",
        )
    if number in (_HOST, _ADDRESS) or "match" in text:
        return (
            "certificate_host",
            "has a certificate that is for another host name",
            "Check the authority's address: something else answers there.",
        )
    return (
        "certificate",
        "has a certificate that is not trusted here",
        f'{OWN_CA}, or set it to "system" to trust what the system does (nbauth[truststore]).',
    )


def of_tls(chain: list[BaseException]) -> Told:
    """A handshake that failed for another reason than the certificate."""
    if not has(chain, ssl.SSLError, urllib3.SSLError):
        return None
    text = " ".join(str(one) for one in chain).upper().replace(" ", "_")
    if any(word in text for word in _NO_TLS):
        return (
            "not_tls",
            "cannot be reached: its port does not speak TLS",
            "Check the port, and whether the address should begin with http instead of https.",
        )
    if any(word in text for word in _OLD_TLS):
        return (
            "tls_version",
            "cannot be reached: it offers no TLS version that this machine accepts",
            f"{ASK} to offer TLS 1.2 or 1.3.",
        )
    if "CERTIFICATE_REQUIRED" in text:
        return (
            "tls_client_certificate",
            "cannot be reached: it wants a client certificate",
            f"nbauth shows none. {ASK} for an address without.",
        )
    if has(chain, ssl.SSLEOFError, ssl.SSLZeroReturnError) or "EOF_OCCURRED" in text:
        return LOST
    reason = next((one.reason for one in chain if isinstance(one, ssl.SSLError) and one.reason), "")
    return (
        "tls",
        f"cannot be reached: the TLS handshake failed ({plain(reason) or 'TLS'})",
        f"{ASK}, or who runs the network.",
    )

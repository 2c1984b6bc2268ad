"""Checks of addresses: loopback, safe for secrets, and whether two are the same issuer."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

_PORTS = {"http": 80, "https": 443}


def is_loopback(host: str | None) -> bool:
    """Whether a host is this machine (RFC 8252 §8.3, RFC 6761 §6.3)."""
    if not host:
        return False
    name = host.strip("[]").rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def is_secure(address: object) -> bool:
    """Whether secrets may be sent to this address: https, or http on loopback."""
    if not isinstance(address, str):
        return False
    try:
        parts = urlsplit(address)
        _ = parts.port  # raises for an invalid port
    except ValueError:
        return False
    # urlsplit takes a backslash as part of the user name; browsers and urllib3 end the host there.
    if any(ord(character) <= 32 or character in "\x7f\\" for character in address):
        return False
    if not parts.hostname:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname))


def origin_of(address: str) -> tuple[str, str, int]:
    """Scheme, host and port, with the port that the scheme implies. Raises ``ValueError``."""
    parts = urlsplit(address)
    return parts.scheme, parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 0)


def same_issuer(one: object, other: object) -> bool:
    """Whether two strings are the same issuer; a trailing slash is ignored."""
    if not isinstance(one, str) or not isinstance(other, str):
        return False
    return bool(one and other) and one.removesuffix("/") == other.removesuffix("/")

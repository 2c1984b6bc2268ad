"""Addresses: which of them a secret may go to, which may be opened, and when two are one issuer."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit


def is_loopback(host: str | None) -> bool:
    """Whether a host is this machine itself (RFC 8252 §8.3, RFC 6761 §6.3)."""
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
    """Whether nobody on the network reads what goes there: https, or http on loopback."""
    if not isinstance(address, str):
        return False
    try:
        parts = urlsplit(address)
        _ = parts.port  # raises for what is no port
    except ValueError:
        return False
    # A backslash is part of the user name to one parser, and ends the host to browsers and urllib3.
    if any(ord(character) <= 32 or character in "\x7f\\" for character in address):
        return False
    if not parts.hostname:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname))


def same_issuer(one: object, other: object) -> bool:
    """Whether two texts name one issuer; a slash at the end makes no difference."""
    if not isinstance(one, str) or not isinstance(other, str):
        return False
    return bool(one and other) and one.removesuffix("/") == other.removesuffix("/")

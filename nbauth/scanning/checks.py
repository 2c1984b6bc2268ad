"""Decides whether a match of a pattern is a secret: tokens are decoded, examples are refused."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable

_EXAMPLE = re.compile(
    r"example|placeholder|redacted|removed|changeme|your[-_]|x{5}|\*{3}|\.\.\.|abcdefgh|12345678",
    re.IGNORECASE,
)
_KNOWN = (
    "eyJzdWIiOiIxMjM0NTY3ODkwI",  # the payload of the token that jwt.io shows
    "2YotnFZFEjr1zCsicMWpAA",  # the tokens and the credentials of RFC 6749 and RFC 7617
    "tGzv3JOkF0XG5Qx2TlKWIA",
    "czZCaGRSa3F0MzpnWDFmQmF0M2JW",
    "czZCaGRSa3F0Mzo3RmpmcDBaQnIxS3REUmJuZlZkbUl3",
    "QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==",
)
_NAME = re.compile(r"[A-Za-z_$][\w$]*(?:\.[A-Za-z_$][\w$]*)*+")
_FEW = 8


def is_example(secret: str) -> bool:
    """Whether this is the placeholder or the published example of a document."""
    return (
        len(set(secret)) < _FEW
        or _EXAMPLE.search(secret) is not None
        or any(known in secret for known in _KNOWN)
    )


def web_token(secret: str) -> bool:
    """A signed, unsigned or encrypted JSON Web Token with a header that can be decoded."""
    parts = secret.split(".")
    try:
        header = json.loads(_decoded(parts[0]))
    except (ValueError, RecursionError):
        return False
    if not isinstance(header, dict) or len(parts) < 3:
        return False
    if len(parts) == 5:
        return "enc" in header and len(parts[3]) >= _FEW
    signed = len(parts[2]) >= 16 or str(header.get("alg", "")).lower() == "none"
    return "alg" in header and len(parts[1]) >= 10 and signed


def private_key(secret: str) -> bool:
    """A key and no ellipsis: it has a long run of base64."""
    return re.search(r"[A-Za-z0-9+/]{40}", secret) is not None


def basic(secret: str) -> bool:
    """The base64 of a user name and a password."""
    try:
        user, colon, password = base64.b64decode(secret, validate=True).decode().partition(":")
    except ValueError:
        return False
    return bool(colon and len(password) >= 4 and (user + password).isprintable())


def mixed(secret: str) -> bool:
    """Random characters, neither words nor the name of a variable."""
    digits = sum(character.isdigit() for character in secret)
    if digits < 2 or digits == len(secret) or not any(map(str.isalpha, secret)):
        return False
    words = re.split(r"[^A-Za-z0-9]+", secret)
    if _NAME.fullmatch(secret) and ("." in secret or len(words) > 2):
        return False
    return len(set(secret)) >= 10 and any(map(_is_mixed, words))


def _is_mixed(word: str) -> bool:
    return len(word) >= _FEW and not word.isalpha() and not word.isdigit()


def _decoded(part: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except binascii.Error as error:
        raise ValueError(str(error)) from error


CHECKS: dict[str, Callable[[str], bool]] = {
    "web_token": web_token,
    "private_key": private_key,
    "basic": basic,
    "mixed": mixed,
}

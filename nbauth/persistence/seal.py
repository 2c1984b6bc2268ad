"""The format of a stored file: encrypted content under a hashed name.

A file has: ``nbauth``; the format number and 255 minus that number, so that one flipped bit can't
give another valid number; 12 random bytes; and an AES-256-GCM ciphertext with its 16-byte tag
(NIST SP 800-38D). The associated data are the first eight bytes, the operating system's user and
the file's place, which is a keyed hash of issuer, client and account. A file that is moved to
another place or another user can't be decrypted.
"""

from __future__ import annotations

import hmac
import json
import os

from nbauth.core.forks import no_fork

MAGIC = b"nbauth"
FORMAT = 1
KEY_SIZE = 32
_NONCE = 12


class Unreadable(ValueError):
    """The file was not sealed here: it is damaged, from another user, or moved."""


class Newer(ValueError):
    """The file was written by a newer version of nbauth."""


def header(number: int = FORMAT) -> bytes:
    """The first eight bytes of a file in this format."""
    return MAGIC + bytes([number, 255 - number])


def refuse_newer(head: bytes) -> None:
    """Raise ``Newer`` if these bytes start a file of a later format."""
    number = head[len(MAGIC)] if len(head) >= len(MAGIC) + 2 else FORMAT
    if number > FORMAT and head.startswith(header(number)):
        raise Newer


def derived(key: bytes, purpose: str) -> bytes:
    """Derive a key for one purpose: HKDF-Expand with SHA-256, one block (RFC 5869 §2.3)."""
    return _keyed_hash(key, f"nbauth {purpose}".encode() + b"\x01")


def _keyed_hash(key: bytes, text: bytes) -> bytes:
    with no_fork():
        return hmac.digest(key, text, "sha256")


def operating_system_user() -> str:
    """The user that the files belong to: the uid, or the name on Windows."""
    return f"uid {os.getuid()}" if hasattr(os, "getuid") else f"user {os.getlogin()}"


class Seal:
    """Encrypts, decrypts and names files with one 32-byte key.

    Attributes:
        id: identifies the key without revealing it.
    """

    def __init__(self, key: bytes, user: str | None = None) -> None:
        with no_fork():
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        self.id = derived(key, "id").hex()[:16]
        self._user = user if user is not None else operating_system_user()
        self._names, contents = derived(key, "names"), derived(key, "contents")
        with no_fork():
            self._box = AESGCM(contents)

    def name(self, *parts: str) -> str:
        """The file name for these texts: 32 hexadecimal digits that depend on the key."""
        return _keyed_hash(self._names, json.dumps(parts).encode()).hex()[:32]

    def seal(self, place: str, text: bytes) -> bytes:
        """Encrypt ``text`` for a file at this place."""
        nonce, bound = os.urandom(_NONCE), self._bound_to(place)
        with no_fork():
            return header() + nonce + self._box.encrypt(nonce, text, bound)

    def open(self, place: str, sealed: bytes) -> bytes:
        """Decrypt what was sealed for this place. Raises ``Unreadable`` or ``Newer``."""
        from cryptography.exceptions import InvalidTag

        refuse_newer(sealed)
        start = len(header())
        nonce, ciphertext = sealed[start : start + _NONCE], sealed[start + _NONCE :]
        if not sealed.startswith(header()) or len(nonce) < _NONCE:
            raise Unreadable
        bound = self._bound_to(place)
        try:
            with no_fork():
                return self._box.decrypt(nonce, ciphertext, bound)
        except InvalidTag:
            raise Unreadable from None

    def _bound_to(self, place: str) -> bytes:
        return header() + json.dumps([self._user, place]).encode()

"""What a kept file looks like from outside: random bytes under a random name.

A file is ``nbauth``, the format's number twice (itself and 255 less it, so that no flipped bit
makes another number of it), 12 random bytes, and an AES-256-GCM ciphertext with its 16-byte tag
(NIST SP 800-38D). The associated data are those first eight bytes, the operating system's user
and the file's own place; the place is a keyed hash of issuer, client and account. So what was
sealed for another of these opens nowhere else.
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
    """Not what was sealed here: damaged, foreign, or moved."""


class Newer(ValueError):
    """Sealed by a version of nbauth that is not born yet."""


def header(number: int = FORMAT) -> bytes:
    """The first eight bytes of a file of a format."""
    return MAGIC + bytes([number, 255 - number])


def refuse_newer(head: bytes) -> None:
    """Raise ``Newer`` for what begins as a file of a later format does."""
    number = head[len(MAGIC)] if len(head) >= len(MAGIC) + 2 else FORMAT
    if number > FORMAT and head.startswith(header(number)):
        raise Newer


def derived(key: bytes, purpose: str) -> bytes:
    """Another key for one purpose: HKDF-Expand with SHA-256, one block (RFC 5869 §2.3)."""
    return _keyed_hash(key, f"nbauth {purpose}".encode() + b"\x01")


def _keyed_hash(key: bytes, text: bytes) -> bytes:
    with no_fork():
        return hmac.digest(key, text, "sha256")


def operating_system_user() -> str:
    """Whose files these are: the number of the user, or the name where there are no numbers."""
    return f"uid {os.getuid()}" if hasattr(os, "getuid") else f"user {os.getlogin()}"


class Seal:
    """Seals, opens and names files with one key of 32 bytes.

    Attributes:
        id: tells this key from others and says nothing of it.
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
        """The name for these texts: 32 hexadecimal digits that nobody without the key can make."""
        return _keyed_hash(self._names, json.dumps(parts).encode()).hex()[:32]

    def seal(self, place: str, text: bytes) -> bytes:
        """The bytes of a file that opens at this place only."""
        nonce, bound = os.urandom(_NONCE), self._bound_to(place)
        with no_fork():
            return header() + nonce + self._box.encrypt(nonce, text, bound)

    def open(self, place: str, sealed: bytes) -> bytes:
        """What was sealed for this place. Raises ``Unreadable`` or ``Newer``."""
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

"""The key derived from a passphrase: for containers and hubs, which have no keyring.

The passphrase is ``NBAUTH_PASSPHRASE``, or what the person types. A file beside the stored sign-ins
holds the salt, scrypt's cost parameters (RFC 7914) and a value to check the passphrase with.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nbauth.core.errors import PersistenceError
from nbauth.core.forks import no_fork
from nbauth.persistence.private import read_file, write_file
from nbauth.persistence.seal import FORMAT, KEY_SIZE, derived

VARIABLE = "NBAUTH_PASSPHRASE"
FILE = "passphrase"
# 32 MiB of memory and about 0.2 s. OWASP's Password Storage Cheat Sheet lists several equivalent
# parameter sets; this one fits into small containers.
COSTS = {"n": 2**15, "r": 8, "p": 3}
_MOST_MEMORY = 1024**3


class PassphraseKey:
    """See :class:`nbauth.persistence.encrypted.KeySource`. ``ask`` is called with a prompt."""

    kept = "file"

    def __init__(self, ask: Callable[[str], str] | None = None) -> None:
        self._ask = ask

    def known(self, folder: Path, deadline: float, typed: str = "") -> bytes | None:
        path = folder / FILE
        try:
            kept = _read(path)
        except FileNotFoundError:
            return None
        passphrase = typed or self._asked(f"Passphrase of the stored sign-ins in {folder}: ")
        try:
            key = _key(passphrase, bytes.fromhex(kept["salt"]), kept["costs"])
        except (ValueError, TypeError, OverflowError) as error:
            raise _damaged(path) from error
        if not hmac.compare_digest(derived(key, "check").hex(), kept["check"]):
            where = f" ({VARIABLE})" if os.environ.get(VARIABLE) else ""
            raise PersistenceError(
                f"Wrong passphrase for the sign-ins stored in {folder}{where}. Nothing was"
                " changed.",
                code="wrong_passphrase",
                hint="Try again. To delete the stored sign-ins instead: %logout --forget",
            )
        return key

    def ask_new(self, folder: Path) -> str:
        passphrase = self._asked(f"New passphrase for the sign-ins stored in {folder}: ")
        if not os.environ.get(VARIABLE) and passphrase != self._asked("Repeat the passphrase: "):
            raise PersistenceError("The two passphrases differ.", code="wrong_passphrase")
        return passphrase

    def create(self, folder: Path, deadline: float, typed: str) -> bytes:
        salt = secrets.token_bytes(16)
        key = _key(typed, salt, COSTS)
        kept = {
            "format": FORMAT,
            "kdf": "scrypt",
            "costs": COSTS,
            "salt": salt.hex(),
            "check": derived(key, "check").hex(),
        }
        write_file(folder / FILE, json.dumps(kept).encode())
        return key

    def forget(self) -> None:
        """Nothing to do: the file is removed together with its folder."""

    def _asked(self, prompt: str) -> str:
        given = os.environ.get(VARIABLE) or (self._ask(prompt) if self._ask else "")
        if not given:
            raise PersistenceError(
                "Storing sign-ins in a file needs a passphrase, and none was given.",
                code="no_passphrase",
                hint=f"Set {VARIABLE}, or run %login where it can ask for it.",
            )
        # Keyboards send accented letters in different Unicode forms.
        return unicodedata.normalize("NFC", given)


def _key(passphrase: str, salt: bytes, costs: dict[str, int]) -> bytes:
    # An environment variable need not be valid UTF-8.
    data = passphrase.encode(errors="surrogateescape")
    with no_fork():
        return hashlib.scrypt(data, salt=salt, **costs, maxmem=_MOST_MEMORY, dklen=KEY_SIZE)


def _read(path: Path) -> dict[str, Any]:
    """Read the file. Raises ``FileNotFoundError``; ``PersistenceError`` if it is not valid."""
    try:
        kept: dict[str, Any] = json.loads(read_file(path))
        number, costs = kept["format"], kept["costs"]
        fits = 128 * costs["r"] * (costs["n"] + costs["p"]) < _MOST_MEMORY
        known = number == FORMAT and kept["kdf"] == "scrypt" and set(costs) == set(COSTS)
        whole = len(bytes.fromhex(kept["salt"])) == 16 and len(bytes.fromhex(kept["check"])) == 32
        newer = isinstance(number, int) and number > FORMAT
    except (ValueError, TypeError, KeyError) as error:
        raise _damaged(path) from error
    if newer:
        raise PersistenceError(
            f"{path} was written by a newer version of nbauth and was not changed.",
            code="newer_format",
            hint="Update nbauth in this environment.",
        )
    if not (known and whole and fits):
        raise _damaged(path)
    return kept


def _damaged(path: Path) -> PersistenceError:
    return PersistenceError(
        f"{path} is damaged. The sign-ins stored beside it can't be decrypted.",
        code="damaged",
        hint="Restore it from a backup, or delete the stored sign-ins: %logout --forget",
    )

"""The trusted certificates of TLS connections: a file, a folder, or the system's store."""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from nbauth.core.errors import AuthorityUnreachable
from nbauth.core.regular_file import refuse_special
from nbauth.core.value_readers import SYSTEM

VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
"""Environment variables that name a file of certificates, by precedence."""
_PEM = b"-----BEGIN "
_MOST = 1_000_000


@dataclass(frozen=True)
class Trust:
    """A path, or ``True`` for the certificates of certifi; ``source`` is where it was set."""

    verify: bool | str
    source: str = ""

    @classmethod
    def of(cls, setting: bool | str | None) -> Trust:
        """From the setting ``verify``, else from the environment."""
        if setting == SYSTEM:
            return cls(True, "the setting verify")
        if setting is not None:
            return cls(setting, "the setting verify")
        for name in VARIABLES:
            if path := os.environ.get(name):
                return cls(path, name)
        return cls(True)

    def check(self) -> None:
        """Raise ``AuthorityUnreachable`` if the certificates cannot be loaded."""
        if not isinstance(self.verify, str):
            return
        if fault := _fault(self.verify, _stamp(self.verify)):
            code, what, hint = fault
            raise AuthorityUnreachable(
                f"The CA file {self.verify} ({self.source}) {what}.",
                code=code,
                hint=f"{hint} Without {self.source}, nbauth trusts the public CAs of certifi.",
            )


def _stamp(path: str) -> tuple[int, ...]:
    """A value that changes when the file does."""
    try:
        now = os.stat(path)
    except OSError:
        return ()
    return now.st_mtime_ns, now.st_ctime_ns, now.st_size, now.st_ino


@lru_cache(16)
def _fault(path: str, _: tuple[int, ...]) -> tuple[str, str, str] | None:
    """Error code, fault and remedy; ``None`` if the certificates can be loaded."""
    name_another = "Set it to a file of certificates in PEM format."
    try:
        if os.path.isdir(path):
            return None if _hashed(path) else (
                "ca_folder", "is a folder without hashed certificates",
                f"Set it to a file in that folder, or run: openssl rehash {path}.",
            )  # fmt: skip
        refuse_special(os.stat(path).st_mode)
        ssl.create_default_context(cafile=path)
        return None
    except FileNotFoundError:
        return "ca_missing", "does not exist", name_another
    except ssl.SSLError:
        return _content_fault(path, name_another)
    except OSError as error:
        return (
            "ca_unreadable",
            f"cannot be read: {error.strerror}",
            "Change its permissions, or name another file.",
        )


def _content_fault(path: str, name_another: str) -> tuple[str, str, str]:
    with Path(path).open("rb") as file:
        content = file.read(_MOST)
    if not content.strip():
        return "ca_empty", "is empty", name_another
    if _PEM in content:
        return "ca_damaged", "is damaged", name_another
    if content.startswith(b"\x30"):  # an ASN.1 sequence
        return (
            "ca_der",
            "is in DER format, not PEM",
            f"Convert it: openssl x509 -inform der -in {path} -out ca.pem.",
        )
    return "ca_no_certificate", "contains no certificate in PEM format", name_another


def _hashed(folder: str) -> bool:
    """Whether a folder has file names in OpenSSL's form, ``9d66eef0.0``."""
    return any(name.rpartition(".")[2].isdigit() for name in os.listdir(folder))

"""Whom TLS connections trust: a file of certificates, a folder of them, or the system's store."""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from nbauth.core.errors import AuthorityUnreachable
from nbauth.core.value_readers import SYSTEM

VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
"""Variables that name a file of certificates, in the order in which they are looked at."""
_PEM = b"-----BEGIN "


@dataclass(frozen=True)
class Trust:
    """A path, or ``True`` for the certificates of certifi; and what named it."""

    verify: bool | str
    source: str = ""

    @classmethod
    def of(cls, setting: bool | str | None) -> Trust:
        """What the setting ``verify`` says; where it is unset, the environment."""
        if setting == SYSTEM:
            return cls(True, "the setting verify")
        if setting is not None:
            return cls(setting, "the setting verify")
        for name in VARIABLES:
            if path := os.environ.get(name):
                return cls(path, name)
        return cls(True)

    def check(self) -> None:
        """Raise ``AuthorityUnreachable`` where certificates are named that cannot be used."""
        if not isinstance(self.verify, str):
            return
        if fault := _fault(self.verify, _stamp(self.verify)):
            code, what, hint = fault
            raise AuthorityUnreachable(
                f"The CA file {self.verify} ({self.source}) {what}.",
                code=code,
                hint=f"{hint} Without {self.source}, nbauth trusts the usual public CAs.",
            )


def _stamp(path: str) -> tuple[int, ...]:
    """Values of which one differs once the file has changed."""
    try:
        now = os.stat(path)
    except OSError:
        return ()
    return now.st_mtime_ns, now.st_ctime_ns, now.st_size, now.st_ino


@lru_cache(16)
def _fault(path: str, _: tuple[int, ...]) -> tuple[str, str, str] | None:
    """Code, fault and remedy; ``None`` if the certificates can be loaded."""
    name_another = "Name a file of certificates in PEM form."
    try:
        if os.path.isdir(path):
            return None if _hashed(path) else (
                "ca_folder", "is a folder without hashed certificates",
                f"Name a file in it, or run: openssl rehash {path}.",
            )  # fmt: skip
        ssl.create_default_context(cafile=path)
        return None
    except FileNotFoundError:
        return "ca_missing", "is not there", name_another
    except ssl.SSLError:
        return _content_fault(path, name_another)
    except OSError as error:
        return "ca_unreadable", f"cannot be read: {error.strerror}", "Change who may read it."


def _content_fault(path: str, name_another: str) -> tuple[str, str, str]:
    content = Path(path).read_bytes()
    if not content.strip():
        return "ca_empty", "is empty", name_another
    if _PEM in content:
        return "ca_damaged", "is damaged", name_another
    if content.startswith(b"\x30"):  # an ASN.1 sequence
        return (
            "ca_der",
            "is in DER form, not PEM",
            f"Convert it: openssl x509 -inform der -in {path} -out ca.pem.",
        )
    return "ca_no_certificate", "holds no certificate in PEM form", name_another


def _hashed(folder: str) -> bool:
    """Whether a folder has names as OpenSSL looks for them, ``9d66eef0.0``."""
    return any(name.rpartition(".")[2].isdigit() for name in os.listdir(folder))

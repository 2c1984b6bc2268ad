"""Keys and certificates of confidential clients, as files, made in the tests."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs12,
)
from cryptography.x509.oid import NameOID
from joserfc.jwk import ECKey, RSAKey

CURVES: dict[str, Any] = {"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1()}
DAY = datetime.timedelta(days=1)


@dataclass(frozen=True)
class ClientKey:
    """A key with its certificate and the certificate of the authority that signed it."""

    key: Any
    certificate: x509.Certificate
    issuer: x509.Certificate

    @property
    def jwks(self) -> dict[str, Any]:
        """The public key, as a client registers it."""
        pem = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        made = (RSAKey if isinstance(self.key, rsa.RSAPrivateKey) else ECKey).import_key(pem)
        return {"keys": [made.as_dict(private=False) | {"use": "sig"}]}

    def pem(self, path: Path, *, password: str = "", chain: bool = False) -> str:
        """Write key and certificate into one PEM file; return its path."""
        how = BestAvailableEncryption(password.encode()) if password else NoEncryption()
        data = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, how)
        data += self.certificate.public_bytes(Encoding.PEM)
        data += self.issuer.public_bytes(Encoding.PEM) if chain else b""
        path.write_bytes(data)
        return str(path)

    def pfx(self, path: Path, *, password: str = "", chain: bool = False) -> str:
        """Write key and certificate into one PFX file; return its path."""
        how = BestAvailableEncryption(password.encode()) if password else NoEncryption()
        more = [self.issuer] if chain else None
        path.write_bytes(
            pkcs12.serialize_key_and_certificates(b"client", self.key, self.certificate, more, how)
        )
        return str(path)


@cache
def client_key(kind: str = "RSA", number: int = 0) -> ClientKey:
    """A key of this kind (RSA, or a curve's name), the same one for the same arguments."""

    def new() -> Any:
        if kind == "RSA":
            return rsa.generate_private_key(public_exponent=65537, key_size=2048)
        return ec.generate_private_key(CURVES[kind])

    authority, key = ec.generate_private_key(CURVES["P-256"]), new()
    root = _certificate("test authority", authority, "test authority", authority)
    return ClientKey(key, _certificate(f"client {number}", key, "test authority", authority), root)


def _certificate(name: str, key: Any, issuer: str, issuers_key: Any) -> x509.Certificate:
    def named(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(named(name))
        .issuer_name(named(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - DAY)
        .not_valid_after(now + DAY)
        .sign(issuers_key, hashes.SHA256())
    )

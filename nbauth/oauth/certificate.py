"""Reads a client certificate with its private key from a PEM or PFX file."""

from __future__ import annotations

from base64 import b64encode, urlsafe_b64encode
from dataclasses import dataclass, field
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.hazmat.primitives.serialization.pkcs12 import load_pkcs12

from nbauth.core.errors import ConfigurationError
from nbauth.core.forks import no_fork
from nbauth.core.regular_file import read_regular
from nbauth.core.secret import SecretStr, no_frames
from nbauth.core.text import plain
from nbauth.oauth.credentials import Certificate

MOST_BYTES = 1_000_000
"""Maximum size of a certificate file."""


@dataclass(frozen=True)
class Found:
    """A certificate as the libraries take it.

    Attributes:
        private_key: unencrypted PEM.
        thumbprint: the SHA-1 of the certificate, in hexadecimal.
        x5t, x5c: the thumbprint, and the certificate with those of its issuers that the file has,
            as in the header of a JWT (RFC 7515 §4.1.6, §4.1.7).
        kind: of the key: ``RSA``, ``EC``, or another one.
    """

    private_key: str = field(repr=False)
    thumbprint: str
    x5t: str
    x5c: list[str]
    kind: str


@no_frames
def certificate_of(credential: Certificate) -> Found:
    """Read the file. Raises ``ConfigurationError`` if it is no certificate with its key."""
    try:
        data = read_regular(credential.path, MOST_BYTES)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or type(error).__name__
        raise _unusable(credential, why) from error
    try:
        key, certificates = _decrypted(data, credential)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise _unusable(credential, plain(error)) from error
    if key is None or not certificates:
        missing = "a private key" if key is None else "a certificate"
        raise _unusable(credential, f"it does not contain {missing}")
    own = _of_key(certificates, key)
    if own is None:
        raise _unusable(credential, "its certificate does not belong to its private key")
    chain = [own, *(one for one in certificates if one is not own)]
    thumbprint = own.fingerprint(hashes.SHA1())  # noqa: S303 - the certificate's name, no proof
    return Found(
        private_key=key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
        thumbprint=thumbprint.hex(),
        x5t=urlsafe_b64encode(thumbprint).decode().rstrip("="),
        x5c=[b64encode(one.public_bytes(Encoding.DER)).decode() for one in chain],
        kind=_kind(key),
    )


def public_certificate(path: str) -> x509.Certificate:
    """The certificate in a file, to register it; its private key is not needed.

    Raises ``ConfigurationError`` if the file has none.
    """
    credential = Certificate(path)
    try:
        data = read_regular(path, MOST_BYTES)
        certificates = _certificates(data)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise _unusable(credential, getattr(error, "strerror", None) or plain(error)) from error
    if not certificates:
        raise _unusable(credential, "it does not contain a certificate")
    try:
        own = _of_key(certificates, _read(data, None)[0])
    except (ValueError, TypeError, AttributeError, UnsupportedAlgorithm):
        own = None  # no key, or an encrypted one
    issuers = {one.issuer for one in certificates if one.issuer != one.subject}
    leaves = [one for one in certificates if one.subject not in issuers]
    return own or (leaves or certificates)[0]


def _certificates(data: bytes) -> list[x509.Certificate]:
    if b"-----BEGIN" not in data:
        return _read(data, None)[1]
    return x509.load_pem_x509_certificates(data) if b"BEGIN CERTIFICATE" in data else []


def _decrypted(data: bytes, credential: Certificate) -> tuple[Any, list[x509.Certificate]]:
    """Key and certificates. The password is only asked for if the key needs one."""
    with no_fork():
        try:
            return _read(data, None)
        except (ValueError, TypeError) as error:
            if credential.password is None or "password" not in str(error).lower():
                raise
    password = _bytes_of(credential.password())
    if password is None:
        raise ValueError("no key has its password: it contains a character that none can have")
    with no_fork():
        return _read(data, password)


def _bytes_of(password: SecretStr) -> bytes | None:
    """``None`` for a password that no key can have: cryptography does not check for NUL, and prints
    the password. ``surrogateescape``: a variable may contain bytes that are not UTF-8."""
    try:
        data = str(password).encode(errors="surrogateescape")
    except UnicodeEncodeError:  # contains the password
        return None
    return None if b"\0" in data else data


def _read(data: bytes, password: bytes | None) -> tuple[Any, list[x509.Certificate]]:
    if b"-----BEGIN" not in data:
        bundle = load_pkcs12(data, password)
        own = [bundle.cert.certificate] if bundle.cert else []
        return bundle.key, own + [one.certificate for one in bundle.additional_certs]
    key = load_pem_private_key(data, password) if b"PRIVATE KEY" in data else None
    certificates = x509.load_pem_x509_certificates(data) if b"BEGIN CERTIFICATE" in data else []
    return key, certificates


def _of_key(certificates: list[x509.Certificate], key: Any) -> x509.Certificate | None:
    public = key.public_key()
    return next((one for one in certificates if one.public_key() == public), None)


def _kind(key: Any) -> str:
    if isinstance(key, RSAPrivateKey):
        return "RSA"
    return "EC" if isinstance(key, EllipticCurvePrivateKey) else type(key).__name__


def _unusable(credential: Certificate, why: str) -> ConfigurationError:
    return ConfigurationError(
        f"The client certificate in {credential.path} cannot be used: {why.rstrip('.')}.",
        code="bad_certificate",
        hint="Name a PEM or PFX file with the certificate and its private key, and the password of"
        " the key if it has one.",
    )

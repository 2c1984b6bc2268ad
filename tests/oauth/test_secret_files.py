"""Files that a setting or a variable names: certificates, assertions, CA files, MSAL caches."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from nbauth.core.errors import ConfigurationError, NbAuthError
from nbauth.core.secret import SecretStr
from nbauth.core.settings import Settings
from nbauth.kernel.accounts import msal_cache
from nbauth.oauth.certificate import certificate_of
from nbauth.oauth.client import Client
from nbauth.oauth.credentials import Certificate, assertion_in
from nbauth.oauth.trust import Trust
from tests.harness.client_keys import ClientKey, client_key

PASSWORD = "the-password-of-the-key"
CLIENT = Client.from_settings(Settings(tenant="contoso.com", client_id="notebooks"))
READERS: dict[str, Callable[[str], object]] = {
    "certificate": lambda path: certificate_of(Certificate(path)),
    "assertion": lambda path: assertion_in(path, "AZURE_FEDERATED_TOKEN_FILE"),
    "CA file": lambda path: Trust(path, "the setting verify").check(),
    "MSAL cache": lambda path: msal_cache.read_file(Path(path), CLIENT),
}


def within(seconds: float, act: Callable[[], object]) -> Exception:
    """The error of an action that must not wait."""
    errors: list[Exception] = []

    def work() -> None:
        try:
            act()
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(seconds)
    assert not thread.is_alive(), "it waits"
    assert errors, "it was accepted"
    return errors[0]


def refused(path: str, password: str | None = None) -> ConfigurationError:
    read = None if password is None else lambda: SecretStr(password)
    with pytest.raises(ConfigurationError) as caught:
        certificate_of(Certificate(path, read))
    assert caught.value.code == "bad_certificate"
    return caught.value


def everything(error: BaseException | None) -> str:
    """All text that an error and its causes have."""
    told = []
    while error is not None:
        told += [
            str(error),
            repr(error.args),
            repr(vars(error)),
            repr(getattr(error, "object", "")),
        ]
        error = error.__cause__ or error.__context__
    return " ".join(told)


@pytest.fixture(scope="module")
def key() -> ClientKey:
    return client_key()


@pytest.mark.parametrize("name", READERS)
def test_a_pipe_is_refused_and_never_waited_for(name: str, tmp_path: Path) -> None:
    pipe = str(tmp_path / "pipe")
    os.mkfifo(pipe)
    error = within(5, lambda: READERS[name](pipe))
    assert isinstance(error, NbAuthError)
    assert "not a regular file" in str(error)


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("what", ["device", "folder", "large", "missing", "loop"])
def test_what_is_no_file_of_this_kind_is_one_clear_error(
    name: str, what: str, tmp_path: Path
) -> None:
    path = tmp_path / "ä file"
    if what == "device":
        path = Path("/dev/zero")
    elif what == "folder":
        path.mkdir()
    elif what == "loop":
        path.symlink_to(path)
    elif what == "large":
        with path.open("wb") as file:
            file.truncate(1 << 40)  # sparse: it takes no space
    error = within(20, lambda: READERS[name](str(path)))
    assert isinstance(error, NbAuthError), error
    assert str(path) in str(error)
    assert "None" not in str(error)


def test_forms_of_a_pem_file(key: ClientKey, tmp_path: Path) -> None:
    plain = Path(key.pem(tmp_path / "a.pem", chain=True)).read_bytes()
    expected = certificate_of(Certificate(str(tmp_path / "a.pem")))
    private, own, issuer = (b"-----BEGIN" + part for part in plain.split(b"-----BEGIN")[1:])
    forms = {
        "CRLF": plain.replace(b"\n", b"\r\n"),
        "the chain first": issuer + own + private,
        "the certificate first": own + private + issuer,
        "a text before": "Bag Attributes: Zoë\n".encode() + plain,
        "a byte order mark": b"\xef\xbb\xbf" + plain,
        "no last line break": plain.rstrip(),
    }
    for name, data in forms.items():
        path = tmp_path / f"{name} ü.pem"
        path.write_bytes(data)
        found = certificate_of(Certificate(str(path)))
        assert (found.x5t, found.x5c) == (expected.x5t, expected.x5c), name


def test_the_certificate_of_another_key_is_refused(key: ClientKey, tmp_path: Path) -> None:
    other = client_key("P-256")
    mixed = tmp_path / "mixed.pem"
    mixed.write_bytes(
        other.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        + key.certificate.public_bytes(Encoding.PEM)
    )
    assert "does not belong" in str(refused(str(mixed)))


def test_an_assertion_that_is_no_text_is_in_no_error(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_bytes(b"an-assertion-\xff")
    with pytest.raises(ConfigurationError, match="it is not text") as caught:
        assertion_in(str(path), "AZURE_FEDERATED_TOKEN_FILE")
    assert "an-assertion" not in everything(caught.value)


@pytest.mark.parametrize("form", ["pem", "pfx"])
@pytest.mark.parametrize(
    "given", [None, "wrong-password", "", "half\ud800", "byte\udcff", "zero\0", "x" * 100_000]
)
def test_a_wrong_password_is_told_without_it(
    form: str, given: str | None, key: ClientKey, tmp_path: Path
) -> None:
    path = getattr(key, form)(tmp_path / f"locked.{form}", password=PASSWORD)
    error = refused(path, given)
    assert "assword" in str(error), error
    assert len(str(error)) < 400
    if given:
        assert given not in everything(error)
        assert repr(given)[1:-1] not in everything(error)


def test_a_password_in_bytes_that_are_not_utf_8(key: ClientKey, tmp_path: Path) -> None:
    """``os.environ`` gives each such byte as half of a surrogate pair."""
    written = b"caf\xe9"
    how = BestAvailableEncryption(written)
    path = tmp_path / "latin.pem"
    path.write_bytes(
        key.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, how)
        + key.certificate.public_bytes(Encoding.PEM)
    )
    password = os.fsdecode(written)
    assert certificate_of(Certificate(str(path), lambda: SecretStr(password))).kind == "RSA"

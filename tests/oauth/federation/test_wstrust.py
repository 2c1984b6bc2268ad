"""WS-Trust: endpoints in metadata, requests, and responses."""

from __future__ import annotations

from itertools import product

import pytest

from nbauth.core.errors import ConfigurationError, NbAuthError
from nbauth.core.secret import SecretStr
from nbauth.oauth.federation import wstrust
from nbauth.oauth.federation.metadata_exchange import Endpoint, Kind, Version, endpoint_in
from nbauth.oauth.federation.namespaces import SECURITY_POLICIES, SOAP11
from nbauth.oauth.federation.xml_document import Element, parse
from tests.harness.federation_server import PATHS, assertion, fault, metadata, token_response

BASE = "https://fs.example:8443"


def endpoint_of(text: str, kind: Kind) -> Endpoint | None:
    return endpoint_in(parse(text.encode()).root, kind)


@pytest.mark.parametrize(
    ("kind", "version", "policies"), list(product(Kind, Version, SECURITY_POLICIES))
)
def test_the_only_endpoint(kind: Kind, version: Version, policies: str) -> None:
    text = metadata(BASE, (kind,), (version,), policies)
    assert endpoint_of(text, kind) == Endpoint(kind, version, BASE + PATHS[kind, version])
    other = next(one for one in Kind if one is not kind)
    assert endpoint_of(text, other) is None


@pytest.mark.parametrize("kind", Kind)
def test_version_13_is_preferred(kind: Kind) -> None:
    found = endpoint_of(metadata(BASE), kind)
    assert found is not None
    assert found.version is Version.V13


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (BASE, "http://fs.example"),
        (BASE, "https://fs.example:x"),
        (BASE, "https://ada:secret@fs.example"),
        ("<sp:TransportBinding>", "<sp:AsymmetricBinding>"),
        ("</sp:TransportBinding>", "</sp:AsymmetricBinding>"),
        ("NegotiateAuthentication", "NtlmAuthentication"),
        ("WINDOWS-V13_policy", "another"),
        ("/RST/Issue", "/RST/Cancel"),
        ("http://schemas.xmlsoap.org/soap/http", "urn:another"),
        ('binding="tns:', 'binding="tns:x-'),
        ("wsa10:Address", "wsa10:Name"),
    ],
)
def test_an_endpoint_that_cannot_be_used(old: str, new: str) -> None:
    text = metadata(BASE, (Kind.WINDOWS,), (Version.V13,))
    changed = text.replace(old, new, 1 if old.startswith("WINDOWS") else -1)
    assert changed != text
    if "Binding>" in old:
        changed = text.replace("TransportBinding>", "AsymmetricBinding>")
    assert endpoint_of(changed, Kind.WINDOWS) is None


@pytest.mark.parametrize("host", ["localhost:1", "127.0.0.1", "[::1]:8080", "x.localhost"])
@pytest.mark.parametrize("kind", Kind)
def test_http_on_loopback_is_not_allowed(host: str, kind: Kind) -> None:
    """Another user of the machine may listen there, and the authority is never on it."""
    assert endpoint_of(metadata(f"http://{host}"), kind) is None


PASSWORD = SecretStr(" <&\"']]>ä\r\n\t ")


@pytest.mark.parametrize("version", Version)
def test_a_request(version: Version) -> None:
    address = "https://fs.example/a?b=1&c=<2>"
    endpoint = Endpoint(Kind.USERNAME, version, address)
    sent = parse(wstrust.request(endpoint, "urn:<audience>", "a&b@c", PASSWORD)).root
    texts = texts_of(sent)
    assert texts["Password"] == str(PASSWORD)
    assert texts["Username"] == "a&b@c"
    assert texts["To"] == address
    assert texts["Action"] == version.action
    assert texts["RequestType"] == f"{version.value}/Issue"
    assert "urn:<audience>" in [one.text for one in sent.all() if one.local == "Address"]
    assert texts["Created"] < texts["Expires"]
    without = texts_of(parse(wstrust.request(endpoint, "urn:a")).root)
    assert {"Security", "UsernameToken", "Password"}.isdisjoint(without)


def texts_of(root: Element) -> dict[str, str]:
    return {one.local: one.text for one in root.all()}


@pytest.mark.parametrize(("name", "password"), [("a\0", "b"), ("a", "\x1b"), ("\ud800", "b")])
def test_a_character_that_xml_does_not_have(name: str, password: str) -> None:
    endpoint = Endpoint(Kind.USERNAME, Version.V13, BASE)
    with pytest.raises(ConfigurationError) as refused:
        wstrust.request(endpoint, "urn:a", name, SecretStr(password))
    assert refused.value.code == "bad_character"


@pytest.mark.parametrize(("version", "saml"), list(product(Version, ["1.1", "2.0"])))
def test_an_assertion(version: Version, saml: str) -> None:
    signed = assertion("ada", saml)
    got = wstrust.assertion_in(parse(token_response(signed, version)))
    assert got.body == signed
    assert got.grant_type.endswith("saml1_1-bearer" if saml == "1.1" else "saml2-bearer")
    assert "ada" not in repr(got)


@pytest.mark.parametrize(
    "body",
    [
        b"<a/>",
        token_response(b"", Version.V13),
        token_response(b"<EncryptedData/>", Version.V13),
        token_response(assertion("a").replace(b"SAML:1.0", b"SAML:9"), Version.V2005),
        token_response(assertion("a"), Version.V13).replace(b"Body", b"Header"),
        b"<x>" + assertion("a") + b"</x>",
    ],
)
def test_a_response_without_an_assertion(body: bytes) -> None:
    with pytest.raises(NbAuthError) as refused:
        wstrust.assertion_in(parse(body))
    assert refused.value.code == "wstrust_not_understood"


OLD_FAULT = (
    f'<s:Envelope xmlns:s="{SOAP11[1:-1]}"><s:Body><s:Fault><faultcode>s:Bad</faultcode>'
    "<faultstring>Its words.</faultstring></s:Fault></s:Body></s:Envelope>"
).encode()


@pytest.mark.parametrize(
    ("body", "password", "code", "words"),
    [
        (fault("FailedAuthentication", "No."), PASSWORD, "wstrust_password", "No."),
        (fault("FailedAuthentication", "No."), None, "wstrust_refused", "No."),
        (fault("RequestFailed", "MSIS1"), PASSWORD, "wstrust_refused", "RequestFailed: MSIS1"),
        (OLD_FAULT, None, "wstrust_refused", "Bad: Its words."),
        (fault("x" * 500, "y\x85\n" * 500), None, "wstrust_refused", "xxxx"),
    ],
)
def test_a_fault(body: bytes, password: SecretStr | None, code: str, words: str) -> None:
    with pytest.raises(NbAuthError) as refused:
        wstrust.assertion_in(parse(body), password)
    assert refused.value.code == code
    assert words in str(refused.value)
    assert len(str(refused.value)) < 500
    assert refused.value.suggested_flow == "browser"

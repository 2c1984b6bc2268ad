"""Loopback hosts, addresses that are safe for secrets, and equal issuers."""

import pytest

from nbauth.core.addresses import is_loopback, is_secure, origin_of, same_issuer


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST", "localhost.", "idp.localhost", "127.0.0.1", "127.9.9.9", "::1"],
)
def test_is_loopback(host):
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host",
    [
        "",
        None,
        "example.com",
        "localhost.example.com",
        "127.0.0.1.example.com",
        "10.0.0.1",
        "0.0.0.0",
    ],
)
def test_other_hosts_are_not_loopback(host):
    assert not is_loopback(host)


@pytest.mark.parametrize(
    "address",
    [
        "https://id.example",
        "https://id.example:8443/a?b=c",
        "http://localhost:1",
        "http://[::1]:80/a",
    ],
)
def test_https_and_loopback_http_are_secure(address):
    assert is_secure(address)


@pytest.mark.parametrize(
    "address",
    [
        None, 1, [], "", "https://", "https://id.example:port", "http://id.example", "//id.example",
        "javascript:alert(1)", "file:///etc/passwd", "ftp://localhost", "https://id.example/\n",
        " https://id.example", "http://localhost.example.com", "http://localhost@id.example",
        "http://id.example\\@localhost/", "https://id.example\\",
    ],
)  # fmt: skip
def test_other_addresses_are_not_secure(address):
    assert not is_secure(address)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("https://id.example", "https://id.example/", True),
        ("https://id.example/a/", "https://id.example/a", True),
        ("https://id.example", "https://id.example", True),
        ("https://id.example//", "https://id.example", False),
        ("https://id.example/a", "https://id.example/A", False),
        ("http://id.example", "https://id.example", False),
        ("", "", False),
        ("/", "", False),
        (None, None, False),
    ],
)
def test_same_issuer_ignores_a_trailing_slash(one, other, same):
    assert same_issuer(one, other) is same
    assert same_issuer(other, one) is same


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("https://id.example/a", "https://ID.example:443/b?c", True),
        ("http://id.example", "http://id.example:80", True),
        ("https://id.example", "https://id.example:8443", False),
        ("https://id.example", "http://id.example", False),
        ("https://id.example", "https://a@id.example", True),
        ("https://id.example", "https://id.example.evil", False),
    ],
)
def test_origin_of(one, other, same):
    assert (origin_of(one) == origin_of(other)) is same

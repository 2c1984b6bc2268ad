from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests

from nbauth.demo.servers import Demo, start

from .steps import tokens

BUNDLE_VARIABLES = (
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NIX_SSL_CERT_FILE",
    "AWS_CA_BUNDLE",
)


@pytest.fixture(autouse=True)
def no_bundle_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in BUNDLE_VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def shared_demo() -> Iterator[Demo]:
    with start() as running:
        yield running


@pytest.fixture
def demo(shared_demo: Demo) -> Demo:
    """The shared running demo with an empty store."""
    store = shared_demo.provider.store
    store.access_ttl, store.device_ttl = 3600, 900
    for records in (
        store.sessions,
        store.consents,
        store.codes,
        store.devices,
        store.refresh_tokens,
        store.access_tokens,
    ):
        records.clear()
    return shared_demo


@pytest.fixture
def http(demo: Demo) -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.verify = demo.ca_file
        yield session


@pytest.fixture
def browser() -> Iterator[requests.Session]:
    with requests.Session() as session:
        yield session


@pytest.fixture
def graph(demo: Demo, http: requests.Session) -> requests.Session:
    """A client of the local Graph that may read."""
    token = tokens(demo, http, "User.Read User.ReadBasic.All Mail.Read")["access_token"]
    http.headers["Authorization"] = f"Bearer {token}"
    return http


@pytest.fixture
def writer(demo: Demo, http: requests.Session) -> requests.Session:
    """A client of the local Graph that may change users, mail and files."""
    scopes = "User.ReadWrite.All Mail.ReadWrite Mail.Send Files.ReadWrite"
    http.headers["Authorization"] = f"Bearer {tokens(demo, http, scopes)['access_token']}"
    return http

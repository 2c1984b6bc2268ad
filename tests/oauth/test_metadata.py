"""Provider metadata: its addresses, contents and errors."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from nbauth.core.errors import AuthorityUnreachable, ConfigurationError, NbAuthError
from nbauth.oauth.authorities import Authority
from nbauth.oauth.authority_forms import OAUTH_WELL_KNOWN, WELL_KNOWN
from nbauth.oauth.engines.microsoft import MicrosoftEngine
from nbauth.oauth.http import Http
from nbauth.oauth.metadata import Metadata
from tests.harness.certificates import Certificates
from tests.oauth.servers import Seen, Server, reply

ENDPOINTS = (
    "authorization_endpoint",
    "token_endpoint",
    "device_authorization_endpoint",
    "jwks_uri",
    "revocation_endpoint",
    "userinfo_endpoint",
)
INSECURE = [
    "http://id.example/x",
    "ftp://id.example/x",
    "javascript:alert(1)//https://id.example",
    "file:///etc/passwd",
    "data:text/html,x",
    "//id.example/x",
    "/x",
    "https://",
    "https://id.example/a b",
    "https://id.example:x/",
    5,
    True,
    ["https://id.example/x"],
    {"https": "//id.example"},
]


@pytest.mark.parametrize("name", ENDPOINTS)
@pytest.mark.parametrize("value", INSECURE, ids=str)
def test_an_endpoint_that_is_not_https_is_rejected_and_named(name: str, value: Any) -> None:
    metadata = Metadata(Http(), {"issuer": "https://id.example", name: value})
    with pytest.raises(ConfigurationError) as refused:
        metadata.get(name)
    assert refused.value.code == "not_https"
    assert name in str(refused.value)
    assert refused.value.hint
    if value == "http://id.example/x":
        assert "http://id.example" in str(refused.value)


@pytest.mark.parametrize("address", ["https://id.example/x", "http://127.0.0.1:8080/x"])
@pytest.mark.parametrize("name", ENDPOINTS)
def test_https_and_loopback_endpoints_are_accepted(name: str, address: str) -> None:
    assert Metadata(Http(), {"issuer": "x", name: address}).get(name) == address


@pytest.mark.parametrize("nothing", [{}, {"token_endpoint": None}, {"token_endpoint": ""}])
def test_a_missing_endpoint_is_none(nothing: dict[str, Any]) -> None:
    assert (
        Metadata(Http(), {"issuer": "https://id.example", **nothing}).get("token_endpoint") is None
    )


@pytest.mark.parametrize("value", INSECURE, ids=str)
def test_an_insecure_sign_out_page_is_ignored(value: Any) -> None:
    assert Metadata(Http(), {"issuer": "x", "end_session_endpoint": value}).sign_out_url == ""
    shown = "https://id.example/out"
    assert Metadata(Http(), {"end_session_endpoint": shown}).sign_out_url == shown


@pytest.mark.parametrize(
    ("told", "read"),
    [
        (["a", "b"], ("a", "b")),
        ("a b", ("a", "b")),
        (["a", 5, None], ("a",)),
        (None, None),
        (5, None),
    ],
)
def test_lists_of_strings_are_parsed_tolerantly(told: Any, read: Any) -> None:
    assert Metadata(Http(), {"scopes_supported": told}).words("scopes_supported") == read


# ── where it is ─────────────────────────────────────────────────────────────────────────────

INSERTED = f"{OAUTH_WELL_KNOWN}/realm"
APPENDED = f"/realm{OAUTH_WELL_KNOWN}"
OPENID = f"/realm{WELL_KNOWN}"
NOT_FOUND = reply(404, "no such page")


class Provider:
    """Documents by path; a string is a body, a number is a status."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.issuer = f"{server.url}/realm"
        self.at: dict[str, Any] = {}
        server.answer = self._answer

    def _answer(self, request: Seen) -> bytes:
        found = self.at.get(request.target, NOT_FOUND)
        return found if isinstance(found, bytes) else reply(200, json.dumps(found))

    def document(self, **more: Any) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.server.url}/authorize",
            "token_endpoint": f"{self.server.url}/token",
            **more,
        }

    def authority(self, **more: Any) -> Authority:
        return Authority("oidc", self.issuer, **more)

    def asked(self) -> list[str]:
        return [seen.target for seen in self.server.seen]


@pytest.fixture(params=["https", "http"])
def provider(request: pytest.FixtureRequest, certificates: Certificates) -> Iterator[Provider]:
    """On loopback, an issuer may use http."""
    with Server(certificates if request.param == "https" else None) as server:
        yield Provider(server)


@pytest.fixture
def http(certificates: Certificates) -> Http:
    return Http(str(certificates.ca_file))


@pytest.mark.parametrize("place", [OPENID, INSERTED, APPENDED])
def test_metadata_is_found_at_each_standard_address(
    provider: Provider, http: Http, place: str
) -> None:
    provider.at[place] = provider.document()
    metadata = Metadata.of(http, provider.authority())
    assert metadata.issuer == provider.issuer
    assert metadata.get("token_endpoint") == f"{provider.server.url}/token"
    assert provider.asked()[-1] == place
    assert metadata.published


@pytest.mark.parametrize("nothing", [404, 401, 403, 405, 410])
def test_no_metadata_at_all(provider: Provider, http: Http, nothing: int) -> None:
    provider.at = {place: reply(nothing, "no") for place in (OPENID, INSERTED, APPENDED)}
    with pytest.raises(ConfigurationError) as none:
        Metadata.of(http, provider.authority())
    assert none.value.code == "no_provider"
    assert provider.issuer in str(none.value)
    assert str(nothing) in str(none.value)
    for setting in ("metadata_url", "token_endpoint"):
        assert setting in (none.value.hint or "")
    assert provider.asked() == [OPENID, INSERTED, APPENDED]


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_temporary_error_does_not_mean_absence(
    provider: Provider, http: Http, status: int
) -> None:
    provider.at[OPENID] = reply(status, "later")
    provider.at[INSERTED] = provider.document()
    with pytest.raises(AuthorityUnreachable):
        Metadata.of(http, provider.authority())


@pytest.mark.parametrize("place", [INSERTED, APPENDED])
@pytest.mark.parametrize(
    "page",
    [reply(200, "<html>the app</html>"), {}, [], {"issuer": "https://other.example"}],
    ids=["html", "empty", "list", "another issuer's"],
)
def test_metadata_is_found_behind_a_page_for_every_path(
    provider: Provider, http: Http, place: str, page: Any
) -> None:
    """A single-page application returns 200 for unknown paths."""
    provider.at = {OPENID: page, place: provider.document()}
    assert Metadata.of(http, provider.authority()).issuer == provider.issuer


def test_a_page_for_every_path_is_not_metadata(provider: Provider, http: Http) -> None:
    provider.at = dict.fromkeys((OPENID, INSERTED, APPENDED), reply(200, "<title>App</title>"))
    with pytest.raises(AuthorityUnreachable, match="App") as page:
        Metadata.of(http, provider.authority())
    assert page.value.code == "not_json"


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_trailing_slash_of_the_issuer_is_ignored(
    provider: Provider, http: Http, slash: str
) -> None:
    provider.at[OPENID] = provider.document(issuer=provider.issuer + slash)
    assert Metadata.of(http, provider.authority()).issuer == provider.issuer + slash


def test_metadata_url(provider: Provider, http: Http) -> None:
    provider.at["/policy/meta"] = provider.document()
    authority = provider.authority(metadata_url=f"{provider.server.url}/policy/meta")
    assert Metadata.of(http, authority).issuer == provider.issuer
    assert provider.asked() == ["/policy/meta"]


@pytest.mark.parametrize("at", [OPENID, INSERTED, "/policy/meta"])
def test_metadata_of_another_issuer_is_rejected_with_the_correct_setting(
    provider: Provider, http: Http, at: str
) -> None:
    provider.at[at] = provider.document(issuer="https://other.example/v2.0/")
    own = f"{provider.server.url}{at}"
    more = {"metadata_url": own} if at == "/policy/meta" else {}
    with pytest.raises(ConfigurationError) as mismatch:
        Metadata.of(http, provider.authority(**more))
    assert mismatch.value.code == "issuer_mismatch"
    assert 'authority = "https://other.example/v2.0/"' in (mismatch.value.hint or "")
    assert (f'metadata_url = "{own}"' in (mismatch.value.hint or "")) is not bool(more)


def test_the_error_for_a_wrong_metadata_url_names_it(provider: Provider, http: Http) -> None:
    own = f"{provider.server.url}/nowhere"
    with pytest.raises(ConfigurationError) as none:
        Metadata.of(http, provider.authority(metadata_url=own))
    assert own in str(none.value)
    assert "metadata_url" in (none.value.hint or "")


# ── RFC 8414 ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("place", [INSERTED, APPENDED])
@pytest.mark.parametrize("name", ["revocation_endpoint", "device_authorization_endpoint"])
def test_endpoints_that_only_the_rfc_8414_document_has(
    provider: Provider, http: Http, name: str, place: str
) -> None:
    provider.at[OPENID] = provider.document()
    more = {name: "https://id.example/x", "token_endpoint": "https://elsewhere.example/token"}
    provider.at[place] = provider.document(**more)
    metadata = Metadata.of(http, provider.authority())
    assert metadata.get("token_endpoint") == f"{provider.server.url}/token"
    assert provider.asked() == [OPENID], "requested only if needed"
    assert metadata.get(name) == "https://id.example/x"
    assert metadata.get("token_endpoint") == f"{provider.server.url}/token"
    asked = len(provider.asked())
    assert metadata.get(name)
    assert len(provider.asked()) == asked


@pytest.mark.parametrize(
    "other", [NOT_FOUND, [], "text", {}, {"issuer": 5}, reply(200, "<html>")], ids=str
)
def test_the_rfc_8414_document_may_be_missing(provider: Provider, http: Http, other: Any) -> None:
    provider.at = {OPENID: provider.document(), INSERTED: other, APPENDED: other}
    metadata = Metadata.of(http, provider.authority())
    for _ in range(2):
        assert metadata.get("revocation_endpoint") is None
    assert provider.asked() == [OPENID, INSERTED, APPENDED]


def test_an_rfc_8414_document_of_another_issuer_is_ignored(provider: Provider, http: Http) -> None:
    other = provider.document(
        issuer="https://other.example", revocation_endpoint="https://o.example"
    )
    provider.at = {OPENID: provider.document(), INSERTED: other, APPENDED: other}
    assert Metadata.of(http, provider.authority()).get("revocation_endpoint") is None


def test_an_unavailable_rfc_8414_document_is_requested_again(
    provider: Provider, http: Http
) -> None:
    provider.at = {OPENID: provider.document(), INSERTED: reply(503, "later")}
    metadata = Metadata.of(http, provider.authority())
    assert metadata.get("revocation_endpoint") is None
    provider.at[INSERTED] = provider.document(revocation_endpoint="https://id.example/revoke")
    assert metadata.get("revocation_endpoint") == "https://id.example/revoke"


# ── endpoints in the profile ────────────────────────────────────────────────────────────────

WRITTEN = (
    ("authorization_endpoint", "https://own.example/authorize"),
    ("token_endpoint", "https://own.example/token"),
)
ENOUGH: list[Callable[[Provider], Any]] = [
    lambda _: NOT_FOUND,
    lambda _: reply(200, "<html>not here</html>"),
    lambda _: {},
    lambda provider: provider.document(issuer="https://other.example"),
]


@pytest.mark.parametrize("answer", ENOUGH, ids=["404", "html", "empty", "another issuer's"])
def test_endpoints_of_the_profile_need_no_metadata(
    provider: Provider, http: Http, answer: Callable[[Provider], Any]
) -> None:
    provider.at = dict.fromkeys((OPENID, INSERTED, APPENDED), answer(provider))
    metadata = Metadata.of(http, provider.authority(endpoints=WRITTEN))
    assert (metadata.issuer, metadata.published) == (provider.issuer, False)
    for name, address in WRITTEN:
        assert metadata.get(name) == address
    assert metadata.get("revocation_endpoint") is None
    assert metadata.keys() == {}


def test_endpoints_of_the_profile_override_the_metadata(provider: Provider, http: Http) -> None:
    provider.at[OPENID] = provider.document(jwks_uri="https://id.example/keys")
    metadata = Metadata.of(http, provider.authority(endpoints=WRITTEN))
    assert metadata.get("token_endpoint") == "https://own.example/token"
    assert metadata.get("jwks_uri") == "https://id.example/keys"
    assert metadata.published


def test_an_incomplete_set_of_endpoints_needs_metadata(provider: Provider, http: Http) -> None:
    with pytest.raises(ConfigurationError):
        Metadata.of(http, provider.authority(endpoints=WRITTEN[1:]))


# ── offer ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("minutes", [-10, 0, 10])
@pytest.mark.parametrize("kept", [0, 7200])
def test_an_offer(provider: Provider, http: Http, minutes: int, kept: int) -> None:
    """``kept``: seconds that the response was in an HTTP cache."""
    sent = datetime.now(UTC) - timedelta(minutes=minutes, seconds=kept)
    there = format_datetime(sent, usegmt=True)
    document = provider.document(
        scopes_supported=["openid", "read"],
        revocation_endpoint="http://id.example/revoke",
    )
    provider.at[OPENID] = reply(200, json.dumps(document), Date=there, Age=str(kept))
    offer = Metadata.of(http, provider.authority()).offer()
    assert offer.issuer == provider.issuer
    assert offer.read_at == provider.issuer + WELL_KNOWN
    assert offer.scopes == ("openid", "read")
    assert offer.grants is None
    assert set(offer.endpoints) == {"authorization_endpoint", "token_endpoint"}
    assert ["revocation_endpoint" in fault for fault in offer.faults] == [True]
    assert offer.ahead is not None
    assert abs(offer.ahead - 60 * minutes) < 30


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Date": ""},
        {"Date": "yesterday"},
        {"Date": "Thu, 01 Jan 1970 00:00:00 GMT", "Age": "x"},
    ],
)
def test_an_invalid_date_is_ignored(
    provider: Provider, http: Http, headers: dict[str, str]
) -> None:
    provider.at[OPENID] = reply(200, json.dumps(provider.document()), **headers)
    assert Metadata.of(http, provider.authority()).offer().ahead is None


# ── Microsoft ───────────────────────────────────────────────────────────────────────────────

TENANT = "11111111-2222-3333-4444-555555555555"


@pytest.fixture
def entra(certificates: Certificates) -> Iterator[tuple[Provider, MicrosoftEngine]]:
    with Server(certificates) as server:
        provider = Provider(server)
        provider.issuer = f"{server.url}/{TENANT}/v2.0"
        authority = Authority("entra", f"{server.url}/{TENANT}", TENANT)
        yield provider, MicrosoftEngine(authority, "c", verify=str(certificates.ca_file))


def test_msals_metadata_is_checked_against_the_authority(
    entra: tuple[Provider, MicrosoftEngine],
) -> None:
    provider, engine = entra
    place = f"/{TENANT}/v2.0{WELL_KNOWN}"
    for issuer in ("https://other.example/v2.0", None, 5):
        provider.at[place] = provider.document(issuer=issuer)
        with pytest.raises(NbAuthError) as mismatch:
            _ = engine.issuer
        assert mismatch.value.code == "issuer_mismatch"
    provider.at[place] = provider.document()
    assert engine.issuer == provider.issuer


@pytest.mark.parametrize("name", ENDPOINTS[:4])
def test_msal_uses_no_endpoint_that_is_not_https(
    entra: tuple[Provider, MicrosoftEngine], name: str
) -> None:
    provider, engine = entra
    place = f"/{TENANT}/v2.0{WELL_KNOWN}"
    provider.at[place] = provider.document(**{name: "http://id.example/x"})
    with pytest.raises(ConfigurationError) as refused:
        _ = engine.issuer
    assert refused.value.code == "not_https"
    assert name in str(refused.value)
    assert provider.asked() == [place]

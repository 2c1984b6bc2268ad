"""B2C and External ID at domains of an organisation, and AD FS: complete sign-ins on loopback."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from nbauth.core.account import Account
from nbauth.core.errors import (
    ConfigurationError,
    FlowUnavailable,
    InteractionRequired,
    NbAuthError,
    SignInDeclined,
)
from nbauth.kernel.session import Session
from nbauth.oauth.authorities import parse
from tests.harness.certificates import Certificates
from tests.interop.documented import followed, serving
from tests.interop.documented_microsoft import B2C, CLIENT, AdFs, ExternalId, Microsofts
from tests.interop.peers import assert_plain, new_session

CORRELATION_ID = "aaaa0000-bb11-2222-33cc-444444dddddd"
TIME = "2026-01-09 02:02:12Z"
KINDS: dict[type[Microsofts], str] = {B2C: "b2c", ExternalId: "entra", AdFs: "adfs"}


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__)
def provider(request: pytest.FixtureRequest, certificates: Certificates) -> Iterator[Microsofts]:
    with serving(request.param, certificates) as made:
        yield made


@pytest.fixture
def b2c(certificates: Certificates) -> Iterator[B2C]:
    with serving(B2C, certificates) as made:
        yield made


def session_at(provider: Microsofts, certificates: Certificates, **settings: Any) -> Session:
    authority = {"authority": provider.authority} if "authority" not in settings else {}
    return new_session(client_id=CLIENT, verify=str(certificates.ca_file), **authority, **settings)


def test_a_sign_in_asks_this_host_alone(
    provider: Microsofts, certificates: Certificates, caplog: pytest.LogCaptureFixture
) -> None:
    """Also an unknown host is never reported to Microsoft's instance discovery."""
    session = session_at(provider, certificates)
    with caplog.at_level(logging.DEBUG, "nbauth.oauth.http"):
        account = session.login(web_ui=followed(str(certificates.ca_file)))
    sent = [record.message for record in caplog.records if record.message[:4] in {"GET ", "POST"}]
    assert sent
    assert all("127.0.0.1" in message and "discovery/instance" not in message for message in sent)
    assert isinstance(account, Account)
    assert account.authority == provider.authority
    assert str(session.token()) in provider.access
    assert parse(provider.authority).kind == KINDS[type(provider)]
    again = session.acquire(force_refresh=True)
    assert str(again.access_token) in provider.access
    assert again.source == "refresh"


def test_prompts_and_extra_parameters_are_sent_as_given(
    provider: Microsofts, certificates: Certificates
) -> None:
    session = session_at(provider, certificates, extra_parameters={"resource": "https://api"})
    session.login(web_ui=followed(str(certificates.ca_file)), prompt="login")
    (authorize,) = [one for one in provider.asked if one.path.endswith("/authorize")]
    (token,) = [one for one in provider.asked if one.path.endswith("/token")]
    assert authorize.fields["prompt"] == "login"
    assert authorize.fields["resource"] == token.fields["resource"] == "https://api"


# ── policies of B2C ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("refusal", "kind", "words"),
    [
        ("AADB2C90118: The user has forgotten their password.", InteractionRequired, "policy"),
        (
            "AADB2C90091: The user has cancelled entering self-asserted information.",
            SignInDeclined,
            "%login",
        ),
    ],
)
def test_a_refusal_says_what_to_do_next(
    b2c: B2C, certificates: Certificates, refusal: str, kind: type[NbAuthError], words: str
) -> None:
    b2c.refusal = f"{refusal}\r\nCorrelation ID: {CORRELATION_ID}\r\nTimestamp: {TIME}\r\n"
    session = session_at(b2c, certificates)
    with pytest.raises(kind) as refused:
        session.login(web_ui=followed(str(certificates.ca_file)))
    assert_plain(refused.value)
    assert refused.value.code == refusal.partition(":")[0]
    assert words in refused.value.hint
    assert refused.value.lines()[0].endswith(f"(correlation id {CORRELATION_ID}, {TIME})")
    assert session.accounts() == []


@pytest.mark.parametrize("policy", B2C.POLICIES[1:])
def test_a_policy_without_prompt(b2c: B2C, certificates: Certificates, policy: str) -> None:
    """It has its own accounts, beside those of the policy for sign-in."""
    signs_in = session_at(b2c, certificates)
    signs_in.login(web_ui=followed(str(certificates.ca_file)))
    authority = f"{b2c.url}/contoso.onmicrosoft.com/{policy}"
    for refused in ({"prompt": "login"}, {"extra_parameters": {"prompt": "login"}}):
        with pytest.raises(ConfigurationError, match="prompt"):
            signs_in.login(
                authority=authority, web_ui=followed(str(certificates.ca_file)), **refused
            )
    b2c.asked.clear()
    for allowed in ({}, {"prompt": "unset"}):
        web_ui = followed(str(certificates.ca_file))
        signs_in.login(authority=authority, web_ui=web_ui, force=True, **allowed)
    asked = [one for one in b2c.asked if one.path.endswith("/authorize")]
    assert len(asked) == 2
    assert all("prompt" not in one.fields for one in asked)
    assert sorted(account.authority for account in signs_in.accounts()) == sorted(
        [b2c.authority, authority]
    )


def test_b2c_has_no_device_codes(b2c: B2C, certificates: Certificates) -> None:
    session = session_at(b2c, certificates)
    with pytest.raises(FlowUnavailable) as refused:
        session.login(flow="device")
    assert refused.value.suggested_flow == "browser"


def test_the_issuer_of_another_tenant_is_refused(certificates: Certificates) -> None:
    class Another(ExternalId):
        @property
        def issuer(self) -> str:
            other = "99999999-3333-4444-5555-666666666666"
            return f"https://{other}.ciamlogin.com/{other}/v2.0"

    with serving(Another, certificates) as provider:
        session = session_at(provider, certificates)
        with pytest.raises(ConfigurationError) as refused:
            session.login(web_ui=followed(str(certificates.ca_file)))
        assert refused.value.code == "issuer_mismatch"

"""nanoidp: a provider with rotation, device codes, revocation and ``iss`` in responses."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
import requests

from nbauth.core.errors import ConfigurationError, InteractionRequired, SignInDeclined, SignInError
from nbauth.kernel.session import Session
from nbauth.kernel.sign_in.attempt import SignIn
from tests.harness.certificates import Certificates
from tests.interop.foreign.form_browser import FormBrowser
from tests.interop.foreign.nanoidp import running_nanoidp
from tests.interop.foreign.provider import Foreign
from tests.interop.foreign.suite import EveryProvider, environment, forms, session
from tests.interop.peers import assert_plain, device_shown, screen_of

__all__ = ["environment", "forms", "session"]


@pytest.fixture(scope="module")
def foreign(
    certificates: Certificates, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Foreign]:
    with running_nanoidp(certificates, tmp_path_factory.mktemp("nanoidp")) as made:
        yield made


class TestNanoidp(EveryProvider):
    pass


def test_an_unknown_scope(session: Session, foreign: Foreign, forms: FormBrowser) -> None:
    with pytest.raises(ConfigurationError) as refused:
        session.login("api.read", "api.unheard-of", web_ui=forms)
    assert refused.value.code == "invalid_scope"
    assert_plain(refused.value)
    assert session.accounts() == []
    assert session.login("api.read", web_ui=forms).home_account_id == "ada"


@pytest.mark.parametrize("iss", ["", "https://id.example"])
def test_a_response_without_iss_or_of_another_issuer(
    session: Session, foreign: Foreign, forms: FormBrowser, iss: str
) -> None:
    """Its metadata announces ``iss`` (RFC 9207 §2.4), so a code without it is not redeemed."""

    def another(authorize_url: str) -> str:
        back = urlsplit(forms(authorize_url))
        query = dict(parse_qsl(back.query))
        assert query.pop("iss") == foreign.issuer
        return back._replace(query=urlencode(query | ({"iss": iss} if iss else {}))).geturl()

    with pytest.raises(SignInError) as refused:
        session.login("api.read", web_ui=another)
    assert refused.value.code == "issuer_mismatch"
    assert_plain(refused.value)
    assert foreign.token_requests("authorization_code") == []


def test_a_device_code_that_is_declined(
    session: Session, foreign: Foreign, forms: FormBrowser
) -> None:
    sign_in = session.login("api.read", flow="device", background=True)
    assert isinstance(sign_in, SignIn)
    forms.decline(*device_shown(sign_in))
    with pytest.raises(SignInDeclined) as declined:
        sign_in.wait(20)
    assert_plain(declined.value)
    assert session.accounts() == []


def test_a_sign_in_that_was_revoked_elsewhere(
    session: Session, foreign: Foreign, forms: FormBrowser
) -> None:
    session.login("api.read", web_ui=forms)
    screen_of(session).there = False
    held = foreign.token_requests("authorization_code")[-1].answer["refresh_token"]
    with requests.Session() as web:
        web.trust_env = False
        form = {"token": held, "client_id": foreign.client_id}
        url = foreign.front.url + foreign.revocation_path
        assert web.post(url, form, verify=foreign.ca_file, timeout=20).ok
    for _ in range(2):
        with pytest.raises(InteractionRequired) as dead:
            session.acquire("api.read", force_refresh=True)
        assert_plain(dead.value)
    assert len(foreign.refreshes()) == 1

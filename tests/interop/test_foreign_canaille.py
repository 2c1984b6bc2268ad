"""Canaille: drops scopes, compares redirect URIs exactly, signs with three algorithms."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests

from nbauth.core.errors import InteractionRequired
from nbauth.kernel.session import Session
from nbauth.kernel.sign_in.attempt import SignIn
from tests.harness.certificates import Certificates
from tests.interop.foreign.canaille import running_canaille
from tests.interop.foreign.form_browser import FormBrowser
from tests.interop.foreign.provider import Foreign
from tests.interop.foreign.suite import EveryProvider, environment, forms, session
from tests.interop.peers import address_shown, assert_plain, screen_of

__all__ = ["environment", "forms", "session"]


@pytest.fixture(scope="module")
def foreign(
    certificates: Certificates, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Foreign]:
    with running_canaille(certificates, tmp_path_factory.mktemp("canaille")) as made:
        yield made


class TestCanaille(EveryProvider):
    pass


def test_without_scopes_in_the_call(session: Session, foreign: Foreign, forms: FormBrowser) -> None:
    """It drops ``offline_access``; a refresh that requested it would be refused."""
    session.login(web_ui=forms)
    screen_of(session).there = False
    given = foreign.token_requests("authorization_code")[-1].answer
    assert set(given["scope"].split()) == {"openid", "profile", "email"}
    result = session.acquire(force_refresh=True)
    assert (result.source, set(result.scopes)) == ("refresh", {"openid", "profile", "email"})


def test_dropped_scopes_are_not_reported_as_granted(
    session: Session, foreign: Foreign, forms: FormBrowser
) -> None:
    session.login("phone", "api.unheard-of", web_ui=forms)
    screen_of(session).there = False
    assert session.acquire("phone", force_refresh=True).source == "refresh"
    with pytest.raises(InteractionRequired) as needed:
        session.acquire("api.unheard-of", interactive=False)
    assert_plain(needed.value)
    assert session.acquire("phone", force_refresh=True).source == "refresh"


def test_two_sign_ins_at_the_registered_redirect_uri(
    session: Session, foreign: Foreign, forms: FormBrowser
) -> None:
    """Both use the port of that address."""
    for _ in range(4):
        sign_in = session.login("phone", flow="browser", background=True, force=True)
        assert isinstance(sign_in, SignIn)
        back = forms(address_shown(sign_in))
        assert back.startswith(f"{foreign.redirect_uri}?")
        with requests.Session() as web:
            web.trust_env = False
            assert web.get(back, timeout=20).ok
        assert sign_in.wait(20).home_account_id == "ada"


@pytest.mark.parametrize(
    "algorithm",
    [
        "RS256",
        "ES256",
        "EdDSA",
    ],
)
@pytest.mark.filterwarnings("error")
def test_algorithms_of_id_tokens(
    session: Session, foreign: Foreign, forms: FormBrowser, algorithm: str
) -> None:
    session.configure(client_id=f"notebooks-{algorithm}")
    account = session.login("phone", web_ui=forms)
    assert account.home_account_id == "ada"
    assert session.acquire("phone", force_refresh=True).account == account


def test_prompt_none_without_a_session(
    session: Session, foreign: Foreign, forms: FormBrowser
) -> None:
    """Its error responses have no ``iss``, although its metadata announces it."""
    with pytest.raises(InteractionRequired) as needed:
        session.login("phone", web_ui=forms, prompt="none")
    assert needed.value.code == "login_required"
    assert_plain(needed.value)
    assert session.accounts() == []

"""LemonLDAP::NG: an issuer that ends in a slash, no rotation, HS256 for some clients."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from nbauth.core.errors import InteractionRequired, SignInError
from nbauth.kernel.session import Session
from tests.harness.certificates import Certificates
from tests.interop.foreign.form_browser import FormBrowser
from tests.interop.foreign.lemonldap import running_lemonldap
from tests.interop.foreign.provider import Foreign
from tests.interop.foreign.suite import EveryProvider, environment, forms, session
from tests.interop.peers import assert_plain, screen_of

__all__ = ["environment", "forms", "session"]


@pytest.fixture(scope="module")
def foreign(
    certificates: Certificates, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Foreign]:
    with running_lemonldap(certificates, tmp_path_factory.mktemp("lemonldap")) as made:
        yield made


class TestLemonldap(EveryProvider):
    pass


def test_a_sign_in_without_refresh_token(
    session: Session, foreign: Foreign, forms: FormBrowser
) -> None:
    """Its metadata does not list ``offline_access``, although it is supported (Discovery §3).

    So it is not requested, and each expired token requires a sign-in; the error must say so.
    """
    session.login("api.read", web_ui=forms)
    screen_of(session).there = False
    with pytest.raises(InteractionRequired) as ended:
        session.acquire("api.read", force_refresh=True)
    assert_plain(ended.value)
    assert "offline_access" in "".join(ended.value.lines() + screen_of(session).said)


def test_an_id_token_by_hs256(session: Session, foreign: Foreign, forms: FormBrowser) -> None:
    """A public client has no secret to check the signature; the error says so."""
    session.configure(client_id="notebooks-HS256")
    with pytest.raises(SignInError) as refused:
        session.login("api.read", web_ui=forms)
    assert refused.value.code == "id_token_algorithm"
    assert_plain(refused.value)
    assert "HS256" in refused.value.lines()[0]
    assert session.accounts() == []


def test_an_unsigned_id_token(session: Session, foreign: Foreign, forms: FormBrowser) -> None:
    """It sends such a token with one dot instead of two (RFC 7515 §7.1)."""
    session.configure(client_id="notebooks-none")
    with pytest.raises(SignInError) as refused:
        session.login("api.read", web_ui=forms)
    assert refused.value.code in {"id_token_algorithm", "id_token_malformed"}
    assert_plain(refused.value)
    assert session.accounts() == []

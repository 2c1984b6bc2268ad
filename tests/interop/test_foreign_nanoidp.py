"""nanoidp: a provider with rotation, device codes, revocation and ``iss`` in responses."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FunctionType, ModuleType
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
import requests

from nbauth.core.account import Account
from nbauth.core.errors import ConfigurationError, InteractionRequired, SignInDeclined, SignInError
from nbauth.kernel.session import Session
from nbauth.kernel.sign_in.attempt import SignIn
from tests.harness.certificates import Certificates
from tests.harness.kernels import Kernel
from tests.interop.foreign.form_browser import FormBrowser
from tests.interop.foreign.nanoidp import CLIENT_SECRET, PASSWORD, running_nanoidp
from tests.interop.foreign.provider import Foreign
from tests.interop.foreign.suite import EveryProvider, environment, forms, session
from tests.interop.peers import assert_plain, device_shown, screen_of, until
from tests.kernels.kept import answered
from tests.kernels.test_nobody_there import TOOLS, run

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


def test_a_client_with_a_secret_for_a_person_and_for_itself(
    session: Session, foreign: Foreign, forms: FormBrowser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its secret is required for each request, and read for each."""
    monkeypatch.setenv("NBAUTH_CLIENT_SECRET", CLIENT_SECRET)
    session.configure(client_id="web", client_secret_from="environment")
    person = session.login("api.read", web_ui=forms)
    assert session.acquire("api.read", force_refresh=True).source == "refresh"
    itself = session.login("api.read", flow="app")
    assert isinstance(itself, Account)
    assert (itself.title, itself.application) == ("web (application)", True)
    (asked,) = foreign.token_requests("client_credentials")
    assert asked.form == {"grant_type": "client_credentials", "scope": "api.read"}
    assert "refresh_token" not in asked.answer
    tokens = {session.acquire("api.read", account=one).access_token for one in (person, itself)}
    assert len(tokens) == 2, "they are kept apart"
    assert session.acquire("api.read", account=itself, force_refresh=True).source == "refresh"
    monkeypatch.setenv("NBAUTH_CLIENT_SECRET", "wrong")
    for one in (person, itself):
        with pytest.raises(ConfigurationError) as refused:
            session.acquire("api.read", account=one, force_refresh=True)
        assert_plain(refused.value)
        assert refused.value.code == "invalid_client"
    session.configure(client_secret_from=None)
    before = len(foreign.token_requests("client_credentials"))
    with pytest.raises(ConfigurationError) as refused:
        session.login("api.read", flow="app", force=True)
    assert refused.value.code == "no_client_credential"
    assert len(foreign.token_requests("client_credentials")) == before


def test_how_a_secret_is_sent_can_be_set(
    session: Session, foreign: Foreign, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its metadata list both ways, but each of its clients may use one only."""
    monkeypatch.setenv("NBAUTH_CLIENT_SECRET", CLIENT_SECRET)
    session.configure(client_id="web-post", client_secret_from="environment")
    with pytest.raises(ConfigurationError) as refused:
        session.login("api.read", flow="app")
    assert refused.value.code == "invalid_client"
    session.configure(token_endpoint_auth_method="client_secret_post")
    itself = session.login("api.read", flow="app")
    assert isinstance(itself, Account)
    assert itself.username == "web-post"
    assert foreign.token_requests("client_credentials")[-1].form["client_secret"] == CLIENT_SECRET


# ── by password ─────────────────────────────────────────────────────────────────────────────


def typing(*words: str) -> Callable[[SignIn], None]:
    """A person who enters these passwords, one for each question."""

    def person(sign_in: SignIn) -> None:
        for number, word in enumerate(words, 1):
            until(lambda number=number: getattr(sign_in.step, "attempt", 0) == number)
            sign_in.enter("ada", word)

    return person


def by_password(session: Session, *words: str) -> SignIn:
    sign_in = session.login("api.read", flow="password", background=True, force=True)
    assert isinstance(sign_in, SignIn)
    typing(*words)(sign_in)
    return sign_in


def held_by(word: str, *roots: object) -> list[str]:
    """The types of the objects that hold this text and can be reached from the roots."""
    found, seen, left = [], set(), list(roots)
    while left:
        one = left.pop()
        if id(one) in seen or isinstance(one, ModuleType | FunctionType | type):
            continue
        seen.add(id(one))
        text = bytes(one).decode(errors="replace") if isinstance(one, bytes | bytearray) else one
        if isinstance(text, str) and word in text:
            found.append(type(one).__name__)
        left += gc.get_referents(one)
    return found


def test_a_sign_in_by_password(session: Session, foreign: Foreign) -> None:
    account = by_password(session, PASSWORD).wait(20)
    assert (account.home_account_id, account.username) == ("ada", "ada")
    screen_of(session).there = False
    assert session.acquire("api.read", force_refresh=True).source == "refresh"
    (sent,) = foreign.token_requests("password")
    assert sent.form["username"] == "ada"
    assert "api.read" in sent.form["scope"].split()


def test_a_wrong_password_is_corrected(session: Session, foreign: Foreign) -> None:
    sign_in = by_password(session, "wrong", PASSWORD)
    assert sign_in.wait(20).home_account_id == "ada"
    assert [one.status for one in foreign.token_requests("password")] == [400, 200]


def test_three_wrong_passwords_end_it(session: Session, foreign: Foreign) -> None:
    with pytest.raises(SignInError) as refused:
        by_password(session, "one", "two", "three").wait(20)
    assert str(refused.value).startswith("The provider did not accept this user name and password.")
    assert_plain(refused.value)
    assert len(foreign.token_requests("password")) == 3
    assert session.accounts() == []


@pytest.mark.parametrize("right", [True, False])
def test_the_password_is_in_no_object_after_the_end(
    session: Session, foreign: Foreign, right: bool
) -> None:
    """Neither of the sign-in, nor of its error with its frames, nor of the engine."""
    word = PASSWORD if right else "never-to-be-kept"
    sign_in = by_password(session, *[word] * (1 if right else 3))
    sign_in.ended.wait(20)
    assert sign_in.state == ("done" if right else "failed")
    until(lambda: not sign_in._thread.is_alive())
    assert held_by(word, {"planted": [{"deep": (word,)}]}), "the search works"
    assert held_by(word, sign_in, session, sign_in.error) == []


UNATTENDED = """
import keyring
from keyring.backend import KeyringBackend

class Vault(KeyringBackend):
    priority = 5
    def get_password(self, service, username):
        return {stored!r} if (service, username) == ("nbauth:default", "ada") else None
    def set_password(self, service, username, password): ...
    def delete_password(self, service, username): ...

keyring.set_keyring(Vault())
%load_ext nbauth
account = %login api.read --flow password --account ada
print("signed in", account.username, len(str(__import__("nbauth").token("api.read"))) > 20)
"""


@pytest.mark.parametrize("stored", [PASSWORD, "outdated", None])
def test_papermill_signs_in_with_the_password_in_the_keyring(
    foreign: Foreign, tmp_path: Path, stored: str | None
) -> None:
    foreign.forget()
    variables = {
        "NBAUTH_AUTHORITY": foreign.issuer,
        "NBAUTH_CLIENT_ID": foreign.client_id,
        "NBAUTH_VERIFY": foreign.ca_file,
    }
    code, said = run(tmp_path, TOOLS["papermill"], UNATTENDED.format(stored=stored), variables)
    saved = (tmp_path / "out.ipynb").read_text()
    if stored == PASSWORD:
        assert (code, "signed in ada True" in saved) == (0, True), said
    else:
        assert code != 0
        wanted = "did not accept this user name" if stored else "InteractionRequired"
        assert wanted in said
        assert "Traceback" not in saved.partition('"outputs"')[0]
    assert len(foreign.token_requests("password")) == (stored is not None)


def test_without_a_panel_the_notebooks_input_field_asks(foreign: Foreign) -> None:
    foreign.forget()
    variables = {
        "NBAUTH_AUTHORITY": foreign.issuer,
        "NBAUTH_CLIENT_ID": foreign.client_id,
        "NBAUTH_VERIFY": foreign.ca_file,
    }
    with Kernel("7.4", env=variables, allow_stdin=True) as kernel:
        kernel.run(
            "import nbauth.jupyter.screen as screen\nscreen.PATIENCE = 0.1\n%load_ext nbauth"
        )
        asked = answered(kernel, "%login api.read --flow password", "ada", "wrong", "", PASSWORD)
        again = "Password for ada: "
        assert asked == ["User name: ", again, "User name [ada]: ", again]
        history = kernel.run("%history -g").text + kernel.run("%history").text
        assert PASSWORD not in history
    assert [one.status for one in foreign.token_requests("password")] == [400, 200]

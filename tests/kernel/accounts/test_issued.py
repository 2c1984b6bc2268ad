"""Every secret is remembered for the output guard before a caller can see it."""

from __future__ import annotations

import math
import time

import pytest

from nbauth.core.secret import SecretStr
from nbauth.core.settings import Settings
from nbauth.kernel.accounts.issued import EXPIRED_FOR, MOST, SHORTEST, Issued
from nbauth.oauth.credentials import Certificate, ClientAssertion, ClientSecret
from tests.kernel.conftest import Bench


def padded(bench: Bench) -> None:
    """Make the tokens of the fake engine as long as real ones."""
    made = bench.engine.response

    def response(scopes, **options):
        given = made(scopes, **options)
        texts = {
            name: SecretStr(f"{getattr(given, name)}-of-a-provider")
            for name in ("access_token", "id_token")
        }
        return made(scopes, **{**options, **texts})

    bench.engine.response = response


def test_the_tokens_of_a_sign_in_a_refresh_and_a_sign_out(bench: Bench) -> None:
    padded(bench)
    session, issued = bench.session, bench.session.issued
    assert not issued.texts
    bench.sign_in("read")
    first = session.acquire("read")
    (record,) = session.cache.signed_in.values()
    assert {str(first.access_token), str(first.id_token)} <= issued.texts.keys()
    second = bench.read("read", force_refresh=True)
    assert second != first.access_token
    session.logout()
    assert {str(first.access_token), second} <= issued.texts.keys()
    if len(str(record.grants[-1].record()["refresh_token"])) >= SHORTEST:
        assert record.grants[-1].record()["refresh_token"] in issued.texts


def test_a_secret_is_there_before_anybody_is_told(bench: Bench) -> None:
    padded(bench)
    seen: list[int] = []
    bench.session.changed.connect(lambda: seen.append(len(bench.session.issued.texts)))
    bench.sign_in("read")
    assert seen
    assert seen[-1] >= 2


def test_short_texts_are_not_remembered() -> None:
    issued = Issued()
    issued.add("a" * (SHORTEST - 1), "", None)
    assert not issued.texts
    issued.add("a" * SHORTEST)
    assert list(issued.texts) == ["a" * SHORTEST]


def test_the_number_is_bounded_and_expired_texts_go_first() -> None:
    issued = Issued()
    issued.add("expired-long-ago", ends=time.time() - EXPIRED_FOR - 1)
    issued.add("expired-just-now", ends=time.time() - 1)
    assert list(issued.texts) == ["expired-just-now"]
    for number in range(MOST + 5):
        issued.add(f"refresh-token-{number:06}")
    assert len(issued.texts) == MOST
    assert f"refresh-token-{MOST + 4:06}" in issued.texts


def test_a_valid_secret_stays_as_long_as_an_expired_one_can_go() -> None:
    issued = Issued()
    issued.add("the-secret-of-the-client")
    for number in range(3 * MOST):
        issued.add(f"expired-token-{number:06}", ends=time.time() - 1)
        assert len(issued.texts) <= MOST
    assert "the-secret-of-the-client" in issued.texts
    assert f"expired-token-{3 * MOST - 1:06}" in issued.texts


def test_a_text_that_is_issued_again_is_remembered_for_longer() -> None:
    issued, now = Issued(), time.time()
    issued.add("the-token-of-a-provider", ends=now + 60)
    issued.add("the-token-of-a-provider", ends=now + 9999)
    issued.add("the-token-of-a-provider", ends=now + 60)
    assert issued.texts == {"the-token-of-a-provider": now + 9999}


def test_a_known_text_changes_nothing() -> None:
    issued = Issued()
    issued.add("a-secret-of-a-provider")
    before = issued.texts
    issued.add("a-secret-of-a-provider", ends=1.0)
    assert issued.texts is before
    assert before["a-secret-of-a-provider"] == math.inf


@pytest.mark.parametrize(
    "credential",
    [
        ClientSecret(lambda: SecretStr("the-secret-of-this-client")),
        ClientAssertion(lambda: SecretStr("the-secret-of-this-client")),
        Certificate("a.pem", lambda: SecretStr("the-secret-of-this-client")),
    ],
)
def test_a_credential_is_remembered_when_it_is_read(credential) -> None:
    issued = Issued()
    noted = issued.noting(lambda _: credential)(Settings())
    assert not issued.texts
    read = noted.password if isinstance(noted, Certificate) else noted.read
    assert read() == "the-secret-of-this-client"
    assert list(issued.texts) == ["the-secret-of-this-client"]


def test_a_public_client_has_no_credential() -> None:
    assert Issued().noting(lambda _: None)(Settings()) is None

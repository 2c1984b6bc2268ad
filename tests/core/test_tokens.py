from __future__ import annotations

import copy
import dataclasses
import io
import pickle
import pprint
import time

import pytest

from nbauth.core.account import Account
from nbauth.core.errors import NotSignedIn
from nbauth.core.secret import SecretStr
from nbauth.core.tokens import AuthenticationResult, Token, TokenResponse, refresh_margin

ACCESS, REFRESH, ID = "access-canary-1", "refresh-canary-2", "id-canary-3"
ACCOUNT = Account("ada@example.com", "Ada", "tid", "uid.tid", "https://id.example")
RESPONSE = TokenResponse(
    SecretStr(ACCESS),
    3600,
    ("read",),
    refresh_token=SecretStr(REFRESH),
    id_token=SecretStr(ID),
    id_token_claims={"name": "Ada Secret"},
)


class Source:
    """See ``TokenSource``."""

    owner = ACCOUNT.key

    def __init__(self, text: str) -> None:
        self.text = text

    def read(self) -> SecretStr:
        return SecretStr(self.text)

    def result(self) -> AuthenticationResult:
        return result(self.text)


def result(text: str = ACCESS) -> AuthenticationResult:
    return AuthenticationResult(
        access_token=SecretStr(text),
        token_type="Bearer",
        expires_on=time.time() + 100,
        scopes=("read",),
        account=ACCOUNT,
        tenant_id="tid",
        unique_id="uid",
        id_token=SecretStr(ID),
        id_token_claims={"name": "Ada Secret"},
        correlation_id="c-1",
        source="cache",
    )


def token(text: str = ACCESS) -> Token:
    return Token(Source(text))


@pytest.mark.parametrize(
    ("lifetime", "margin"),
    [(0, 0), (10, 2), (60, 12), (300, 60), (1499, 299.8), (1500, 300), (3600, 300), (86_400, 300)],
)
def test_refresh_margin_is_a_fifth_of_the_lifetime_and_at_most_five_minutes(
    lifetime: float, margin: float
) -> None:
    assert refresh_margin(lifetime) == pytest.approx(margin)


@pytest.mark.parametrize("value", [token(), result(), RESPONSE, ACCOUNT], ids=type)
@pytest.mark.parametrize("show", [repr, pprint.pformat, lambda value: repr([value])])
def test_reprs_contain_no_secret(value: object, show: object) -> None:
    shown = show(value)  # type: ignore[operator]
    for secret in (ACCESS, REFRESH, ID, "Ada Secret"):
        assert secret not in shown


def test_repr_of_an_account_hides_most_of_the_name() -> None:
    assert repr(ACCOUNT) == "Account(ad•••@example.com, profile='default')"


@pytest.mark.parametrize("value", [token(), result(), RESPONSE], ids=type)
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_values_with_a_secret_cannot_be_pickled(value: object, protocol: int) -> None:
    file = io.BytesIO()
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dump([value], file, protocol)
    assert b"canary" not in file.getvalue()


@pytest.mark.parametrize("value", [token(), result()], ids=type)
def test_copies_are_the_same_object(value: object) -> None:
    assert copy.copy(value) is value
    assert copy.deepcopy([value])[0] is value


def test_each_read_of_a_token_calls_its_source() -> None:
    texts = iter(f"access-{number}" for number in range(10))

    class Fresh(Source):
        def read(self) -> SecretStr:
            return SecretStr(next(texts))

    live = Token(Fresh(""))
    assert str(live) == "access-0"
    assert f"Bearer {live}" == "Bearer access-1"
    assert live.value == "access-2"
    assert live.header == {"Authorization": "Bearer access-3"}
    assert f"{live:>10}" == "  access-4"


def test_values_of_a_token_are_masked() -> None:
    live = token()
    assert ACCESS not in repr(live.value)
    assert ACCESS not in repr(live.header)
    assert type(str(live)) is str


def test_a_token_has_its_account_and_expiry() -> None:
    live = token()
    assert live.account is ACCOUNT
    assert live.owner == ACCOUNT.key
    assert live.scopes == ("read",)
    assert 98 < live.expires_in <= 100
    assert live.expires_on == pytest.approx(time.time() + 100, abs=2)


def test_repr_of_a_token_works_if_its_source_fails() -> None:
    class Gone(Source):
        def read(self) -> SecretStr:
            raise NotSignedIn("gone")

    assert repr(Token(Gone(""))) == repr(token())


@pytest.mark.parametrize("value", [result(), RESPONSE, ACCOUNT], ids=type)
def test_values_are_frozen(value: object) -> None:
    name = dataclasses.fields(value)[0].name  # type: ignore[arg-type]
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(value, name, "x")

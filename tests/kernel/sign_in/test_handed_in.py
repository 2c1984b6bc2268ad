"""What people paste in place of the address: each kind is refused in words that help."""

from __future__ import annotations

import pytest

from nbauth.core.errors import ConfigurationError
from nbauth.kernel.sign_in.handed_in import check_pasted, handed_in

STATE = "the-state-of-this-sign-in"
AUTHORIZE = f"https://id.example/authorize?client_id=x&response_type=code&state={STATE}"

NO_ADDRESS = [
    "hello",
    "two words",
    "WDJB-MJHT",
    "12345678",
    "ada@example.com",
    "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.c2ln",  # nbauth: allow
    "M.C543_BAY.2.U.0123456789-abcdef",
    "correct horse battery staple",
    "%login --flow paste",
    "print('code')",
    "C:\\Users\\ada\\token.txt",
    "/home/ada/notebook.ipynb",
    "ftp://files.example/code",
    "mailto:ada@example.com",
    "javascript:alert(1)",
    "http://",
    "state=abc",
    "{'code': 1}",
    "<html>",
    "קוד",
    "\U0001f469\u200d\U0001f4bb",
    "x" * 10_000,
    "=",
    "?",
    "#",
    "&&&",
]
WRONG_ADDRESS = {
    "https://id.example/": "no response of the provider",
    "https://www.example.com/search?q=code": "no response of the provider",
    "http://localhost:8888/lab/tree/a.ipynb": "no response of the provider",
    f"http://localhost/#code=c&state={STATE}": "no response of the provider",
    AUTHORIZE: "address of the sign-in page",
    "http://localhost/?code=c": "not complete",
    "?code=c": "not complete",
    "http://localhost/?code=c&state=other": "from another sign-in",
}
RIGHT = [
    f"http://localhost/?code=c-1&state={STATE}",
    f"HTTP://localhost/?code=c-1&state={STATE}",
    f" <http://localhost/?code=c-1&state={STATE}> ",
    f"localhost:5/?code=c-1&state={STATE}#_=_",
    f"code=c-1&state={STATE}",
    f"?state={STATE}&code=c-1",
]
ACCUSING = ("tamper", "attack", "somebody", "someone", "interfere", "wrong", "illegal", "forged")


def refusal(text: str) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        check_pasted(text)
        handed_in(text, STATE)
    words = f"{caught.value} {caught.value.hint}".lower()
    assert not any(word in words for word in ACCUSING), words
    assert caught.value.hint
    return caught.value


@pytest.mark.parametrize("text", NO_ADDRESS, ids=lambda text: ascii(text)[:30])
def test_what_is_no_address_is_said_to_be_none(text: str) -> None:
    error = refusal(text)
    assert str(error) == "That is not the address of the last page."
    assert "begins with http" in error.hint


@pytest.mark.parametrize(("text", "said"), WRONG_ADDRESS.items())
def test_an_address_that_is_another_one_is_told_which(text: str, said: str) -> None:
    assert said in str(refusal(text))


@pytest.mark.parametrize("text", RIGHT)
def test_the_address_and_its_query_are_taken(text: str) -> None:
    check_pasted(text)
    assert handed_in(text, STATE)["code"] == "c-1"


def test_a_program_may_hand_in_a_bare_code() -> None:
    assert handed_in("c-2", STATE) == {"code": "c-2", "state": STATE}

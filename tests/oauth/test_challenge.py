"""What an API requires in a 401 response (RFC 9110 §11.6.1, RFC 9470, claims challenges)."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nbauth.core.scopes import Scopes
from nbauth.oauth.challenge import (
    MOST,
    MOST_CLAIMS,
    Challenge,
    Requirement,
    challenges,
    claims_for,
    requirement,
)

CLAIMS = {"access_token": {"nbf": {"essential": True, "value": "1603742800"}}}
SHORTEST = '{"access_token":{"nbf":{"essential":true,"value":"1603742800"}}}'


def encoded(claims: object, *, url: bool = False, padding: bool = True) -> str:
    data = claims if isinstance(claims, bytes) else json.dumps(claims).encode()
    text = (base64.urlsafe_b64encode if url else base64.b64encode)(data).decode()
    return text if padding else text.rstrip("=")


def asked(header: str, *, microsoft: bool = True) -> Requirement | None:
    return requirement(header, "api.example", microsoft=microsoft)


# ── the header ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", []),
        (" , ,", []),
        ("Basic", [("Basic", {}, "")]),
        ("Negotiate, NTLM", [("Negotiate", {}, ""), ("NTLM", {}, "")]),
        ("Negotiate YWJj==", [("Negotiate", {}, "YWJj==")]),
        ("Negotiate a=", [("Negotiate", {}, "a=")]),
        ("Negotiate abc, Basic", [("Negotiate", {}, "abc"), ("Basic", {}, "")]),
        ('Basic realm="x"', [("Basic", {"realm": "x"}, "")]),
        ("Basic  realm = x ", [("Basic", {"realm": "x"}, "")]),
        (
            'Basic realm=\t"x"\t,\tcharset=UTF-8',
            [("Basic", {"realm": "x", "charset": "UTF-8"}, "")],
        ),
        ('bearer REALM=""', [("bearer", {"realm": ""}, "")]),
        (
            'Newauth realm="apps", type=1, title="Login to \\"apps\\"", Basic realm="simple"',
            [
                ("Newauth", {"realm": "apps", "type": "1", "title": 'Login to "apps"'}, ""),
                ("Basic", {"realm": "simple"}, ""),
            ],
        ),
        ('A b="x, C d=\\"y\\", e"', [("A", {"b": 'x, C d="y", e'}, "")]),
        ('A b="\\\\", c="d\\e"', [("A", {"b": "\\", "c": "de"}, "")]),
        (",, A , b=c,,d=e, ,B", [("A", {"b": "c", "d": "e"}, ""), ("B", {}, "")]),
        ('A b="é"', [("A", {"b": "é"}, "")]),
    ],
)
def test_challenges(header: str, expected: list[tuple[str, dict[str, str], str]]) -> None:
    assert challenges(header) == [Challenge(*one) for one in expected]


@pytest.mark.parametrize(
    ("header", "schemes"),
    [
        ("b=c", []),
        ('"x"', []),
        ('Basic, Bearer realm="x', ["Basic"]),
        ('Basic, Bearer realm="x"y', ["Basic"]),
        ("Basic, Bearer realm==x", ["Basic"]),
        ("Basic, Bearer realm=x y", ["Basic"]),
        ("Basic, Bearer Other realm=x", ["Basic"]),
        ("Basic, Bearer\trealm=x", []),
        ("Basic, Bearer realm=a:b", ["Basic"]),
        ("Basic, Bearer abc, realm=x", ["Basic"]),
        ('Basic, Bearer realm="\\', ["Basic"]),
        ('Basic, Bearer realm="a\x00"', ["Basic"]),
        ('Basic, Bearer realm="a\r\nX: y"', ["Basic"]),
        ("Basic, Bearer a=1, A=2, Digest", ["Basic", "Digest"]),  # a parameter occurs once
        ("Basic, ü", []),
        ("Basic, Digest, ü", ["Basic"]),
    ],
)
def test_malformed_challenges(header: str, schemes: list[str]) -> None:
    assert [one.scheme for one in challenges(header)] == schemes


@given(st.text(alphabet='Aa0-=",\\ \t;:/é\x00\n', max_size=60) | st.text(max_size=60))
@example('A a="' + "\\" * 40)
def test_any_text_can_be_read(header: str) -> None:
    for one in challenges(header):
        assert one.scheme
        assert not (one.parameters and one.token68)
        assert all(name == name.lower() for name in one.parameters)
    asked(header)


TOKENS = st.text(alphabet="abcXYZ019!#$%&'*+-.^_`|~", min_size=1, max_size=8)
VALUES = st.text(
    alphabet=st.characters(min_codepoint=0x20, max_codepoint=0xFF), max_size=20
).filter(lambda text: "\x7f" not in text)
PARAMETERS = st.dictionaries(TOKENS.map(str.lower), VALUES, min_size=1, max_size=4)


def written(one: tuple[str, dict[str, str]]) -> str:
    scheme, parameters = one
    quoted = (
        name + '="' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
        for name, value in parameters.items()
    )
    return f"{scheme} " + ", ".join(quoted)


@given(st.lists(st.tuples(TOKENS, PARAMETERS), max_size=4), st.sampled_from([", ", ",", " ,\t, "]))
def test_what_is_written_is_read(given: list[tuple[str, dict[str, str]]], between: str) -> None:
    header = between.join(written(one) for one in given)
    assert [(one.scheme, one.parameters) for one in challenges(header)] == given


@pytest.mark.timing
@pytest.mark.parametrize(
    "part",
    ['a="', "a" * 50 + " ", "\\", '"\\', " ", "\t", ",", "=", "a=", 'A b="c", ', "a = ", "A "],
)
def test_a_long_header_takes_little_time(part: str) -> None:
    before = time.perf_counter()
    asked("Bearer " + part * (MOST // len(part) - 8))
    assert time.perf_counter() - before < 0.5
    long = f'Bearer error="insufficient_claims", claims="{encoded(CLAIMS)}", x="{"y" * MOST}"'
    assert challenges(long) == []


# ── claims challenges ───────────────────────────────────────────────────────────────────────


def of(claims: str, error: str = "insufficient_claims", scheme: str = "Bearer") -> str:
    return f'{scheme} realm="", error="{error}", claims="{claims}"'


@pytest.mark.parametrize("url", [True, False])
@pytest.mark.parametrize("padding", [True, False])
@pytest.mark.parametrize("value", ["1", "12", "123", "~~~???ÿ"])
def test_claims_in_both_alphabets(url: bool, padding: bool, value: str) -> None:
    claims = {"access_token": {"acrs": {"essential": True, "value": value}}}
    data = json.dumps(claims, ensure_ascii=False).encode()
    found = asked(of(encoded(data, url=url, padding=padding)))
    assert found is not None
    assert json.loads(found.claims or "") == claims


def test_equal_claims_are_one_requirement() -> None:
    """However they are written: calls with the same challenge share one refresh."""
    one = asked(of(encoded(b'{"access_token": {"b": null, "a" :{}}}')))
    other = asked(of(encoded(b' {"access_token":{"a":{},"b":null}}'), "invalid_token"))
    assert one == other
    assert hash(one) == hash(other)


@pytest.mark.parametrize(
    "header",
    [
        f"Negotiate, {of(encoded(CLAIMS))}",
        f"{of(encoded(CLAIMS))}, Basic realm=x",
        f"Bearer realm=x, {of(encoded(CLAIMS), scheme='bEARER')}",
        f"{of('no base64!')}, {of(encoded(CLAIMS))}",
        f'BEARER ERROR="insufficient_claims",CLAIMS="{encoded(CLAIMS)}"',
        of(encoded({**CLAIMS, "redirect_uri": {"value": "https://evil.example"}})),
    ],
)
def test_claims_challenges(header: str) -> None:
    assert asked(header) == Requirement(SHORTEST)


NESTED = b'{"access_token":' + b'{"a":' * 700 + b"1" + b"}" * 700 + b"}"


@pytest.mark.parametrize(
    "header",
    [
        of(encoded(CLAIMS), scheme="PoP"),
        of(encoded(CLAIMS), error="invalid_request"),
        of(encoded(CLAIMS), error=""),
        f'Bearer claims="{encoded(CLAIMS)}"',
        of(""),
        of("===="),
        of(SHORTEST.replace('"', '\\"')),
        of(encoded(CLAIMS)[:-5]),
        of(encoded(CLAIMS) + "!"),
        of(encoded(CLAIMS)[:9] + " " + encoded(CLAIMS)[9:]),
        *(of(encoded(no)) for no in (None, [], "x", 1, {}, [CLAIMS], {"access_token": "x"})),
        of(encoded({"access_token": None})),
        of(encoded({"access_token": [], "id_token": {}})),
        of(encoded({"redirect_uri": {}})),
        of(encoded(b'{"access_token":{"a":NaN}}')),
        of(encoded(b'{"access_token":{"a":' + b"1" * 4100 + b"}}")),
        of(encoded(b'{"access_token":{"a":"\xff"}}')),
        of(encoded(b"{" + b'"access_token":{' * 9000)),
        of(encoded({"access_token": {"a": {"value": "x" * MOST_CLAIMS}}})),
        of(encoded({"access_token": {"a": {"value": "€" * (MOST_CLAIMS // 5)}}})),
    ],
)
def test_what_is_no_claims_challenge(header: str) -> None:
    assert asked(header) is None


def test_deeply_nested_claims_raise_nothing() -> None:
    found = asked(of(encoded(NESTED)))
    assert found is None or found.claims == NESTED.decode()


# ── step-up authentication (RFC 9470) ───────────────────────────────────────────────────────

STEP_UP = 'Bearer error="insufficient_user_authentication"'


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        (', acr_values="myACR"', Requirement(None, "myACR")),
        (', acr_values="a b", max_age=5', Requirement(None, "a b", 5)),
        (', max_age="5"', Requirement(None, None, 5)),
        (', max_age="0"', Requirement(None, None, 0)),
        (', max_age="-1", acr_values="a"', Requirement(None, "a")),
        (', max_age="5", acr_values="a&prompt=none \\" x"', Requirement(None, None, 5)),
        (', max_age="1e3"', None),
        (', max_age="9999999999"', None),
        (', max_age="٣"', None),
        (', acr_values=""', None),
        (', acr_values=" a"', None),
        (f', acr_values="{"a" * (MOST_CLAIMS + 1)}"', None),
        ("", None),
    ],
)
def test_step_up(parameters: str, expected: Requirement | None) -> None:
    found = asked(STEP_UP + parameters, microsoft=False)
    assert found == expected
    assert found is None or not found.renewable
    assert asked(STEP_UP + parameters, microsoft=True) is None, "Entra knows no acr_values"


def test_only_at_microsofts_authorities_a_refresh_takes_claims() -> None:
    here, elsewhere = (asked(of(encoded(CLAIMS)), microsoft=flag) for flag in (True, False))
    assert here == elsewhere
    assert (here and here.renewable, elsewhere and elsewhere.renewable) == (True, False)


# ── the capability ──────────────────────────────────────────────────────────────────────────

CP1 = {"xms_cc": {"values": ["CP1"]}}


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        (None, {"access_token": CP1}),
        ("", {"access_token": CP1}),
        ('{"id_token": {"a": null}}', {"id_token": {"a": None}, "access_token": CP1}),
        ('{"access_token": null}', {"access_token": CP1}),
        ('{"access_token": {"xms_cc": {"values": ["x"]}}}', {"access_token": CP1}),
        (SHORTEST, {"access_token": {**CLAIMS["access_token"], **CP1}}),
    ],
)
def test_the_capability_is_added(claims: str | None, expected: Any) -> None:
    scopes = Scopes.parse(["User.Read"], microsoft=True)
    assert json.loads(claims_for(scopes.declaring(), claims) or "") == expected
    assert claims_for(scopes, claims) == claims

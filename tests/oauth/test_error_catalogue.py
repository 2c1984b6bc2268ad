from __future__ import annotations

import pytest

from nbauth.core.errors import (
    AuthorityUnreachable,
    ConfigurationError,
    ConsentRequired,
    FlowUnavailable,
    InteractionRequired,
    NbAuthError,
    SignInDeclined,
    SignInError,
    SignInExpired,
)
from nbauth.core.text import plain
from nbauth.oauth.error_catalogue import error_from, full_code, known_codes
from nbauth.oauth.flows import FLOWS

MEANINGS: list[tuple[type[NbAuthError], str]] = [
    (ConsentRequired, "65001 90093 90094 90095 consent_required"),
    (
        InteractionRequired,
        "50072 50074 50076 50078 50079 50158 50173 50132 50133 50058 16000 54005 70000 70008"
        " 700082 700084 70043 50013 50027 interaction_required login_required"
        " account_selection_required invalid_grant AADB2C90118 AADB2C90077 AADB2C90080 AADB2C90088"
        " AADB2C90129 mfa_required",
    ),
    (
        ConfigurationError,
        "700016 70001 7000112 7000215 7000218 7000222"
        " 7000229 700024 700025 700027 70021 700211 700212"
        " 700213 70002 50059 50128 50194 900023 90002 50011"
        " 500011 501051 650057 50020 90072 50105 9002327 90009"
        " 500131 240002 65002 70011 28000 AADB2C90006 AADB2C90117 AADB2C90205 invalid_client"
        " unauthorized_client invalid_scope invalid_request invalid_target no_username",
    ),
    (
        FlowUnavailable,
        "90010 90133 53000 53001 53003 530002 530003 530034 50097 50005 50129 50131 AADB2C90224"
        " unsupported_grant_type"
        " unsupported_response_type managed_user no_wstrust_endpoint",
    ),
    (
        SignInError,
        "50126 50034 50053 50055 50056 50057 70016 70018 AADB2C90225 unknown_user_type"
        " unknown_user no_kerberos_ticket kerberos_ticket_expired kerberos_failed kerberos_refused"
        " kerberos_server_not_verified wstrust_password wstrust_refused wstrust_not_understood"
        " wrong_password",
    ),
    (SignInDeclined, "access_denied authorization_declined AADB2C90091 AADB2C90273"),
    (SignInExpired, "expired_token 70020"),
    (
        AuthorityUnreachable,
        "server_error temporarily_unavailable slow_down realm_discovery_failed",
    ),
]
CODES = [(kind, code) for kind, codes in MEANINGS for code in codes.split()]


def answer(code: str) -> dict[str, object]:
    if full_code(code) != code or code.startswith("AADB2C"):
        told = f"{full_code(code)}: Its own words."
        return {"error": "invalid_grant", "error_description": told}
    return {"error": code, "error_description": "Its own words."}


@pytest.mark.parametrize(("kind", "code"), CODES)
def test_a_known_code_has_a_text_and_a_hint(kind: type[NbAuthError], code: str) -> None:
    error = error_from(answer(code))
    assert type(error) is kind
    assert error.code == full_code(code)
    assert "Its own words." in str(error)
    assert f"[{error.code}: " in str(error)
    assert "The provider refused the request." not in str(error)
    assert error.hint == known_codes()[code]["next"]


def test_every_entry_of_the_catalogue_is_complete() -> None:
    assert known_codes().keys() - {code for _, code in CODES} == set()
    for code, entry in known_codes().items():
        assert entry.keys() <= {"kind", "what", "next", "flow", "app_what", "app_next"}, code
        assert entry["what"].endswith("."), code
        assert entry["next"].endswith("."), code
        assert entry.get("flow", "device") in FLOWS, code
        assert entry.get("kind") in {None, "consent", "interaction", "declined", "expired"} | {
            "unavailable",
            "configuration",
            "unreachable",
        }, code


def test_suggested_flows() -> None:
    assert error_from(answer("50076")).suggested_flow == "browser"
    assert error_from(answer("90010")).suggested_flow == "device"
    assert error_from(answer("invalid_grant")).suggested_flow is None


def test_an_unknown_code_keeps_the_providers_text() -> None:
    error = error_from({"error": "teapot", "error_description": "Short and stout."})
    assert type(error) is SignInError
    assert str(error) == "The provider refused the request. [teapot: Short and stout.]"
    assert error.code == "teapot"
    assert error.hint


def test_an_unknown_number_keeps_its_text_and_the_kind_of_the_word() -> None:
    told = "AADSTS999999: Odd. Trace ID: a Correlation ID: b Timestamp: c"
    error = error_from({"error": "invalid_grant", "error_description": told})
    assert type(error) is InteractionRequired
    assert error.code == "AADSTS999999"
    assert str(error).endswith("[AADSTS999999: Odd.]")


@pytest.mark.parametrize(
    "given",
    [
        {"error": "invalid_grant", "error_codes": [50076], "error_description": "x"},
        {"error": "interaction_required", "error_description": "AADSTS50076: x"},
        {"error": "invalid_grant", "error_codes": [999999, 50076]},
        {"error": "invalid_client", "error_description": "AADSTS999999: x AADSTS50076: y"},
    ],
)
def test_the_number_has_precedence_over_the_word(given: dict[str, object]) -> None:
    assert error_from(given).code == "AADSTS50076"
    assert type(error_from(given)) is InteractionRequired


def test_the_correlation_id_is_kept_for_the_administrator() -> None:
    error = error_from({"error": "x", "correlation_id": "c-1\n\x1b[31m"})
    assert error.correlation_id is not None
    assert error.correlation_id.startswith("c-1")
    assert error.correlation_id.isprintable()
    assert "correlation id c-1" in error.lines()[0]


HOSTILE = [
    "a\nb\r\nc",
    "\x1b[31mred\x1b]0;title\x07",
    "null\x00byte",
    "right\u202eleft\u2066x\u2069",
    "\u200bzero\u200dwidth\ufeff",
    "line\u2028and\u2029paragraph",
    "\x85next\x9bline",
    "\u061cmark",
    "lone \ud800 surrogate",
    "tag \U000e0041\U000e007f letters",
    "no\xa0break, wide\u3000blank",
    "private \ue000 use, no \u0378 letter",
    "<script>alert(1)</script>",
    "x" * 10_000,
    "\n" * 10_000,
]


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("field", ["error", "error_description"])
def test_control_characters_are_removed_from_the_providers_text(field: str, text: str) -> None:
    error = error_from({"error": "access_denied", field: text})
    line, _ = error.lines()
    assert len(line.splitlines()) == 1
    assert len(line) < 1_000
    line.encode()
    assert line.isprintable()
    assert error.code.isprintable()


def test_plain_does_not_change_ordinary_text() -> None:
    text = "Zoë said: “no” — 別の方法で。 <b>"
    assert plain(text) == text


@pytest.mark.parametrize(
    "odd",
    [
        {},
        {"error": None},
        {"error": 5, "error_description": 7},
        {"error": {"a": 1}, "error_description": ["x"]},
        {"error": "x", "error_codes": 50076},
        {"error": "x", "error_codes": "50076"},
        {"error": "x", "error_codes": None},
        {"error": "x", "error_codes": [None, {"a": 1}]},
        {"error": "x", "correlation_id": 5},
    ],
)
def test_a_malformed_error_is_still_an_error(odd: dict[str, object]) -> None:
    error = error_from(odd)
    assert isinstance(error, NbAuthError)
    assert error.code
    assert str(error)

"""Device authorization responses in the forms that providers send."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbauth.core.errors import NbAuthError, SignInError
from nbauth.core.scopes import Scopes
from nbauth.core.text import web_address
from nbauth.oauth.engines.device_answer import device_code_in, polling
from nbauth.oauth.engines.protocol import AuthorizationPending, AuthorizationRequest, DeviceCode
from nbauth.oauth.error_catalogue import error_from
from tests.interop.peers import assert_plain
from tests.oauth.test_answers import JSON

REQUEST = AuthorizationRequest(Scopes.parse(["read"], microsoft=False))
PAGE = "https://id.example/device"
GOOD = {
    "device_code": "secret-device-code",
    "user_code": "ABCD-EFGH",
    "verification_uri": PAGE,
    "expires_in": 300,
    "interval": 7,
}


def read(**changes: Any) -> DeviceCode:
    answer = {name: value for name, value in {**GOOD, **changes}.items() if value != "absent"}
    return device_code_in(answer, REQUEST)


def test_a_valid_response() -> None:
    device = read(verification_uri_complete=f"{PAGE}?user_code=ABCD-EFGH", message="Open it.")
    assert (device.user_code, device.verification_uri) == ("ABCD-EFGH", PAGE)
    assert device.verification_uri_complete == f"{PAGE}?user_code=ABCD-EFGH"
    assert (device.expires_in, device.interval, device.message) == (300, 7, "Open it.")
    assert device.private[0]["device_code"] == "secret-device-code"
    assert "secret-device-code" not in repr(device) + repr(device.private)


def test_googles_name_of_verification_uri() -> None:
    assert read(verification_uri="absent", verification_url=PAGE).verification_uri == PAGE
    assert read(verification_uri=None, verification_url=PAGE).verification_uri == PAGE


@pytest.mark.parametrize(
    ("told", "interval"),
    [
        ("absent", 5),
        (None, 5),
        (0, 1),
        ("0", 1),
        (False, 5),
        (-1, 5),
        ("", 5),
        ("soon", 5),
        ([], 5),
        (True, 5),
        ("5", 5),
        ("7.5", 7.5),
        (0.5, 0.5),
        (1, 1),
        (60, 60),
        (1e9, 60),
        (10**400, 60),
    ],
    ids=lambda told: repr(told)[:20],
)
def test_intervals(told: Any, interval: float) -> None:
    assert read(interval=told).interval == interval


@pytest.mark.parametrize(
    ("told", "life"),
    [
        ("absent", 900),
        (None, 900),
        (0, 900),
        (-1, 900),
        ("never", 900),
        ({}, 900),
        ("300", 300),
        (1, 1),
        (1e9, 86400),
        ("99999999999", 86400),
    ],
    ids=lambda told: repr(told)[:20],
)
def test_lifetimes(told: Any, life: float) -> None:
    assert read(expires_in=told).expires_in == life


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *((name, value) for name in ("device_code", "user_code", "verification_uri")
          for value in ("absent", None, "", 5, [], {"a": 1}, True)),
        ("user_code", "\u202e\u200b"),
        ("verification_uri", "http://id.example/device"),
        ("verification_uri", "ftp://id.example/device"),
        ("verification_uri", "javascript:alert(1)"),
        ("verification_uri", "file:///etc/passwd"),
        ("verification_uri", "//id.example/device"),
        ("verification_uri", "https://"),
        ("verification_uri", "https://id.example:99999999/"),
        ("verification_uri", "https://id.example/ <b>"),
        ("verification_uri", "https://id.example/\u202etxt"),
        ("verification_uri", "https://id.example/\n"),
    ],
    ids=repr,
)  # fmt: skip
def test_an_error_names_the_invalid_field(field: str, value: Any) -> None:
    with pytest.raises(SignInError) as unusable:
        read(**{field: value})
    assert unusable.value.code == "device_answer"
    assert field in str(unusable.value)
    assert unusable.value.suggested_flow == "browser"
    assert_plain(unusable.value)
    assert "secret-device-code" not in str(unusable.value)


def test_an_address_on_loopback_may_be_http() -> None:
    page = "http://127.0.0.1:8000/device"
    device = read(verification_uri=page, verification_uri_complete=f"{page}?c=1")
    assert device.verification_uri_complete == f"{page}?c=1"


@pytest.mark.parametrize(
    "complete",
    [
        "http://id.example/device?c=1",
        "https://evil.example/device?c=1",
        "javascript:alert(1)",
        "https://id.example:8443/device?c=1",
        "https://id.example@evil.example/",
        "/device?c=1",
        "https://id.example/\u202e",
        "",
        5,
        ["https://id.example/device"],
        None,
    ],
    ids=repr,
)
def test_a_complete_address_at_another_origin_is_ignored(complete: Any) -> None:
    device = read(verification_uri_complete=complete)
    assert device.verification_uri_complete is None
    assert device.verification_uri == PAGE


def test_a_complete_address_may_have_the_default_port_or_another_path() -> None:
    complete = "https://ID.example:443/activate?user_code=ABCD"
    assert read(verification_uri_complete=complete).verification_uri_complete == complete


@pytest.mark.parametrize("answer", [None, [], [1], "text", 7, True, {}], ids=repr)
def test_a_response_that_is_not_an_object_is_an_error(answer: Any) -> None:
    with pytest.raises(SignInError) as unusable:
        device_code_in(answer, REQUEST)
    assert_plain(unusable.value)


@settings(max_examples=100, deadline=None)
@given(
    st.fixed_dictionaries({}, optional={
        name: JSON | st.just(value) for name, value in
        {**GOOD, "verification_uri_complete": PAGE, "verification_url": PAGE, "message": ""}.items()
    })
)  # fmt: skip
def test_any_response_is_printable_or_an_error(answer: dict[str, Any]) -> None:
    try:
        device = device_code_in(answer, REQUEST)
    except NbAuthError as error:
        assert_plain(error)
        return
    assert device.user_code.isprintable()
    assert web_address(device.verification_uri)
    assert device.verification_uri_complete is None or web_address(device.verification_uri_complete)
    assert 0 < device.interval <= 60
    assert 0 < device.expires_in <= 86400


@pytest.mark.parametrize(
    ("answer", "slow_down"),
    [
        ({"error": "authorization_pending"}, False),
        ({"error": "AUTHORIZATION_PENDING"}, False),
        ({"status": 400, "message": "authorization_pending"}, False),
        ({"error": "slow_down"}, True),
        ({"error": "Slow_Down"}, True),
        ({"errorCode": "slow_down", "errorSummary": "Too fast."}, True),
        (
            {
                "error": "authorization_pending",
                "error_description": "AADSTS70016: The user has not finished yet. Trace ID: 1",
                "error_codes": [70016],
            },
            False,
        ),
        ({"error": "slow_down", "error_description": "AADSTS90055: Too many."}, True),
    ],
)
def test_pending_is_recognised_in_other_spellings(answer: Any, slow_down: bool) -> None:
    with pytest.raises(AuthorizationPending) as pending, polling():
        raise error_from(answer)
    assert pending.value.slow_down is slow_down


def test_other_errors_end_the_polling() -> None:
    with pytest.raises(NbAuthError), polling():
        raise error_from({"error": "expired_token"})

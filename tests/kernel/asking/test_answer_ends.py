"""When the token of an answer ends in the worker that gets it."""

from __future__ import annotations

import time
from typing import Any

import pytest

from nbauth.kernel.asking.messages import VERSION, read_answer


def answer(left: float, expires_on: float) -> dict[str, Any]:
    """An answer of a kernel."""
    return {
        "version": VERSION,
        "access_token": "a-token",
        "token_type": "Bearer",
        "left": left,
        "expires_on": expires_on,
        "lifetime": 60.0,
        "scopes": [],
        "unique_id": "",
        "correlation_id": None,
        "account": {
            "username": "ada",
            "name": "",
            "tenant_id": "t",
            "home_account_id": "h",
            "authority": "https://login.test/t",
            "profile": "default",
            "client_id": "c",
            "application": False,
        },
    }


@pytest.mark.parametrize(
    ("on_its_way", "clock", "ends_in"),
    [
        pytest.param(0.0, 0.0, 40.0, id="at once"),
        pytest.param(3.0, 0.0, 37.0, id="on its way"),
        pytest.param(0.0, -3600.0, 40.0, id="the worker's clock is slow"),
        pytest.param(0.0, +3600.0, 40.0, id="the worker's clock is fast"),
    ],
)
def test_end(on_its_way: float, clock: float, ends_in: float) -> None:
    """``clock``: seconds by which the worker's clock is ahead."""
    now = time.time()
    response = read_answer(answer(40.0, now - clock - on_its_way + 40.0)).response
    assert response.received_at + response.expires_in == pytest.approx(now + ends_in, abs=0.5)

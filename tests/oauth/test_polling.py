"""Entra's response while the person has not finished is not treated as an error."""

from __future__ import annotations

from typing import Any

import pytest

from nbauth.core.scopes import Scopes
from nbauth.oauth.engines.protocol import AuthorizationPending, AuthorizationRequest
from tests.oauth.test_refresh_answers import METADATA, Canned, microsoft, openid

PENDING = {
    "error": "authorization_pending",
    "error_description": "AADSTS70016: OAuth 2.0 device flow error. Authorization is pending.",
    "error_codes": [70016],
}


@pytest.mark.parametrize("make", [openid, microsoft])
@pytest.mark.parametrize("again", range(3), ids=["first", "second", "third"])
def test_a_pending_device_code_is_polled_again(
    make: Any, again: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = f"{METADATA['issuer']}/device"
    monkeypatch.setitem(METADATA, "device_authorization_endpoint", page)
    engine = make()
    shown = {"device_code": "d", "user_code": "u", "verification_uri": page, "expires_in": 900}
    engine._http.mount("https://", Canned(shown))
    device = engine.start_device(AuthorizationRequest(Scopes.parse(["read"], microsoft=False)))
    engine._http.mount("https://", Canned(PENDING, 400))
    for _ in range(again + 1):
        with pytest.raises(AuthorizationPending) as pending:
            engine.poll_device(device)
        assert not pending.value.slow_down

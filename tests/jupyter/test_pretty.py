"""IPython's pretty printer, which shows the last value of a cell, masks secrets too."""

from __future__ import annotations

import pytest
from IPython.lib.pretty import pretty

from nbauth.core.secret import SecretStr
from tests.core.test_tokens import ACCESS, ACCOUNT, ID, REFRESH, RESPONSE, result, token

SECRET = SecretStr(ACCESS)


@pytest.mark.parametrize("value", [SECRET, {"a": [SECRET]}], ids=["alone", "in a list"])
def test_the_pretty_printer_masks_a_secret(value: object) -> None:
    assert ACCESS not in pretty(value)
    assert "secret" in pretty(value)


@pytest.mark.parametrize("value", [token(), result(), RESPONSE, ACCOUNT], ids=type)
def test_the_pretty_printer_masks_secrets_in_values(value: object) -> None:
    for secret in (ACCESS, REFRESH, ID, "Ada Secret"):
        assert secret not in pretty(value)

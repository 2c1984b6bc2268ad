"""Real components for the tests: an identity provider, certificates, and a person who clicks."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def missing(what: str) -> NoReturn:
    """Skip the test that needs ``what``; fail it if every component is required."""
    if os.environ.get("NBAUTH_REQUIRE_ALL") == "1":
        pytest.fail(f"required, but missing: {what}", pytrace=False)
    pytest.skip(f"missing: {what}")

"""Settings given to a kernel are checked together, then stored as given."""

from __future__ import annotations

import pytest

from nbauth.core.errors import ConfigurationError
from tests.kernel.conftest import Bench


def test_if_one_value_is_invalid_none_is_set(bench: Bench) -> None:
    for bad in ({"flow": "telepathy"}, {"tenants": None}, {"verify": False}):
        with pytest.raises(ConfigurationError):
            bench.session.configure(tenant="contoso", **bad)
        assert bench.session.reader.configured == {}


def test_none_resets_a_setting(bench: Bench) -> None:
    bench.session.configure(timeout="90")
    assert bench.session.settings().timeout == 90.0
    bench.session.configure(timeout=None)
    assert bench.session.settings().timeout is None


def test_later_changes_of_the_callers_object_have_no_effect(bench: Bench) -> None:
    hosts, scopes = {"api.contoso.com": ["read"]}, ["read"]
    bench.session.configure(hosts=hosts, scopes=scopes)
    hosts["evil.example"] = ["read"]
    hosts["api.contoso.com"].append("write")
    scopes.append("write")
    settings = bench.session.settings()
    assert settings.hosts == {"api.contoso.com": ("read",)}
    assert settings.scopes == ("read",)

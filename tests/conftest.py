"""The harness's fixtures, for every test. pytest alone is enough to load them."""

import pytest

pytest_plugins = ("tests.harness.fixtures", "tests.harness.kernels", "tests.harness.jupyter")


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    """Know the option that is set for pytest-timeout also where that is not installed."""
    if not pluginmanager.has_plugin("timeout"):
        parser.addini("timeout", "seconds a test may take; needs pytest-timeout")

"""The harness's fixtures, for every test."""

pytest_plugins = ("tests.harness.fixtures", "tests.harness.kernels", "tests.harness.jupyter")

"""Third-party identity providers: how each is started, and the tests for all."""

import pytest

pytest.register_assert_rewrite("tests.interop.foreign.suite")

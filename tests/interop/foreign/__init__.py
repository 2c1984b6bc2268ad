"""Identity providers that nobody here wrote: how each is started, and what all are tried with."""

import pytest

pytest.register_assert_rewrite("tests.interop.foreign.suite")

"""``%graph`` in a real kernel, in which an event loop runs, against the demo's Graph."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from nbauth.demo.launcher import Demo
from tests.harness.kernels import Kernel
from tests.kernels.conftest import environment


@pytest.fixture
def kernel(demo: Demo) -> Iterator[Kernel]:
    with Kernel("7.4", env=environment(demo, NBAUTH_FLOW="device"), allow_stdin=True) as made:
        assert made.run("%load_ext nbauth").status == "ok"
        yield made


def test_a_first_call_signs_in_and_shows_a_data_frame(kernel: Kernel, willing_person: None) -> None:
    first = kernel.run("await __import__('asyncio').sleep(0)\n%graph users --select id,mail")
    assert first.status == "ok", first.traceback
    assert "<th>mail</th>" in first.data[-1]["text/html"]
    second = kernel.run("%graph users --all -o df\ntype(df).__name__, len(df) > 20")
    assert second.status == "ok", second.traceback
    assert second.result == "('DataFrame', True)"
    batch = kernel.run("%%graph -o found\nme\nusers/nobody")
    assert batch.status == "ok", batch.traceback
    assert kernel.run("print([one.status for one in found])").text.strip() == "[200, 404]"
    wrong = kernel.run("%graph users/nobody")
    assert wrong.status == "error"
    assert len(wrong.traceback.splitlines()) == 2

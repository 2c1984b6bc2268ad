"""ipykernel 7.3, without nbauth, stops reading its shell channel under a burst of requests.

``tests/kernels/test_reply_fix.py`` shows that nbauth fixes that.
"""

from __future__ import annotations

from tests.harness.kernels import Kernel
from tests.kernels.test_reply_fix import BARE, unanswered


def test_ipykernel_7_3_alone_stops_reading() -> None:
    with Kernel("7.3", env=BARE) as kernel:
        assert unanswered(kernel) > 0
        assert kernel.run("1", timeout=2).status == "unanswered", "and never reads again"

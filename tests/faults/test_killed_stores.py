"""S9: a kernel that is killed while saving loses no sign-in."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import pytest

from tests.faults.conftest import Figure
from tests.faults.saving import saving
from tests.faults.sizes import size
from tests.harness import missing


@pytest.mark.timing
def test_killed_savers_lose_nothing(tmp_path: Path, figure: Figure) -> None:
    times = size(20, 200)
    shown = saving("kills", "nbauth", str(tmp_path / "kept"), str(times))
    assert shown["lost"] == 0
    assert shown["left"] == []
    assert shown["slowest"] < 2
    assert shown["numbers"] > 1, "they were killed at different points"
    figure(
        "S9",
        "kill -9 during save",
        f"{times} savers of 131 kB",
        f"0 sessions lost, next save after at most {shown['slowest'] * 1000:.0f} ms",
    )


@pytest.mark.full_size
def test_killed_savers_of_the_peer(tmp_path: Path, figure: Figure) -> None:
    try:
        version = metadata.version("msal-extensions")
    except metadata.PackageNotFoundError:
        missing("msal-extensions (make test-faults installs it)")
    shown = saving("kills", "msal-extensions", str(tmp_path / "kept"), "200")
    figure(
        "S9",
        f"the same, msal-extensions {version}'s file",
        "200 savers of 131 kB",
        f"{shown['lost']} sessions lost, {shown['stuck']} lock files left that stop later saves",
    )


def test_many_savers_at_once_all_succeed(tmp_path: Path, figure: Figure) -> None:
    count = size(10, 80)
    shown = saving("crowd", "nbauth", str(tmp_path / "kept"), str(count))
    assert shown["failed"] == 0
    assert shown["whole"]
    assert shown["seconds"] < 30
    figure(
        "S9",
        "many savers at once",
        f"{count} processes × 10 saves of 131 kB to one entry",
        f"all succeed, in {shown['seconds']:.1f} s",
    )

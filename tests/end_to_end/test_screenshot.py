"""The README's picture: `make screenshot` finds what it photographs."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from tools.screenshot import CELLS, MARGIN, PICTURE, photograph

pytestmark = pytest.mark.browser


def size_of(picture: Path) -> tuple[int, int]:
    """Width and height of a PNG (its IHDR chunk)."""
    head = picture.read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", head[16:])
    return width, height


def test_the_picture_shows_all_cells_and_the_panel(lab_with_provider, open_notebook, tmp_path):
    page = open_notebook(CELLS, lab=lab_with_provider(), own_page=True)
    target = tmp_path / PICTURE.name
    photograph(page, target)
    first, last = page.cell(0).bounding_box(), page.cell(len(CELLS) - 1).bounding_box()
    height = last["y"] + last["height"] - first["y"] + 2 * MARGIN
    assert size_of(target) == (pytest.approx(first["width"], abs=2), pytest.approx(height, abs=2))
    panel = page.output(1).locator("[class*=nbauth]").first.bounding_box()
    assert panel["y"] > first["y"] and panel["y"] + panel["height"] < last["y"]
    assert size_of(PICTURE)[0] > 860, "the README's own is of a display with more pixels"
    page.interrupt()
    page.wait_cell_done(1)

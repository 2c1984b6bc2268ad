"""Each code of the error catalogue, as the panel, the HTML card and the terminal show it."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from nbauth.oauth.error_catalogue import known_codes
from tests.harness.axe import axe_complaints
from tests.harness.jupyter import OpenNotebook
from tests.harness.lab_page import SCREENSHOTS
from tests.jupyter.panel.gallery import SETUP
from tests.jupyter.panel.test_themes import TALL, make_cells, use_theme

pytestmark = pytest.mark.browser

SHOWN = """
from nbauth.oauth.error_catalogue import error_from, known_codes
from nbauth.jupyter.display import html_for, lines_for

TRAIL = "c0ffee00-aaaa-4bbb-8ccc-123456789abc"

def refused(code):
    number = code.isdigit()
    text = f"AADSTS{code}: " if number else ""
    return error_from({
        "error": "invalid_request" if number else code,
        "error_codes": [int(code)] if number else [],
        "error_description": text + "What the provider says. Trace ID: 1 Timestamp: 2026",
        "correlation_id": TRAIL,
    })

def show_each(codes):
    panels = [show("device", refusal=refused(code)) for code in codes]
    for code, panel in zip(codes, panels):
        end = time.monotonic() + 9
        while type(panel.sign_in.step).__name__ not in {"Failed", "ChooseFlow"}:
            assert time.monotonic() < end, code
            time.sleep(0.01)
        error = refused(code)
        card = html_for(panel.sign_in)
        said = " ".join(lines_for(panel.sign_in))
        for text in (card, said):
            assert error.code in text, (code, text)
        assert TRAIL in " ".join(error.lines()), code
        display(panel)
"""
AT_ONCE = 40
"""Panels in one cell."""


@pytest.mark.timeout(300)
def test_each_code_is_shown_with_what_to_do(open_notebook: OpenNotebook) -> None:
    codes = list(known_codes())
    parts = [codes[n : n + AT_ONCE] for n in range(0, len(codes), AT_ONCE)]
    cells = [SETUP + SHOWN, *(f"show_each({part!r})" for part in parts)]
    page = open_notebook(cells, kernel="7.4", own_page=True)
    page.run_all()
    use_theme(page, "light")
    make_cells(page, 900)
    size = page.page.viewport_size
    assert size is not None
    page.page.set_viewport_size({**size, "height": TALL})
    for number, part in enumerate(parts, 1):
        panels = page.output(number).get_by_role("group", name="Sign in with nbauth")
        page.output(number).scroll_into_view_if_needed()
        expect(panels).to_have_count(len(part), timeout=60_000)
        entries = [known_codes()[code] for code in part]
        for said in (
            [entry["what"].rstrip(".") for entry in entries],
            [entry["next"].split(":")[0].rstrip(".") for entry in entries],
            [f"AADSTS{code}" if code.isdigit() else code for code in part],
        ):
            expect(panels).to_contain_text(said)  # each panel its own text
        page.output(number).screenshot(path=SCREENSHOTS / f"errors-{number}.png")
        if number == 1:  # the others differ in their words only
            assert axe_complaints(*panels.all()) == []

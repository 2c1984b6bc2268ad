"""What the browser shows at the end, and each value of ``open_browser``."""

from __future__ import annotations

import os
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from nbauth.testing.engine import refusal
from tests.kernel.conftest import Bench, redirect, until
from tests.kernel.sign_in.test_attempt import begun

HELP = "https://contoso.example/help?from=nbauth"


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


def ended_at(address: str) -> tuple[int, str, str]:
    """Status, ``Location`` and body of a request that follows no redirect."""
    try:
        with urllib.request.build_opener(_Stay).open(address, timeout=5) as page:
            return page.status, "", page.read().decode()
    except urllib.error.HTTPError as answer:
        return answer.code, answer.headers["Location"] or "", answer.read().decode()


@pytest.mark.parametrize("success", [True, False])
def test_the_browser_goes_to_the_address_after_the_code_was_redeemed(
    bench: Bench, success: bool
) -> None:
    if not success:
        bench.engine.will("redeem", refusal("invalid_grant"))
    name = "success_page" if success else "error_page"
    sign_in = begun(bench, flow="browser", **{name: HELP})
    assert sign_in.authorize_url is not None
    status, location, body = ended_at(redirect(sign_in.authorize_url))
    assert (status, location, body) == (303, HELP, "")  # nothing of the response goes there
    assert sign_in.state == ("done" if success else "failed")
    assert bench.engine.count("redeem") == 1


def test_an_address_with_other_letters_reaches_the_browser(bench: Bench) -> None:
    sign_in = begun(bench, flow="browser", success_page="https://例え.example/完了")
    assert sign_in.authorize_url is not None
    status, location, _ = ended_at(redirect(sign_in.authorize_url))
    assert (status, location) == (303, "https://xn--r8jz45g.example/%E5%AE%8C%E4%BA%86")


def test_the_error_pages_placeholders_are_escaped(bench: Bench) -> None:
    for own in ("<p>No: $error. $error_description</p>", "No: $error. $error_description"):
        bench.engine.will("redeem", refusal("invalid_grant", "<b>The code</b> is used up."))
        sign_in = begun(bench, flow="browser", error_page=own)
        assert sign_in.authorize_url is not None
        _, _, body = ended_at(redirect(sign_in.authorize_url))
        assert "No: invalid_grant." in body
        assert "&lt;b&gt;The code&lt;/b&gt; is used up." in body
        assert "<b>The code" not in body


@pytest.mark.parametrize("choice", [True, False, None, "their-browser", "callable"])
def test_each_kind_of_open_browser(
    bench: Bench, choice: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """True and a name start a program; false and no value open nothing."""
    opened = tmp_path / "opened"
    program = tmp_path / "their-browser"
    program.write_text(f'#!/bin/sh\nprintf %s "$1" > {opened}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("BROWSER", str(program))
    value = (lambda address: opened.write_text(address)) if choice == "callable" else choice
    sign_in = begun(bench, flow="browser", open_browser=value)
    if choice:
        until(lambda: opened.exists() and opened.read_text() == sign_in.authorize_url)
    else:
        time.sleep(0.2)
        assert not opened.exists()
    sign_in.cancel()

"""Watches a real browser for any effect of hostile text."""

from __future__ import annotations

import re
from typing import Any

from playwright.sync_api import BrowserContext, Dialog, Locator, Page

from tests.faults.hostile import ELSEWHERE, MARK

#: What our pages, panels, cards and tables are made of, and JupyterLab's frame around an output.
OURS = {
    *("HTML", "HEAD", "META", "TITLE", "STYLE", "BODY", "MAIN", "H1", "P"),
    *("DIV", "SPAN", "STRONG", "B", "BDI", "CODE", "A", "BUTTON", "INPUT", "OL", "UL", "LI"),
    *("DL", "DT", "DD", "DETAILS", "SUMMARY", "TABLE", "THEAD", "TBODY", "TR", "TH", "TD"),
}
_UNSEEN = re.compile(
    r"[\x00-\x09\x0b-\x1f\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f]"
)
_LOOK = """region => {
  const all = [region, ...region.querySelectorAll('*')];
  for (const fold of region.querySelectorAll('details')) fold.open = true;
  return {
    tags: [...new Set(all.map(node => node.tagName.toUpperCase()))],
    attributes: [...new Set(all.flatMap(node => node.getAttributeNames()))],
    addresses: all.flatMap(node => ['href', 'src', 'action', 'formaction', 'data', 'srcdoc']
      .filter(name => node.hasAttribute(name)).map(name => node.getAttribute(name))),
    scripts: all.filter(node => node.tagName === 'SCRIPT' && !node.nonce).length,
    longest: Math.max(...all.flatMap(node => [...node.childNodes])
      .filter(node => node.nodeType === 3 && node.parentElement.tagName !== 'STYLE')
      .map(node => node.data.length), 0),
    text: region.textContent,
  };
}"""


class Watched:
    """A browser profile in which the provider's text must have no effect."""

    def __init__(self, context: BrowserContext) -> None:
        self.happened: list[str] = []
        self.looked = 0
        context.expose_binding("executed", lambda _, what: self.happened.append(f"ran {what}"))
        context.on("dialog", self._dialog)
        context.on("request", lambda request: self._asked(request.url))

    def only_text(self, region: Locator, *, shows: str | None = MARK, script: bool = False) -> str:
        """Check that a region contains only text; return that text.

        ``shows``: what has to stand there, else the test would prove nothing. ``script``: the page
        has one of its own, which its policy knows by a nonce.
        """
        seen: dict[str, Any] = region.evaluate(_LOOK)
        tags = set(seen["tags"]) - OURS
        assert tags <= ({"SCRIPT"} if script else set()), tags
        assert not seen["scripts"]
        assert [name for name in seen["attributes"] if name.startswith("on")] == []
        odd = [a for a in seen["addresses"] if not re.fullmatch(r"https?://\S+", a)]
        assert odd == [], odd
        assert [a for a in seen["addresses"] if ELSEWHERE in a] == []
        text: str = seen["text"]
        assert _UNSEEN.findall(text) == []
        assert seen["longest"] <= 700
        if shows:
            assert shows in text, text
        self.looked += 1
        assert self.happened == []
        return text

    def _dialog(self, dialog: Dialog) -> None:
        self.happened.append(f"a dialog: {dialog.message}")
        dialog.dismiss()

    def _asked(self, url: str) -> None:
        if url.startswith(ELSEWHERE):
            self.happened.append(f"asked for {url}")


def settle(page: Page) -> None:
    """Give triggered code time to run: two frames, and all due timers."""
    page.evaluate("() => new Promise(r => requestAnimationFrame(() => setTimeout(r, 50)))")

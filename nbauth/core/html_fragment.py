"""Cleans a fragment of HTML. It is imported when a page shows one."""

from __future__ import annotations

import html
from html.parser import HTMLParser

from nbauth.core.own_pages import address_in

TEXT_ELEMENTS = frozenset(
    {
        "p", "br", "hr", "h1", "h2", "h3", "h4", "b", "strong", "i", "em", "u", "small", "code",
        "pre", "ul", "ol", "li", "dl", "dt", "dd", "div", "span", "blockquote", "table", "thead",
        "tbody", "tr", "th", "td",
    }
)  # fmt: skip
"""The elements that a fragment keeps, without attributes; and links to https addresses."""
_VOID = frozenset({"br", "hr"})
_UNSEEN = frozenset({"script", "style"})
"""Elements whose content is not text."""


def safe_fragment(own: str) -> str:
    """The fragment with text elements and links only; it has no scripts, styles and forms."""
    cleaner = _Cleaner()
    cleaner.feed(own)
    cleaner.close()
    return "".join([*cleaner.kept, *(f"</{tag}>" for tag in reversed(cleaner.open))])


class _Cleaner(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.kept: list[str] = []
        self.open: list[str] = []
        self._unseen = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._unseen = tag in _UNSEEN
        if tag == "a":
            address = str(dict(attrs).get("href") or "")
            if not address_in(address):
                return
            self.kept.append(f'<a href="{html.escape(address)}" rel="noreferrer noopener">')
        elif tag in TEXT_ELEMENTS:
            self.kept.append(f"<{tag}>")
        else:
            return
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        self._unseen = False
        if tag in self.open:
            while (last := self.open.pop()) != tag:
                self.kept.append(f"</{last}>")
            self.kept.append(f"</{tag}>")

    def handle_data(self, data: str) -> None:
        if not self._unseen:
            self.kept.append(html.escape(data))

"""The page a browser ends on. It says what happened and can do nothing."""

from __future__ import annotations

import html

PAGE_HEADERS = [
    ("Content-Type", "text/html; charset=utf-8"),
    (
        "Content-Security-Policy",
        "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none';"
        " frame-ancestors 'none'",
    ),
    ("Cache-Control", "no-store"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
]
_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; display: grid; place-items: center;
  min-height: 90vh; margin: 0; }
main { max-width: 30rem; padding: 2rem; text-align: center; }
h1 { font-size: 1.4rem; font-weight: 600; margin: 0 0 .5rem; }
p { margin: 0; opacity: .75; overflow-wrap: anywhere; }
"""
_CLEAN_ADDRESS = "history.replaceState(null, '', location.pathname)"


def policy(nonce: str) -> str:
    """A Content-Security-Policy for :func:`page` that knows its style and script by ``nonce``."""
    return (
        f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}';"
        " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def page(title: str, text: str, *, nonce: str | None = None) -> bytes:
    """A whole HTML page; both parts are shown as text, whatever they contain.

    With a ``nonce`` (see :func:`policy`) it also takes the query out of the address bar and out
    of the browser's history.
    """
    title, text = html.escape(title), html.escape(text)
    by = f' nonce="{nonce}"' if nonce else ""
    script = f"<script{by}>{_CLEAN_ADDRESS}</script>" if nonce else ""
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style{by}>{_STYLE}</style>{script}<main><h1>{title}</h1><p>{text}</p></main></html>"
    ).encode(errors="replace")

"""The page that the browser shows at the end of a sign-in. It has no links and no forms."""

from __future__ import annotations

import html
from collections.abc import Mapping

from nbauth.core.own_pages import is_fragment
from nbauth.core.text import plain

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
AGAIN = "nbauth_again"
"""Parameter of an address that the browser has asked for a second time: see :func:`again_page`."""
FOLLOW = "nbauth_follow"
"""Parameter that names the delivery whose end a page waits for: see :func:`waiting_page`."""
_PAUSE = 1.0
"""Seconds that a waiting page is shown before it asks again."""


def says(response: Mapping[str, str]) -> str:
    """The error in an authorization response (RFC 6749 §4.1.2.1), as harmless text."""
    code, text = plain(response.get("error", "")), plain(response.get("error_description", ""))
    return f"The provider says: {text} [{code}]." if text else f"The provider says: {code}."


def is_stray_refusal(response: Mapping[str, str]) -> bool:
    """Whether this is an error response without ``state``, as some providers send it.

    RFC 6749 §4.1.2.1 requires the state. Without it the response may be forged, so it is shown but
    does not end a sign-in.
    """
    return bool(response.get("error")) and not (response.get("state") or response.get("code"))


STRAY_REFUSAL = (
    "The response contains no state, so it cannot be matched to a sign-in. Your notebook is still"
    " waiting. Return to it to try again, choose another flow, or cancel."
)


def policy(nonce: str) -> str:
    """A Content-Security-Policy for :func:`page` that allows its style and script by ``nonce``."""
    return (
        f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}';"
        " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def page(title: str, text: str, *, nonce: str | None = None, fragment: str = "") -> bytes:
    """A complete HTML page; ``title`` and ``text`` are escaped.

    A ``fragment`` of HTML replaces both; only its text elements and links are kept.

    With a ``nonce`` (see :func:`policy`), the page also removes the query from the address bar and
    from the browser's history.
    """
    script = _CLEAN_ADDRESS if nonce else ""
    inside = ""
    if is_fragment(fragment):
        from nbauth.core.html_fragment import safe_fragment

        inside = safe_fragment(fragment)
    return _page(title, text, nonce, script, inside=inside)


def waiting_page(title: str, text: str, ticket: str, *, nonce: str) -> bytes:
    """A page that asks again until it is told how the sign-in ended.

    It asks by loading itself: JupyterHub lets no script read an answer without a token (XSRF).
    ``ticket`` (base64url) replaces the query in the address bar and in the browser's history, so
    that a reload goes on waiting.
    """
    address = f"?{FOLLOW}={ticket}"
    script = (
        f"history.replaceState(null, '', '{address}');"
        f" setTimeout(() => location.replace(location.href), {_PAUSE * 1000:.0f})"
    )
    refresh = f'<noscript><meta http-equiv="refresh" content="2; url={address}"></noscript>'
    return _page(title, text, nonce, script, head=refresh)


def again_page(*, nonce: str) -> bytes:
    """A page that asks for its own address once more, with :data:`AGAIN` behind it.

    A browser that comes from another site sends no cookie that is ``SameSite=Strict``, nor does it
    when that request is repeated by a reload. It sends them to an address that a page of the same
    site asks for. The answer stands only in the address; the page does not hold it.
    """
    script = f"location.replace(location.href.split('#')[0] + '&{AGAIN}=1')"
    link = '<noscript><p><a href="">Continue</a></p></noscript>'
    text = "This page continues automatically."
    return _page("Returning to your notebook server", text, nonce, script, body=link)


def _page(
    title: str,
    text: str,
    nonce: str | None,
    script: str,
    *,
    head: str = "",
    body: str = "",
    inside: str = "",
) -> bytes:
    title, text = html.escape(title), html.escape(text)
    inside = inside or f"<h1>{title}</h1><p>{text}</p>{body}"
    by = f' nonce="{nonce}"' if nonce else ""
    element = f"<script{by}>{script}</script>" if script else ""
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"{head}<style{by}>{_STYLE}</style>{element}"
        f"<main>{inside}</main></html>"
    ).encode(errors="replace")

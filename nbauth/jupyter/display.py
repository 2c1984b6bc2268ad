"""The same steps and accounts as plain HTML and text, where no widget can be."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from nbauth.oauth.error_catalogue import plain

if TYPE_CHECKING:
    from nbauth.kernel.sign_in import SignIn

NOBODY = "Nobody is signed in. Run %login."
PASTE_STEP = "Copy the address at which the browser ends, and paste it"
_CARD = (
    "border:1px solid var(--jp-border-color1,#bdbdbd);border-radius:6px;padding:12px 16px;"
    "max-width:34em;overflow-wrap:anywhere;font-family:var(--jp-ui-font-family,sans-serif)"
)
_AS_IT_IS = "tex2jax_ignore mathjax_ignore"
"""Keeps a notebook's MathJax from a provider's text, which ``\\href`` would turn into a link."""
_FAINT = "color:var(--jp-ui-font-color2,#616161)"
_CODE = (
    "font:600 1.5em var(--jp-code-font-family,monospace);letter-spacing:.12em;"
    "background:transparent;unicode-bidi:isolate;user-select:all"
)


# ── a sign-in ───────────────────────────────────────────────────────────────────────────────


def web_address(address: str | None) -> str | None:
    """The address, if it is one to send a browser to: http or https, a host, nothing hidden."""
    if not address or not address.isprintable() or " " in address:
        return None
    try:
        parts = urlsplit(address)
        return address if parts.scheme in {"http", "https"} and parts.hostname else None
    except ValueError:
        return None


def complete_address(sign_in: SignIn) -> str | None:
    """The address that carries the code (RFC 8628 §3.3.1), if it is of the page's own origin."""
    page, complete = web_address(sign_in.verification_uri), sign_in.verification_uri_complete
    if page is None or web_address(complete) is None:
        return None
    return complete if urlsplit(complete)[:2] == urlsplit(page)[:2] else None


def error_lines(sign_in: SignIn) -> list[str]:
    """What happened and what to do, without the error's class."""
    error = sign_in.error
    if error is None:
        return []
    trail = f" (correlation id {plain(error.correlation_id)})" if error.correlation_id else ""
    return [f"{plain(error)}{trail}", plain(error.hint)]


def lines_for(sign_in: SignIn) -> list[str]:
    """What a person at a terminal has to know now, a line each."""
    if sign_in.state != "waiting":
        return error_lines(sign_in) or [plain(sign_in.message)]
    page, code = web_address(sign_in.verification_uri), sign_in.user_code
    authorize = web_address(sign_in.authorize_url)
    if code and page:
        lines = ["To sign in, open this page in any browser:", f"    {page}", "and enter the code:"]
        lines += [f"    {plain(code)}", _asks(sign_in)]
    elif authorize and sign_in.flow == "paste":
        lines = ["To sign in, open this page in any browser:", f"    {authorize}", _asks(sign_in)]
        lines += [f"{PASTE_STEP} below."]
    elif authorize:
        lines = [plain(sign_in.message), f"    {authorize}", _asks(sign_in)]
    else:
        lines = [plain(sign_in.message)]
    return [*lines, *_how_long(sign_in)]


def html_for(sign_in: SignIn) -> str:
    """The sign-in as one card of HTML without scripts. After the end it names nobody."""
    if sign_in.state == "done":
        title, parts = "Signed in", []
    elif sign_in.state == "cancelled":
        title, parts = "Sign-in cancelled", [escape("Run the cell again to sign in.")]
    elif sign_in.state != "waiting":
        title, parts = "Sign-in failed", [escape(line) for line in error_lines(sign_in)]
    else:
        host = urlsplit(sign_in.engine.authority.url).hostname or ""
        title = f"Sign in at {plain(host)}"
        parts = [f"<span style='{_FAINT}'>{escape(_asks(sign_in))}</span>", *_steps(sign_in)]
        ends = " ".join([*_how_long(sign_in), "To cancel, stop the cell."])
        parts += [f"<span style='{_FAINT}'>{escape(ends)}</span>"]
    lines = "".join(f"<div style='margin:6px 0 0'>{part}</div>" for part in parts)
    return f"<div class='{_AS_IT_IS}' style='{_CARD}'><strong>{escape(title)}</strong>{lines}</div>"


def _steps(sign_in: SignIn) -> list[str]:
    """What the person has to do, as pieces of HTML."""
    page, code = web_address(sign_in.verification_uri), sign_in.user_code
    authorize = web_address(sign_in.authorize_url)
    if code and page:
        link = _link(complete_address(sign_in) or page, "Open sign-in page")
        shown = f"<code style='{_CODE}'>{escape(plain(code))}</code>"
        return [f"1. Copy this code: {shown}", f"2. {link} ({escape(page)}) and enter it there."]
    if authorize and sign_in.flow == "paste":
        link = _link(authorize, "Open sign-in page")
        return [f"1. {link} and sign in there.", f"2. {PASTE_STEP} into the field below this cell."]
    if authorize:
        return [escape(plain(sign_in.message)), _link(authorize, "Continue in the browser")]
    return [escape(plain(sign_in.message))]


def _asks(sign_in: SignIn) -> str:
    """Who asks for which permissions."""
    scopes = plain(", ".join(sign_in.request.scopes))
    return f"{plain(sign_in.engine.client_id)} asks for {scopes}."


def _link(address: str, text: str) -> str:
    return (
        f"<a href='{escape(address)}' target='_blank' rel='noopener noreferrer'"
        f" style='text-decoration:underline'>{escape(text)}</a>"
    )


def _how_long(sign_in: SignIn) -> list[str]:
    left = sign_in.expires_in
    if left is None:
        return []
    minutes = max(1, math.ceil(left / 60))
    return [f"You have {minutes} minute{'s' if minutes > 1 else ''}."]


# ── the accounts ────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class AccountRow:
    """One line of the table of accounts.

    Attributes:
        account: the user name.
        minutes_left: of its newest token; ``None`` where it has none.
        kept: where its tokens are kept, in a word.
        current: whether it is used when no account is named.
    """

    account: str
    tenant: str
    profile: str
    scopes: tuple[str, ...]
    minutes_left: int | None
    kept: str
    current: bool = False

    def cells(self) -> list[str]:
        """Its columns, as safe text."""
        left = "–" if self.minutes_left is None else str(self.minutes_left)
        words = [self.account, self.tenant or "–", self.profile, " ".join(self.scopes) or "–"]
        return [plain(word) for word in (*words, left, self.kept)]


COLUMNS = ("account", "tenant", "profile", "scopes", "minutes left", "kept where")


def accounts_html(rows: Sequence[AccountRow]) -> str:
    """The table of ``%accounts``."""
    if not rows:
        return f"<div>{escape(NOBODY)}</div>"
    style = "text-align:left;vertical-align:top;overflow-wrap:break-word"
    head = "".join(f"<th scope='col' style='{style}'>{name}</th>" for name in COLUMNS)
    lines = [
        "".join(
            f"<td style='{style}{';font-weight:600' if row.current and not column else ''}'>"
            f"<bdi>{escape(cell)}</bdi></td>"
            for column, cell in enumerate(row.cells())
        )
        for row in rows
    ]
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return (
        f'<table class="{_AS_IT_IS}" style="table-layout: auto"><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table>"
    )


def accounts_text(rows: Sequence[AccountRow]) -> str:
    """The same for a terminal; ``*`` marks the current accounts."""
    if not rows:
        return NOBODY
    marks = [" ", *("*" if row.current else " " for row in rows)]
    table = [list(COLUMNS), *(row.cells() for row in rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return "\n".join(
        f"{mark} {'  '.join(map(str.ljust, line, widths))}".rstrip()
        for mark, line in zip(marks, table, strict=True)
    )

"""Sign-ins and accounts as plain HTML and as text, for places without widgets."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from urllib.parse import urlsplit

from nbauth.core.columns import aligned
from nbauth.core.errors import NbAuthError
from nbauth.core.scopes import application_name, short_names
from nbauth.core.steps import AskPassword, Cancelled, Done, Failed, OpenBrowser, ShowUserCode
from nbauth.core.text import as_sentences, visible, web_address
from nbauth.kernel.sign_in.protocol import Pending

NOBODY = "Nobody is signed in. Run %login."
PASTE_STEP = "Copy the address of the last page, and paste it"
_CARD = (
    "border:1px solid var(--jp-border-color1,#bdbdbd);border-radius:6px;padding:12px 16px;"
    "max-width:34em;overflow-wrap:anywhere;font-family:var(--jp-ui-font-family,sans-serif)"
)
_AS_IT_IS = "tex2jax_ignore mathjax_ignore"
"""CSS classes that turn MathJax off. In the text of a provider, ``\\href`` would become a link."""
_FAINT = "color:var(--jp-ui-font-color2,#616161)"
_CODE = (
    "font:600 1.5em var(--jp-code-font-family,monospace);letter-spacing:.12em;"
    "background:transparent;unicode-bidi:isolate;user-select:all"
)


# ── a sign-in ───────────────────────────────────────────────────────────────────────────────


def complete_address(step: ShowUserCode) -> str | None:
    """The address that contains the code (RFC 8628 §3.3.1), if it has the origin of the page."""
    page, complete = web_address(step.verification_uri), step.verification_uri_complete
    if page is None or web_address(complete) is None:
        return None
    return complete if urlsplit(complete)[:2] == urlsplit(page)[:2] else None


def error_lines(error: NbAuthError) -> list[str]:
    """The message and the hint of an error, without the error's class."""
    return [visible(f"{error}{error.trail}"), visible(error.hint)]


def lines_for(sign_in: Pending) -> list[str]:
    """The present step of a sign-in as lines for a terminal."""
    asks = _asks(sign_in, "This program")
    match sign_in.step:
        case Failed(error) | Cancelled(error):
            return error_lines(error)
        case Done():
            return [visible(sign_in.message)]
        case ShowUserCode() as step if page := web_address(step.verification_uri):
            lines = ["To sign in, open this page in any browser:", f"    {page}"]
            lines += ["and enter the code:", f"    {visible(step.user_code)}", *asks]
        case OpenBrowser(paste=True) as step if address := web_address(step.authorize_url):
            lines = ["To sign in, open this page in any browser:", f"    {address}"]
            lines += [*asks, f"{PASTE_STEP} below."]
        case OpenBrowser() as step if address := web_address(step.authorize_url):
            note = visible(step.note)
            lines = [as_sentences(note, "To sign in, open this page on this computer:")]
            lines += [f"    {address}", *asks, "This program continues when you have signed in."]
        case AskPassword() as step:
            lines = [visible(one) for one in _question(step)] + asks
        case _:
            lines = [visible(sign_in.message)]
    return [*lines, *_how_long(sign_in)]


def html_for(sign_in: Pending) -> str:
    """The sign-in as one card of HTML without scripts. After the end it contains no account."""
    match sign_in.step:
        case Done():
            title, parts = "Signed in", []
        case Cancelled():
            title, parts = "Sign-in cancelled", [escape("Run the cell again to sign in.")]
        case Failed(error):
            title, parts = "Sign-in failed", [escape(line) for line in error_lines(error)]
        case _:
            host = urlsplit(sign_in.request.client.authority.url).hostname or ""
            title = f"Sign in at {visible(host)}"
            ends = " ".join(
                [*_how_long(sign_in), "To cancel, stop the waiting cell or run %logout."]
            )
            parts = [*map(_faint, _asks(sign_in)), *_steps(sign_in), _faint(ends)]
    lines = "".join(f"<div style='margin:6px 0 0'>{part}</div>" for part in parts)
    return f"<div class='{_AS_IT_IS}' style='{_CARD}'><strong>{escape(title)}</strong>{lines}</div>"


def _faint(text: str) -> str:
    return f"<span style='{_FAINT}'>{escape(text)}</span>"


def _steps(sign_in: Pending) -> list[str]:
    """The instructions for the person, as pieces of HTML."""
    match sign_in.step:
        case ShowUserCode() as step if page := web_address(step.verification_uri):
            link = _link(complete_address(step) or page, "Open sign-in page")
            then = "compare the code" if complete_address(step) else "enter the code"
            shown = f"<code style='{_CODE}'>{escape(visible(step.user_code))}</code>"
            return [
                f"1. Your code: {shown}",
                f"2. {link} ({escape(page)}) and {then}.",
            ]
        case OpenBrowser(paste=True) as step if address := web_address(step.authorize_url):
            link = _link(address, "Open sign-in page")
            below = f"2. {PASTE_STEP} into the field below this cell."
            return [f"1. {link} and sign in there.", below]
        case OpenBrowser() as step if address := web_address(step.authorize_url):
            return [escape(visible(sign_in.message)), _link(address, "Continue in the browser")]
        case AskPassword() as step:
            return [escape(visible(one)) for one in _question(step, " into the field below")]
    return [escape(visible(sign_in.message))]


def _question(step: AskPassword, where: str = "") -> list[str]:
    """What the person must know before the password is typed."""
    refusal = [] if step.refusal is None else [str(step.refusal), step.refusal.hint]
    again = " again" if refusal else ""
    enter = f"Enter the user name and the password{where}{again}. They are not saved."
    return [*filter(None, [*refusal, step.note]), enter]


def _asks(sign_in: Pending, asking: str = "This notebook") -> list[str]:
    """A line with the application and the requested permissions; nothing if there are none.

    ``asking``: the subject of the line if the name of the application is unknown.
    """
    request = sign_in.request
    permissions = visible(", ".join(short_names(request.authorization.scopes)))
    name = visible(application_name(request.client.client_id)) or asking
    why = [needed_by(request.asked_by)] if request.asked_by else []
    return [*why, f"{name} asks for {permissions}."] if permissions else why


def needed_by(host: str) -> str:
    """Why the person is asked for more permissions."""
    return f"{visible(host)} refused a request, because it needs more permissions."


def _link(address: str, text: str) -> str:
    return (
        f"<a href='{escape(address)}' target='_blank' rel='noopener noreferrer'"
        f" style='text-decoration:underline'>{escape(text)}</a>"
    )


def _how_long(sign_in: Pending) -> list[str]:
    left = sign_in.expires_in
    if left is None:
        return []
    number, unit = math.ceil(left / 60), "minute"
    if left < 60:
        number, unit = max(1, math.ceil(left)), "second"
    return [f"You have {number} {unit}{'s' if number > 1 else ''}."]


# ── the accounts ────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class AccountRow:
    """One line of the table of accounts.

    Attributes:
        account: the user name.
        minutes_left: until its newest token expires; ``None`` if it has no token.
        kept: where its tokens are stored, in one word.
        current: whether calls that name no account use it.
        variables: the names of the variables that ``%token`` has set.
    """

    account: str
    tenant: str
    profile: str
    scopes: tuple[str, ...]
    minutes_left: int | None
    kept: str
    current: bool = False
    variables: tuple[str, ...] = ()

    def cells(self) -> list[str]:
        """Its columns, as text without control characters."""
        left = "–" if self.minutes_left is None else str(self.minutes_left)
        words = [self.account, self.tenant or "–", self.profile, " ".join(self.scopes) or "–"]
        return [visible(word) for word in (*words, left, self.kept)]


COLUMNS = ("account", "tenant", "profile", "scopes", "minutes left", "kept in")


def _table(rows: Sequence[AccountRow]) -> list[list[str]]:
    """The head and the rows; with a column for variables if an account has one."""
    if not any(row.variables for row in rows):
        return [list(COLUMNS), *(row.cells() for row in rows)]
    named = [visible(", ".join(row.variables)) or "–" for row in rows]
    cells = [[*row.cells(), names] for row, names in zip(rows, named, strict=True)]
    return [[*COLUMNS, "variables"], *cells]


_CELL = "text-align:left;vertical-align:top;overflow-wrap:break-word"


def _cell(text: str, *, bold: bool) -> str:
    """A cell of the table. A text longer than a word may be broken anywhere in a narrow output."""
    style = _CELL.replace("break-word", "anywhere") if len(text) > 12 else _CELL
    weight = ";font-weight:600" if bold else ""
    return f"<td style='{style}{weight}'><bdi>{escape(text)}</bdi></td>"


def accounts_html(rows: Sequence[AccountRow], nobody: str = NOBODY) -> str:
    """The table of ``%accounts``; ``nobody`` is shown in place of an empty one."""
    if not rows:
        return f"<div>{escape(nobody)}</div>"
    names, *table = _table(rows)
    head = "".join(f"<th scope='col' style='{_CELL}'>{name}</th>" for name in names)
    lines = [
        "".join(_cell(cell, bold=row.current and not column) for column, cell in enumerate(cells))
        for row, cells in zip(rows, table, strict=True)
    ]
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return (
        f'<table class="{_AS_IT_IS}" style="table-layout: auto"><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table>"
    )


def accounts_text(rows: Sequence[AccountRow], nobody: str = NOBODY) -> str:
    """The table as text for a terminal; ``*`` marks the current accounts."""
    if not rows:
        return nobody
    marks = [" ", *("*" if row.current else " " for row in rows)]
    table = _table(rows)
    return "\n".join(
        aligned([[f"{mark} {row[0]}", *row[1:]] for mark, row in zip(marks, table, strict=True)])
    )

"""Cards, lines and tables: correct contents, and hostile text is escaped."""

from __future__ import annotations

import threading
from html.parser import HTMLParser
from types import SimpleNamespace
from typing import Any

import pytest

from nbauth.core.account import Account
from nbauth.core.errors import SignInDeclined
from nbauth.core.signal import Signal
from nbauth.core.steps import (
    Asking,
    ChooseFlow,
    Done,
    Failed,
    OpenBrowser,
    Shown,
    ShowUserCode,
    message_of,
)
from nbauth.core.text import web_address
from nbauth.jupyter.display import (
    AccountRow,
    accounts_html,
    accounts_text,
    complete_address,
    html_for,
    lines_for,
)

HOSTILE = "<script>alert(1)</script>'\"\u202e\u2066\x1b[31m<img src=x onerror=alert(2)>"
PAGE = "https://id.example/device"
CLIENT = SimpleNamespace(
    client_id="notebooks", authority=SimpleNamespace(url="https://id.example:8443/tenant")
)
ASKS = "notebooks asks for openid, profile."
ADA = Account("ada@example.com", "Ada Lovelace", "", "1", "https://id.example")


def sign_in(
    step: Shown | None = None,
    *,
    expires_in: float | None = None,
    scopes: tuple[str, ...] = ("openid", "profile"),
    asked_by: str = "",
) -> Any:
    """A sign-in with the attributes that screens use; see ``Pending``."""
    authorization = SimpleNamespace(scopes=scopes)
    step = step or Asking()
    return SimpleNamespace(
        step=step,
        message=message_of(step),
        expires_in=expires_in,
        ended=threading.Event(),
        changed=Signal(),
        request=SimpleNamespace(client=CLIENT, authorization=authorization, asked_by=asked_by),
    )


def code(**facts: Any) -> ShowUserCode:
    return ShowUserCode(
        **{"user_code": "WDJB-MJHT", "verification_uri": PAGE, "expires_in": 900.0, **facts}
    )


def device(scopes: tuple[str, ...] = ("openid", "profile"), **facts: Any) -> Any:
    return sign_in(code(**facts), expires_in=899.5, scopes=scopes)


class Markup(HTMLParser):
    """The elements, addresses and text of a piece of HTML."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.links: list[str | None] = []
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag == "a":
            self.links.append(dict(attrs)["href"])

    def handle_data(self, data: str) -> None:
        self.text += data


def test_card_of_a_device_sign_in() -> None:
    card = Markup(html_for(device()))
    assert card.links == [PAGE]
    for fact in ("WDJB-MJHT", PAGE, "You have 15 minutes.", "Sign in at id.example", ASKS):
        assert fact in card.text


def test_the_complete_address_is_used_only_with_the_origin_of_the_page() -> None:
    good = device(verification_uri_complete=f"{PAGE}?user_code=WDJB-MJHT")
    assert Markup(html_for(good)).links == [f"{PAGE}?user_code=WDJB-MJHT"]
    for address in (
        "https://id.example.evil.example/device",
        "http://id.example/device",
        "https://id.example:444/device",
        "javascript:alert(1)",
        None,
    ):
        assert complete_address(code(verification_uri_complete=address)) is None


def test_card_of_a_browser_sign_in_and_of_the_step_before() -> None:
    url = "https://id.example/authorize?a=1&b=%22"
    browser = sign_in(OpenBrowser(url), expires_in=30)
    card = Markup(html_for(browser))
    assert card.links == [url]
    assert "You have 30 seconds." in card.text
    assert lines_for(browser) == [
        "To sign in, open this page on this computer:",
        f"    {url}",
        ASKS,
        "This program continues when you have signed in.",
        "You have 30 seconds.",
    ]
    assert "Asking the provider…" in Markup(html_for(sign_in())).text


@pytest.mark.parametrize(
    ("left", "said"),
    [
        (0, "1 second"),
        (1.2, "2 seconds"),
        (59.9, "60 seconds"),
        (60, "1 minute"),
        (61, "2 minutes"),
        (900, "15 minutes"),
    ],
)
def test_the_time_left_is_said_in_seconds_below_a_minute(left: float, said: str) -> None:
    card = Markup(html_for(sign_in(expires_in=left))).text
    assert card.endswith(f"You have {said}. To cancel, stop the waiting cell or run %logout.")


def test_card_of_a_paste_sign_in_names_the_input_field() -> None:
    url = "https://id.example/authorize"
    paste = sign_in(OpenBrowser(url, paste=True), expires_in=300)
    card = Markup(html_for(paste))
    assert card.links == [url]
    assert "paste it into the field below this cell." in card.text
    assert ASKS in card.text
    *_, how, left = lines_for(paste)
    assert how == "Copy the address of the last page, and paste it below."
    assert left == "You have 5 minutes."


def test_card_after_the_end_is_one_line_without_code_or_name() -> None:
    assert Markup(html_for(sign_in(Done(ADA)))).text == "Signed in"
    error = SignInDeclined("You said no.", hint="Say yes.", correlation_id="c-1")
    failed = sign_in(Failed(error))
    card = Markup(html_for(failed))
    assert card.text == "Sign-in failedYou said no. (correlation id c-1)Say yes."
    assert not card.links
    assert lines_for(failed) == ["You said no. (correlation id c-1)", "Say yes."]


@pytest.mark.parametrize(
    "made",
    [
        sign_in(Asking(HOSTILE)),
        device(user_code=HOSTILE),
        device(user_code="A", verification_uri=f"https://x/{HOSTILE}"),
        device(user_code="A", verification_uri="javascript:alert(1)//https://x"),
        sign_in(OpenBrowser("https://x/?a='onclick='alert(1)")),
        sign_in(OpenBrowser("data:text/html,x", paste=True)),
        sign_in(ChooseFlow(SignInDeclined(HOSTILE, hint=HOSTILE))),
        sign_in(Failed(SignInDeclined(HOSTILE, hint=HOSTILE))),
        sign_in(scopes=(HOSTILE,)),
        device(scopes=(HOSTILE,)),
    ],
)
def test_hostile_text_is_escaped(made: Any) -> None:
    for source in (html_for(made), "\n".join(lines_for(made))):
        assert not set(source) & set("\u202e\u2066\x1b")
    card = Markup(html_for(made))
    assert card.tags <= {"div", "strong", "span", "code", "a"}
    assert card.attributes <= {"class", "style", "href", "target", "rel"}
    assert all(str(link).startswith("https://") for link in card.links)


@pytest.mark.parametrize(
    "made",
    [
        sign_in(Asking("\x1b[31m")),
        device(user_code="\x1b[31m"),
        sign_in(OpenBrowser("https://x/", note="\x1b[31m")),
        sign_in(ChooseFlow(SignInDeclined("\x1b[31m"))),
        sign_in(Failed(SignInDeclined("no", hint="\x1b[31m"))),
        sign_in(Failed(SignInDeclined("no", correlation_id="\x1b[31m"))),
        device(scopes=("\x1b[31m",)),
    ],
)
def test_a_control_character_is_written_out(made: Any) -> None:
    for source in (html_for(made), "\n".join(lines_for(made))):
        assert "\\x1b[31m" in source or isinstance(made.step, OpenBrowser)
        assert "\x1b" not in source
    assert "\\x1b[31m" in "\n".join(lines_for(made))


@pytest.mark.parametrize(
    "address",
    ["javascript:alert(1)", "https://", "https:///x", "//x", "", None, "https://x/a b", "http://[",
     "file:///etc/passwd", "https://x/\n", "https://x/\u202egro"],
)  # fmt: skip
def test_unsafe_addresses_become_no_link(address: str | None) -> None:
    assert web_address(address) is None


ROWS = [
    AccountRow("ada@example.com", "t-1", "work", ("User.Read", "Mail.Read"), 54, "memory", True),
    AccountRow(HOSTILE, "", "default", (), None, "memory"),
]


def test_a_name_with_control_characters_is_written_out() -> None:
    name = "\x1b[31ma\nb\u202e"
    row = AccountRow(name, name, name, (name,), 5, "memory")
    for source in (accounts_html([row]), accounts_text([row])):
        assert source.count(r"\x1b[31ma\nb\u202e") == 4
        assert not set(source) & set("\x1b\u202e")
    assert repr(Account(f"x{name}@x", "", "", "1", "https://x", name)).count("\\x1b") == 2


def test_table_of_accounts() -> None:
    table = Markup(accounts_html(ROWS))
    assert table.tags == {"table", "thead", "tbody", "tr", "th", "td", "bdi"}
    assert table.attributes == {"class", "style", "scope"}
    assert "minutes left" in table.text
    assert "User.Read Mail.Read" in table.text
    assert "<script>" in table.text
    lines = accounts_text(ROWS).splitlines()
    assert lines[1].startswith("* ada@example.com")
    assert lines[1].index("t-1") == lines[0].index("tenant")
    assert len(lines) == 3
    assert accounts_text([]) in accounts_html([])


@pytest.mark.parametrize("show", [html_for, lambda one: "\n".join(lines_for(one))])
def test_the_host_that_needs_the_permissions_is_named(show: Any) -> None:
    step = ShowUserCode("WXYZ", PAGE, 900)
    text = show(sign_in(step, asked_by="api.example"))
    assert "api.example refused a request, because it needs more permissions." in text
    assert ASKS in text
    assert "refused a request" not in show(sign_in(step))
    assert "<script>" not in html_for(sign_in(step, asked_by=HOSTILE))
    assert "\x1b" not in show(sign_in(step, asked_by=HOSTILE))

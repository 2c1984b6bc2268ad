"""The pages of ``success_page`` and ``error_page``: text, HTML or an address."""

from __future__ import annotations

import re

import pytest

from nbauth.core.errors import ConfigurationError
from nbauth.core.html_fragment import safe_fragment
from nbauth.core.own_pages import address_in, filled, is_fragment
from nbauth.core.pages import page
from nbauth.core.settings import resolve

ADDRESS = "https://contoso.com/help.html?from=nbauth#done"


@pytest.mark.parametrize("name", ["success_page", "error_page"])
@pytest.mark.parametrize(
    "value",
    [
        "Close this tab.",
        "two\nlines",
        "<b>Done</b>",
        ADDRESS,
        "http://localhost:8000/x",
        "https: is a scheme",
    ],
)
def test_a_text_a_fragment_or_an_address(name: str, value: str) -> None:
    assert getattr(resolve({name: f" {value} "}, {}, {}), name) == value


@pytest.mark.parametrize(
    "value",
    [
        "http://contoso.com/",
        "https://user@contoso.com/",
        "https://user:password@contoso.com/",
        "https:/contoso.com",
        "https://contoso.com\\@evil.example/",
        "https://contoso.com/\u202e",
        "HTTP://contoso.com",
    ],
)
def test_an_address_must_be_https(value: str) -> None:
    with pytest.raises(ConfigurationError, match="https address") as refused:
        resolve({"success_page": value}, {}, {})
    assert "password" not in str(refused.value)
    assert address_in(value) == ""


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        ("https://intern.example/fertig-ü?q=é#ß",
         "https://intern.example/fertig-%C3%BC?q=%C3%A9#%C3%9F"),
        ("https://例え.jp:8443/完了", "https://xn--r8jz45g.jp:8443/%E5%AE%8C%E4%BA%86"),
        ("https://contoso.com/%0d%0aX:%20a?a=b&c=%c3%bc", None),
        ("http://[::1]:8000/{a}|\"^`", "http://[::1]:8000/%7Ba%7D%7C%22%5E%60"),
    ],
)  # fmt: skip
def test_an_address_is_sent_in_ascii(value: str, sent: str | None) -> None:
    """A header cannot have other characters: the browser would get no response."""
    assert resolve({"success_page": value}, {}, {}).success_page == value
    assert address_in(value) == (sent or value)
    assert address_in(address_in(value)) == (sent or value)


@pytest.mark.parametrize(
    "value", [f"https://{'ü' * 80}.example/", "https://a..ü/", "https://ü\u3002/x\ud800"]
)
def test_a_host_that_cannot_exist_is_refused(value: str) -> None:
    with pytest.raises(ConfigurationError):
        resolve({"success_page": value}, {}, {})


def test_only_one_word_is_an_address() -> None:
    assert address_in(ADDRESS) == ADDRESS
    assert address_in(f"See {ADDRESS}") == ""
    assert address_in(f"{ADDRESS} or not") == ""
    assert address_in("javascript:alert(1)") == ""
    assert not is_fragment("1 < 2")


VALUES = {"error": "access_denied", "error_description": "<script>alert(1)</script> & $error"}


def test_placeholders_are_escaped_in_a_fragment_and_never_reach_an_address() -> None:
    assert filled("$error: ${error_description} $other $", VALUES) == (
        f"access_denied: {VALUES['error_description']} $other $"
    )
    assert filled("<p>$error_description</p>", VALUES) == (
        "<p>&lt;script&gt;alert(1)&lt;/script&gt; &amp; $error</p>"
    )
    assert filled("https://contoso.com/?why=$error", VALUES) == "https://contoso.com/?why=$error"


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("<b>Done.</b> Bye", "<b>Done.</b> Bye"),
        ("<p>one<br/>two<hr>", "<p>one<br>two<hr></p>"),
        ("<p><b>crossed</p></b>", "<p><b>crossed</b></p>"),
        ("<b>1 &lt; 2 &amp; 3</b>", "<b>1 &lt; 2 &amp; 3</b>"),
        ("<script>alert(1)</script>x", "x"),
        ("<style>p{}</style>x", "x"),
        ("<p onclick=alert(1) style='x'>x", "<p>x</p>"),
        ("<img src=https://x/ onerror=alert(1)>x", "x"),
        ("<svg><script>alert(1)</script></svg>x", "x"),
        ("<meta http-equiv=refresh content='0;url=https://x'><base href=//x>x", "x"),
        ("<form action=https://x><input name=a><button>x</button></form>", "x"),
        ("<iframe srcdoc='<b>'></iframe>x", "x"),
        (
            "<a href='https://contoso.com/?a&b'>x</a>",
            '<a href="https://contoso.com/?a&amp;b" rel="noreferrer noopener">x</a>',
        ),
        ("<a href='javascript:alert(1)'>x</a>", "x"),
        ("<a href=' https://contoso.com'>x</a>", "x"),
        ("<a>x</a>", "x"),
        ("<!--x--><!doctype html><?php x?>y", "y"),
        ("<", "&lt;"),
        ("<b>\x00</b>", "<b>\x00</b>"),
    ],
)  # fmt: skip
def test_a_fragment_keeps_text_and_links_only(written: str, kept: str) -> None:
    assert safe_fragment(written) == kept
    assert safe_fragment(kept) == kept


def test_the_page_shows_the_fragment_instead_of_its_own_words() -> None:
    whole = page("Title", "Words", fragment="<h2>Mine</h2><script>x</script>").decode()
    assert "<main><h2>Mine</h2></main>" in whole
    assert "Words" not in whole
    assert "<script" not in whole
    assert re.search(r"<title>Title</title>", whole)
    assert "<h1>Title</h1><p>Words</p>" in page("Title", "Words", fragment="no markup").decode()

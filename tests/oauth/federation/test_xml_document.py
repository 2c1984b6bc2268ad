"""Parsing of XML, and cutting signed elements out of it."""

from __future__ import annotations

import tracemalloc

import pytest

from nbauth.oauth.federation.xml_document import DEEPEST, MOST, NotXml, parse

WHOLE = (
    b'<?xml version="1.0"?>\n<e:a xmlns:e="urn:e"><b xmlns="urn:b" x=\'1>2\' /><c></c>'
    b'<s:d  xmlns:s="urn:s"\tk="&#10;v">t\xc3\xa4<![CDATA[</s:d>]]>\r\n<!-- </s:d> --><?p </s:d>?>'
    b"</s:d ><e:f/>/></e:a>"
)


def test_positions_are_exact() -> None:
    cuts = {one.local: WHOLE[one.start : one.end] for one in parse(WHOLE).root.all()}
    assert cuts["b"] == b"<b xmlns=\"urn:b\" x='1>2' />"
    assert cuts["c"] == b"<c></c>"
    assert cuts["d"] == WHOLE[WHOLE.index(b"<s:d") : WHOLE.index(b"<e:f/>")]
    assert cuts["f"] == b"<e:f/>"
    assert cuts["a"] == WHOLE[WHOLE.index(b"<e:a") :]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_text_names_and_attributes(encoding: str) -> None:
    document = parse(WHOLE.decode().encode(encoding))
    found = document.root.first("{urn:s}d")
    assert found is not None
    assert found.text == "tä</s:d>\n"
    assert found.attributes == {"k": "\nv"}
    assert document.bytes_of(found).startswith(b"<s:d  xmlns:s=")


@pytest.mark.parametrize(
    ("body", "cut"),
    [
        (b'<a xmlns:p="u:p"><p:b/></a>', b'<p:b xmlns:p="u:p"/>'),
        (b'<a xmlns="u:a" xmlns:p="u:p"><b><p:c/></b></a>', None),
        (b'<a xmlns:p="u:a&amp;"><p:b p:x="y"></p:b></a>', None),
        (b'<p:a xmlns:p="u:a"><p:b xmlns:p="u:b"><p:c/></p:b></p:a>', b""),
        (b'<a xmlns:q="u:q"><b>\n</b></a>', b"<b>\n</b>"),
    ],
)
def test_a_cut_has_the_declarations_that_it_needs(body: bytes, cut: bytes | None) -> None:
    document = parse(body)
    child = document.root.children[0]
    got = document.bytes_of(child)
    assert [one.name for one in parse(got).root.all()] == [one.name for one in child.all()]
    if cut is not None:
        assert got == (cut or body[child.start : child.end])


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b'<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>', "DOCTYPE"),
        (b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>', "DOCTYPE"),
        (b"<a>&x;</a>", "undefined entity"),
        (b"<a>" * (DEEPEST + 1) + b"</a>" * (DEEPEST + 1), "deep"),
        (b"<a>" + b"<b/>" * MOST + b"</a>", "elements"),
        (b"<a>" + b'<b x=""/>' * (MOST // 2) + b"</a>", "elements"),
        (b"<a " + b" ".join(b'xmlns:p%d="u"' % n for n in range(MOST)) + b"/>", "elements"),
        (b"<p:a/>", "prefix"),
        (b"<a/><b/>", "junk"),
        (b"", "no element"),
        (b"<a>\xff</a>", "not XML"),
        (b"\xff\xfe<", "encoding"),
        (b'<a x="1" x="2"/>', "duplicate"),
    ],
)
def test_refused(body: bytes, why: str) -> None:
    with pytest.raises(NotXml, match=why):
        parse(body)


def test_the_limits_themselves_are_allowed() -> None:
    parse(b"<a>" * DEEPEST + b"</a>" * DEEPEST)
    parse(b"<a>" + b"<b/>" * (MOST - 1) + b"</a>")


def test_no_repr_shows_the_content() -> None:
    document = parse(b'<a k="secret">secret</a>')
    assert "secret" not in repr(document)


def test_declarations_do_not_multiply() -> None:
    """Each element inside would otherwise have a copy of the namespaces around it."""
    names = b" ".join(b'xmlns:n%d="u:%d"' % (n, n) for n in range(8_000))
    body = b"<a " + names + b">" + b'<b xmlns="u"/>' * 5_000 + b"</a>"
    tracemalloc.start()
    try:
        parse(body)
        assert tracemalloc.get_traced_memory()[1] < 30_000_000
    finally:
        tracemalloc.stop()

"""Unencodable characters are replaced by ASCII."""

from __future__ import annotations

import io

import pytest

from nbauth.core.output import OutputGone, fitting, write


def stream(encoding: str) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(), encoding)


@pytest.mark.parametrize(
    ("encoding", "written"),
    [
        ("utf-8", "→ Zoë – … • ’"),
        ("ascii", "-> Zo\\xeb - ... * '"),
        ("latin-1", "-> Zoë - ... * '"),
        ("cp1252", "-> Zoë – … • ’"),
        ("cp437", "-> Zoë - ... * '"),
        ("utf-16", "→ Zoë – … • ’"),
    ],
)
def test_text_is_adapted_to_the_stream(encoding: str, written: str) -> None:
    out = stream(encoding)
    write("→ Zoë – … • ’", stream=out)
    out.flush()
    assert out.buffer.getvalue().decode(encoding) == f"{written}\n"  # type: ignore[attr-defined]


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
@pytest.mark.parametrize(
    "sign", ["\x00", "\a", "\b", "\r", "\x1b", "\x7f", "\x9b", "\u202e", "\u202a"]
)
def test_characters_that_a_terminal_obeys_are_written_out(sign: str, encoding: str) -> None:
    out = stream(encoding)
    write(f"a{sign}b\tc\nd", stream=out)
    out.flush()
    escaped = ascii(sign)[1:-1]
    assert out.buffer.getvalue().decode() == f"a{escaped}b\tc\nd\n"  # type: ignore[attr-defined]


def test_a_stream_without_encoding_is_treated_as_utf_8_and_with_an_invalid_one_as_ascii() -> None:
    class Odd:
        encoding: object = None

    assert fitting("→ Zoë", Odd()) == "→ Zoë"
    Odd.encoding = "no such encoding"
    assert fitting("→ Zoë", Odd()) == "\\u2192 Zo\\xeb"
    Odd.encoding = 5
    assert fitting("→ Zoë", Odd()) == "\\u2192 Zo\\xeb"
    assert fitting("\ud800", stream("utf-8")) == "\\ud800"


def test_a_closed_stream_and_a_full_disk_raise_the_same_error() -> None:
    closed = stream("utf-8")
    closed.close()
    with pytest.raises(OutputGone):
        write("x", stream=closed)

    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(28, "No space left on device")

    with pytest.raises(OutputGone):
        write("x", stream=Full())

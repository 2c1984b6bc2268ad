"""What a provider says of a person is shown whole, and nothing of it is obeyed."""

from __future__ import annotations

import re
import unicodedata

import pytest

from nbauth.core.text import as_sentences, plain

WHOLE = {
    "a long name": "Wolfeschlegelsteinhausenbergerdorff " * 6 + "Senior",
    "Hebrew": "עדה לאבלייס",
    "Arabic": "عَبْد الرَّحْمٰن",
    "Persian with ZWNJ": "علی\u200cرضا",
    "Sinhala with ZWJ": "ශ\u0dca\u200dරී",
    "Hindi with ZWNJ": "शक\u094d\u200cति",
    "Japanese with a variant": "葛\U000e0100城",
    "Mongolian with a variant": "ᠠ\u180bᠪ",
    "accents apart": "A\u0300nne\u0301",
    "woman technologist": "\U0001f469\u200d\U0001f4bb Ada",
    "family": "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466",
    "heart on fire": "\u2764\ufe0f\u200d\U0001f525",
    "skin tone": "\U0001f469\U0001f3fd\u200d\U0001f680 Mae",
    "rainbow flag": "\U0001f3f3\ufe0f\u200d\U0001f308",
    "flag of England": "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
    "flag of France": "\U0001f1eb\U0001f1f7",
    "keycap": "1\ufe0f\u20e3",
    "heart": "\u2764\ufe0f",
}


@pytest.mark.parametrize("name", WHOLE.values(), ids=WHOLE.keys())
def test_names_stay_whole(name: str) -> None:
    assert plain(name) == name


INVISIBLE = [
    chr(number)
    for start, end in [
        (0x00, 0x1F), (0x7F, 0x9F), (0xAD, 0xAD), (0x34F, 0x34F), (0x61C, 0x61C), (0x115F, 0x1160),
        (0x17B4, 0x17B5), (0x180B, 0x180F), (0x200B, 0x200F), (0x2028, 0x202E), (0x2060, 0x206F),
        (0x2800, 0x2800), (0x3164, 0x3164), (0xFE00, 0xFE0F), (0xFEFF, 0xFEFF), (0xFFA0, 0xFFA0),
        (0xFFF9, 0xFFFB), (0xE0001, 0xE0001), (0xE0020, 0xE007F), (0xE0100, 0xE01EF),
    ]
    for number in range(start, end + 1)
]  # fmt: skip
NEIGHBOURS = {
    "Latin letters": ("a", "b"),
    "Hebrew letters": ("א", "ב"),
    "digits": ("1", "2"),
    "an emoji and a letter": ("\U0001f469", "b"),
    "a letter and an emoji": ("a", "\U0001f469"),
    "blanks": ("a ", " b"),
    "two emoji that turn round": ("\U0001f469\u202e", "\u200d\U0001f4bb"),
}


@pytest.mark.parametrize(("before", "after"), NEIGHBOURS.values(), ids=NEIGHBOURS.keys())
def test_nothing_invisible_passes_elsewhere(before: str, after: str) -> None:
    for character in INVISIBLE:
        shown = plain(f"{before}{character}{after}")
        hidden = shown.replace("\U0001f469\ufe0f", "") if character == "\ufe0f" else shown
        assert not set(hidden) & set(INVISIBLE), f"U+{ord(character):04X}: {shown!r}"
        assert " " in shown or character == "\ufe0f"


def test_joiners_do_not_pass_alone_or_in_rows() -> None:
    assert plain("\U0001f469\u200d\u200d\U0001f4bb") == "\U0001f469 \U0001f4bb"
    assert plain("\U0001f469\u200d") == "\U0001f469"
    assert plain("علی\u200c") == "علی"
    assert plain("a\u0dca\u200d\u200db") == "a\u0dca\u200d b"
    assert plain("\U0001f3f4\U000e0067\U000e0062 x") == "\U0001f3f4  x"


def test_what_is_cut_ends_with_a_whole_character() -> None:
    for filling in range(290, 301):
        for mark in ("\U0001f469\u200d\U0001f4bb", "e\u0301\u0302", "\u2764\ufe0f\u200d\U0001f525"):
            shown = plain("x" * filling + mark + "y" * 50)
            assert len(shown) <= 301
            assert shown.endswith("…")
            rest = shown.lstrip("x").rstrip("…").rstrip("y")
            assert rest in ("", mark), ascii(rest)
    assert len(plain("e" + "\u0301" * 400)) <= 301


def test_every_assigned_letter_and_symbol_passes() -> None:
    odd = re.compile("[\u115f\u1160\u2800\u3164\uffa0]")
    letters = [
        letter
        for letter in map(chr, range(0x21, 0x30000))
        if unicodedata.category(letter)[0] in "LNPS" and not odd.match(letter)
    ]
    for start in range(0, len(letters), 200):
        text = "".join(letters[start : start + 200])
        assert plain(text) == text


def test_sentences_have_one_stop_each() -> None:
    assert as_sentences("Sign-in failed", "The provider refused.", "", "Why? ", "Ask!") == (
        "Sign-in failed. The provider refused. Why? Ask!"
    )
    assert as_sentences("A", "B.", "C…", "D?") == "A. B. C… D?"

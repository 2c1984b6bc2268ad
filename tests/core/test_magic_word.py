"""A word of advice is read back as it was meant: ``tests/jupyter/test_magic_line.py`` reads it."""

from __future__ import annotations

import pytest

from nbauth.core.magic_word import as_word


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("ada@contoso.com", "ada@contoso.com"),
        ("o'brien@contoso.com", "o'brien@contoso.com"),
        ("Conan O'Brien", '"Conan O\'Brien"'),
        ("$5", r'"\$5"'),
        ("--force", '"--force"'),
        ("", '""'),
        ("a{b}", r'"a\{b\}"'),
        ('say "hi"', r'"say \"hi\""'),
        ("who?", '"who?"'),
        ("CONTOSO\\ada", r'"CONTOSO\\ada"'),
        ("山田", "山田"),
    ],
)
def test_it_is_quoted_where_it_has_to_be(text: str, word: str) -> None:
    assert as_word(text) == word

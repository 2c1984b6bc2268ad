"""Line numbers of keys, compared with the result of ``tomllib``."""

from __future__ import annotations

import random
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest

from nbauth.core.toml_lines import keys_of, lines_of, nearest, twice

TEXT = r'''# comment with = and [brackets]
profile = "work"
[profiles.work] # [not.a.header]
client_id = "a = b # no comment"
scopes = [
    "one", # ]
    "two = three",
]
text = """
fake = 1
[also.fake] \""" still
"""
literal = '''
TEXT += """'''
fake = 2
'''
hosts = { "api.contoso.com" = ["x"], 'b.example' = ["y"] }
[profiles."my work".hosts]
"api.example:8443" = ["z"]
a.b . c = 1
[[list]]
x = 1
[ spaced . out ]
"\\u0061\\tb" = 1
"""
LINES = [
    (("profile",), 2),
    (("profiles", "work"), 3),
    (("profiles", "work", "client_id"), 4),
    (("profiles", "work", "scopes"), 5),
    (("profiles", "work", "text"), 9),
    (("profiles", "work", "literal"), 13),
    (("profiles", "work", "hosts"), 16),
    (("profiles", "work", "hosts", "api.contoso.com"), 16),
    (("profiles", "work", "hosts", "b.example"), 16),
    (("profiles", "my work", "hosts"), 17),
    (("profiles", "my work", "hosts", "api.example:8443"), 18),
    (("profiles", "my work", "hosts", "a", "b", "c"), 19),
    (("list",), 20),
    (("list", "x"), 21),
    (("spaced", "out"), 22),
    (("spaced", "out", "a\tb"), 23),
]


def test_lines_of_gives_the_line_of_each_key() -> None:
    assert keys_of(TEXT) == LINES
    assert keys_of(TEXT.replace("\n", "\r\n")) == LINES


def test_nearest_gives_the_line_of_the_enclosing_table() -> None:
    lines = lines_of(TEXT)
    assert nearest(lines, ("profiles", "work", "hosts", "none")) == 16
    assert nearest(lines, ("profiles", "my work")) == 17
    assert nearest(lines, ("none",)) is None


def paths(table: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    if isinstance(table, list):
        for each in table:
            yield from paths(each, path)
    elif isinstance(table, dict):
        for name, value in table.items():
            yield (*path, name)
            yield from paths(value, (*path, name))


def test_all_keys_that_tomllib_finds_in_a_random_text_are_found() -> None:
    """Random texts, of which tomllib accepts one in fifty."""
    pieces = [*"abc=.,[]{}\"'#\n \t\\1", "[a]\n", "b = 1\n", '"""', "'''", " = [", "]\n", "\n"]
    chance, taken = random.Random(8), 0
    for _ in range(20_000):
        text = "".join(chance.choices(pieces, k=chance.randrange(24)))
        found = keys_of(text)  # returns without an exception
        try:
            table = tomllib.loads(text)
        except ValueError:
            continue
        taken += bool(table)
        told = {key[:end] for key, _ in found for end in range(1, len(key) + 1)}
        assert set(paths(table)) == told, text
    assert taken > 150


@pytest.mark.parametrize("text", ["[" * 100_000, "a = " + "[" * 100_000, "a = " + "{b=" * 50_000])
def test_deep_nesting_is_scanned_in_limited_time(text: str) -> None:
    lines_of(text)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a = 1\nb = 2\na = 3", (("a",), 1, 3)),
        ("[a]\nb = 1\n[c]\n[a]", (("a",), 1, 4)),
        ("[a]\nhosts = {x = 1}\n[a.hosts]\n", (("a", "hosts"), 2, 3)),
        ("a.b = 1\na = 2", (("a",), 1, 2)),
        ("a = {b = 1, b = 2}", (("a", "b"), 1, 1)),
        ("a = 1\n[b]\na = 1", None),
    ],
)
def test_twice_finds_a_key_that_is_set_twice(text: str, found: object) -> None:
    assert twice(text) == found

"""Formatting and parsing of ``CallbackState``."""

from __future__ import annotations

import secrets

import pytest

from nbauth.core.callback_state import CallbackState

SECRET = "s" * 43
KERNEL = "0f8fad5b-d9cb-469f-a165-70867728950e"
NAMES = [
    "",
    "gpu",
    "my.server-2",
    "a.b.c",
    "..x",
    "jörg müller",
    "机器",
    "100 %",
    "a+b=c&d",
    "x" * 255,
]


@pytest.mark.parametrize("name", NAMES)
def test_a_formatted_state_parses_to_the_same_state(name: str) -> None:
    state = CallbackState(name, KERNEL, secrets.token_urlsafe(32))
    text = str(state)
    assert CallbackState.parse(text) == state
    assert text.isascii()
    assert text.replace(".", "").replace("-", "").replace("_", "").isalnum()


@pytest.mark.parametrize("name", ["../bob", "a/b", "a\\b", ".", "..", "a\nb", "\x00", "\u202e"])
def test_a_server_name_with_path_parts_or_unprintable_characters_is_rejected(name: str) -> None:
    with pytest.raises(ValueError):
        CallbackState(name, KERNEL, SECRET)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "..",
        f"{KERNEL}.{SECRET}",
        f".{KERNEL}.",
        f".{KERNEL}.{SECRET[1:]}",
        f".{KERNEL}.{SECRET}s",
        f".{KERNEL}.{SECRET}\n",
        f" .{KERNEL}.{SECRET}",
        f"..{KERNEL}.{SECRET}",
        f"a.b.{KERNEL}.{SECRET}",
        f"../bob.{KERNEL}.{SECRET}",
        f".../{KERNEL}.{SECRET}",
        f".{KERNEL}/../x.{SECRET}",
        f".{'k' * 101}.{SECRET}",
        f"..{SECRET}",
        f".k\u00e4.{SECRET}",
        f"Z3B1=.{KERNEL}.{SECRET}",  # padded
        f"Z3B.{KERNEL}.{SECRET}",  # another encoding of "gp"
        f"Z.{KERNEL}.{SECRET}",  # not base64
        f"_w.{KERNEL}.{SECRET}",  # not UTF-8
        f"Li4vYm9i.{KERNEL}.{SECRET}",  # ../bob
        f"YQBi.{KERNEL}.{SECRET}",  # a NUL
    ],
)
def test_other_text_is_rejected(text: str) -> None:
    with pytest.raises(ValueError):
        CallbackState.parse(text)


def test_repr_hides_the_secret() -> None:
    assert SECRET not in repr(CallbackState("", KERNEL, SECRET))

"""A line is split into words; expanded values are not parsed again."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from IPython.core.error import UsageError

from nbauth.core.account import Account
from nbauth.core.magic_word import as_word
from nbauth.core.secret import SecretStr
from nbauth.jupyter.expansions import Names
from nbauth.jupyter.magic_line import words_of

SIGNS = "ab1 '\"\\$`{}#;|<>&=-?,.@é山‍"
TEXTS = st.text(st.sampled_from(SIGNS), max_size=12)


def read(line: str, **names: Any) -> list[str]:
    return [word.text for word in words_of(line, Names(names, None))]


def refusal(line: str) -> str:
    try:
        read(line, a=1, b="2", d={"k": 1})
    except UsageError as error:
        return str(error)
    return ""


@settings(deadline=None)
@given(st.lists(TEXTS, max_size=4))
def test_quoted_words_are_parsed_back(texts: list[str]) -> None:
    assert read(" ".join(map(as_word, texts))) == texts


@settings(max_examples=30, deadline=None)
@given(TEXTS)
@pytest.mark.parametrize("form", ["$x", "{x}", "${x}", '"$x"', "'$x'", '"{x}"', "'{x}'", "--o=$x"])
def test_a_value_is_one_word_regardless_of_its_characters(form: str, value: str) -> None:
    assert read(f"a {form} b", x=value)[-2:] == [value, "b"]


@settings(max_examples=30, deadline=None)
@given(
    st.dictionaries(
        TEXTS, st.none() | TEXTS | st.dictionaries(TEXTS, TEXTS, max_size=2), max_size=3
    )
)
@pytest.mark.parametrize("form", ["{}", "'{}'", '"{}"', "--claims={}"])
def test_json_is_unchanged(form: str, value: dict[str, Any]) -> None:
    text = json.dumps(value, ensure_ascii=False)
    assert read(f"a {form.format(text)} b")[-2:] == [text, "b"]


@settings(deadline=None)
@given(st.text(st.sampled_from(SIGNS + "\n\t“–‮"), max_size=20))
def test_every_line_is_parsed_or_refused_with_a_message(line: str) -> None:
    assert not refusal(line) or refusal(line).endswith((".", "?"))


@pytest.mark.parametrize("sign", ["\x00", "\x1b", "\u202e", "\ud800", "\u200b"])
@pytest.mark.parametrize("word", ["{}a", "$d{}", "{}$d", "'{}'", "--o={}", "${}x", "<{}>"])
def test_a_sign_that_cannot_be_seen_is_in_no_message(word: str, sign: str) -> None:
    said = refusal(word.replace("{}", sign))
    assert said == (
        f"The line contains an invisible character, U+{ord(sign):04X}. Retype that word."
    )


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("a  b\tc", ["a", "b", "c"]),
        ("a\u00a0b", ["a", "b"]),
        ("a # b", ["a"]),
        ("a#b", ["a#b"]),
        ('a "# b"', ["a", "# b"]),
        ("a;", ["a"]),
        ("a ; # b", ["a"]),
        ("a;b", ["a;b"]),
        (r"a\ b", ["a b"]),
        (r"CONTOSO\ada", [r"CONTOSO\ada"]),
        (r"'CONTOSO\ada'", [r"CONTOSO\ada"]),
        (r'"CONTOSO\ada"', [r"CONTOSO\ada"]),
        (r"\$x \{x\}", ["$x", "{x}"]),
        ("$$x {{x}}", ["$x", "{x}"]),
        ("$5 a$ $", ["$5", "a$", "$"]),
        ("a'b'c", ["a'b'c"]),
        ("'a'b'", ["a'b"]),
        ('""', [""]),
        ("--a='b c'", ["--a", "b c"]),
        ("--a=", ["--a", ""]),
        ("--a=b=c", ["--a", "b=c"]),
        ("a=b", ["a=b"]),
        ("$x.y", ["1.y"]),
        ("x$x-{x}", ["x1-1"]),
        ("{x!r:>3} {x:03d}", ["  1", "001"]),
        ("{'}' * x}", ["}"]),
        ("{[i for i in 'ab' if x]}", ["a b"]),
        ("{d['k']} '{d['k']}' \"{d[\"k\"]}\"", ["v"] * 3),
    ],
)
def test_it_is_parsed_as_in_a_shell(line: str, words: list[str]) -> None:
    assert read(line, x=1, d={"k": "v"}) == words


@pytest.mark.parametrize("line", [r"{'\d': 1}", r"{{'\d'}", r"{'\d' 1}", r"{1 is 1}", r"{x!r:\d}"])
def test_what_is_only_tried_as_code_warns_of_nothing(
    line: str, recwarn: pytest.WarningsRecorder
) -> None:
    with contextlib.suppress(UsageError):
        read(line, x=1)
    assert [str(each.message) for each in recwarn] == []


def test_local_variables_come_before_global_ones() -> None:
    names = Names({"x": "outside", "y": "outside"}, {"x": "inside"})
    assert [word.text for word in words_of("$x $y {x + y}", names)] == [
        "inside", "outside", "insideoutside",
    ]  # fmt: skip


def test_the_value_of_a_word_is_the_account_itself() -> None:
    ada = Account("ada@example.com", "Ada", "", "1", "https://id.example")
    (word,) = words_of("'$who'", Names({"who": ada}, None))
    assert word.value is ada
    assert word.text == "ada@example.com"
    assert read("$who.name", who=ada) == ["Ada"]


@pytest.mark.parametrize("line", ["$x", "{x}", "{x!s}", "{x:>40}", "a$x", "{[x]}", "$y", "{1/x}"])
def test_no_message_contains_a_secret(line: str) -> None:
    secret = SecretStr("hunter2-hunter2")
    with pytest.raises(UsageError) as caught:
        read(line, x=secret, y={"k": secret, "o": object()})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("line", ["$held", "x-{held}", "{held!r}", "{held:>9}", "'$held'"])
@pytest.mark.parametrize("wrap", [dict, lambda pairs: [dict(pairs)], lambda pairs: {"a": [pairs]}])
def test_a_secret_inside_a_value_is_refused_too(line: str, wrap: Any) -> None:
    held = wrap({"Authorization": SecretStr("Bearer hunter2-hunter2")})
    with pytest.raises(UsageError, match="is a secret") as caught:
        read(line, held=held)
    assert "hunter2" not in str(caught.value)

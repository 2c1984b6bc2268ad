"""What is one secret, what is none, and that nothing else changes."""

from __future__ import annotations

import base64
import hashlib
import json
import random
import uuid
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from nbauth.scanning.scan import REMOVED, clean, scan
from tests.scanning.planted import (
    SECRETS,
    code,
    display,
    error,
    json_web_token,
    notebook,
    some,
    stream,
)

ROOT = Path(__file__).parents[2]
TOKEN = json_web_token()
HALVES = TOKEN[:50], TOKEN[50:]
LONG = "1." + "AX" + some(60) + ".AgABAAEAAAD" + some(200)


def found_in(document: Any, **form: Any) -> list[str]:
    return [f"{each.place}: {each.kind}" for each in scan(json.dumps(document, **form))]


def cleaned(document: Any) -> Any:
    text, _ = clean(json.dumps(document))
    assert scan(text) == []
    return json.loads(text)


# ── divided secrets ─────────────────────────────────────────────────────────────────────────


def test_a_secret_over_two_outputs_of_one_stream() -> None:
    other = stream("between", "stderr")
    document = notebook(code("", stream(["é ", HALVES[0]]), other, stream(HALVES[1] + "\n")))
    assert found_in(document) == ["cell 1, output 1, stdout: JSON Web Token"]
    outputs = cleaned(document)["cells"][0]["outputs"]
    assert [output["text"] for output in outputs] == [["é ", REMOVED], "between", "\n"]


def test_two_streams_and_two_cells_are_not_joined() -> None:
    document = notebook(
        code("", stream(HALVES[0]), stream(HALVES[1], "stderr")), code("", stream(HALVES[1]))
    )
    assert found_in(document) == []


def test_a_secret_over_two_items_of_a_list() -> None:
    document = notebook(code(["a = '", HALVES[0], HALVES[1], "'\n"]))
    assert cleaned(document)["cells"][0]["source"] == ["a = '", REMOVED, "", "'\n"]


@pytest.mark.parametrize(
    "divided",
    ["{}\n{}", "{}\r\n{}", "{}\\\n{}", '("{}"\n    "{}")', "'{}' \\\n  '{}'", "b'{}'\n b'{}'"],
)
def test_a_secret_over_two_lines(divided: str) -> None:
    text = "x = " + divided.format(*HALVES) + "\nend"
    for source in (text, text.splitlines(keepends=True)):
        document = notebook(code(source))
        assert found_in(document) == ["cell 1, source: JSON Web Token"]
        left = "".join(cleaned(document)["cells"][0]["source"])
        assert left == "x = " + divided.format(REMOVED, "") + "\nend"


def test_escape_sequences_inside_a_secret_stay() -> None:
    document = notebook(code("", error(f"\x1b[31m{HALVES[0]}\x1b[0;1m{HALVES[1]}\x1b[0m")))
    assert found_in(document) == ["cell 1, output 1, error: JSON Web Token"]
    traceback = cleaned(document)["cells"][0]["outputs"][0]["traceback"]
    assert traceback == [f"\x1b[31m{REMOVED}\x1b[0;1m\x1b[0m"]


def test_a_member_with_the_name_of_a_secret_needs_no_form() -> None:
    value = f"q7{some(30)}8"
    data = {"outer": {"refresh_token": value, "title": value}}
    document = notebook(code("", display(application__json=data)))
    assert len(found_in(document)) == 1
    left = cleaned(document)["cells"][0]["outputs"][0]["data"]["application/json"]
    assert left == {"outer": {"refresh_token": REMOVED, "title": value}}


def test_a_secret_that_is_a_name_is_removed_and_never_shown() -> None:
    document = notebook(**{TOKEN: {"a": LONG}})
    text = json.dumps(document)
    assert len(scan(text)) == 2
    assert all(TOKEN[5:40] not in each.line() for each in scan(text))
    assert scan(clean(text)[0]) == []


def test_json_within_json_within_json() -> None:
    value = f"q7{some(30)}8"
    inner = json.dumps({"a": json.dumps({"b": json.dumps({"access_token": value})})})
    assert value not in clean(json.dumps(notebook(code("", stream(inner)))))[0]


@pytest.mark.parametrize("broken", ["<<<<<<< ours\n", "{", '{"cells": [', "[" * 20_000, ""])
def test_a_broken_notebook_is_scanned_as_a_text(broken: str) -> None:
    text = broken + f'"a = {TOKEN}\\n",\n'
    assert [each.kind for each in scan(text)] == ["JSON Web Token"]
    assert clean(text)[0] == text.replace(TOKEN, REMOVED)


def test_escapes_before_a_secret_do_not_move_it() -> None:
    text = r'{"a": "\ud83d\ude00 \ud83d \n\"\u00e9\/' + TOKEN + r'\ud83d\ude00\t", "b": 1.50}'
    assert clean(text)[0] == text.replace(TOKEN, REMOVED)


# ── no secrets ──────────────────────────────────────────────────────────────────────────────

_noise = random.Random(5)
PICTURE = base64.b64encode(b"\x89PNG\r\n\x1a\n" + _noise.randbytes(300_000)).decode()
NOT_SECRET = {
    "picture": PICTURE,
    "picture with line breaks": base64.encodebytes(_noise.randbytes(90_000)).decode(),
    "data address": f'<img src="data:image/png;base64,{PICTURE[:9000]}">',
    "source map": "//# sourceMappingURL=data:application/json;base64,"
    + base64.b64encode(b'{"version":3,"sources":["a.js"],"names":[]}').decode(),
    "hashes": "\n".join(hashlib.sha512(bytes([n])).hexdigest() for n in range(50)),
    "base64 hashes": " ".join(
        "sha512-" + base64.b64encode(hashlib.sha512(bytes([n])).digest()).decode()
        for n in range(50)
    ),
    "identifiers": "\n".join(str(uuid.UUID(int=_noise.getrandbits(128))) for _ in range(50)),
    "path": "/home/ada/" + "/".join(["a-long_folder.name-2026"] * 20) + "/eyJ.txt",
    "javascript": "e.access_token=t.accessToken;n.clientSecret=r.config.clientSecret2024a1;"
    "const refreshToken=getRefreshToken(a1,b2);f({client_secret:i.credentials.secretValue1});"
    'h.Authorization="Bearer "+o.accessToken2.value9',
    "python": "client_secret=os.environ['AZURE_CLIENT_SECRET_2'], refresh_token=self.refresh_1",
    "format": "f'Bearer {token}' 'Bearer %s' 'Basic ' + encoded, Bearer realm=\"x\"",
    "jwt header alone": TOKEN.split(".")[0],
    "jwt without a signature": ".".join(TOKEN.split(".")[:2]),
    "prose": "A bearer authentication-scheme-2-of-3 is basic authentication knowledge.",
}
EXAMPLES = [
    "Authorization: Bearer <token>",
    "Authorization: Bearer eyJ...",
    "Authorization: Bearer eyJhbGciOiJSUzI1NiJ9.eyJ...",
    "Authorization: Bearer ••••••••",
    "Authorization: Bearer xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx1a",
    "access_token=YOUR_ACCESS_TOKEN_1_GOES_HERE_2",
    '{"access_token": "2YotnFZFEjr1zCsicMWpAA", "refresh_token": "tGzv3JOkF0XG5Qx2TlKWIA"}',
    "client_secret = 'your-client-secret-1234567890'",
    "client_secret = '********************'",
    "ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
    "ghp_1234567890abcdefghijklmnopqrstuvwxyz",
    "AKIAIOSFODNN7EXAMPLE wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "-----BEGIN PRIVATE KEY-----\n...\n-----END PRIVATE KEY-----",
    "-----BEGIN PUBLIC KEY-----\n" + some(64) + "\n-----END PUBLIC KEY-----",
    "https://a/?sig=REDACTED&token=…",
    f"token: {REMOVED}",
]


@pytest.mark.parametrize("name", NOT_SECRET)
def test_this_is_no_secret(name: str) -> None:
    text = NOT_SECRET[name]
    document = notebook(
        code(text, stream(text), display(text__html=text, image__png=text)),
        widgets={"x": {"state": {"m": {"state": {"_esm": text}}}}},
    )
    assert found_in(document) == []
    assert scan(text) == []


@pytest.mark.parametrize("text", EXAMPLES)
def test_an_example_is_no_secret(text: str) -> None:
    assert scan(text) == []
    assert found_in(notebook(code(text))) == []


def test_a_marked_line_is_not_reported() -> None:
    source = f"a = '{TOKEN}'  # nbauth: allow\nb = '{LONG}'\n"
    assert found_in(notebook(code(source))) == ["cell 1, source: Entra refresh token or code"]
    assert clean(source)[0] == source.replace(LONG, REMOVED)
    assert len(scan(f"'{TOKEN}'\n# nbauth: allow")) == 1


def test_nothing_in_this_repository_is_a_secret() -> None:
    folders = ("nbauth", "docs", "notebooks", "tests", "benchmarks", "binder", "tools")
    files = [path for path in ROOT.iterdir() if path.is_file()]
    files += [path for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file()]
    looked = [path for path in files if not {"node_modules", "__pycache__"} & {*path.parts}]
    assert len(looked) > 300
    found = [
        f"{path.relative_to(ROOT)}: {each.line()}"
        for path in looked
        if b"\0" not in (data := path.read_bytes())
        for each in scan(data.decode("utf-8", "surrogateescape"))
    ]
    assert found == []


# ── any notebook ────────────────────────────────────────────────────────────────────────────

WORDS = st.text(st.characters(codec="utf-16", exclude_categories=["Cs"]), max_size=30)
LINES = st.lists(WORDS.map(lambda text: text + "\n"), max_size=4)
TEXTS = WORDS | LINES
VALUES = st.recursive(
    WORDS | st.integers() | st.booleans() | st.none() | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=4,
)
OUTPUTS = (
    st.builds(stream, TEXTS, st.sampled_from(["stdout", "stderr"]))
    | st.builds(lambda html, data: display(text__html=html, application__json=data), TEXTS, VALUES)
    | st.builds(error, WORDS, WORDS)
)
NOTEBOOKS = st.builds(
    lambda cells, metadata: notebook(*cells, m=metadata),
    st.lists(
        st.builds(
            lambda source, outputs: code(source, *outputs), TEXTS, st.lists(OUTPUTS, max_size=3)
        ),
        max_size=3,
    ),
    VALUES,
)
NAMES = st.sampled_from([
    "nbformat", "cells", "worksheets", "source", "input", "outputs", "output_type", "name", "text",
    "data", "text/html", "application/json", "traceback", "metadata", "widgets", "state",
    "attachments", "access_token", "stream",
])  # fmt: skip
ODD = st.recursive(
    st.sampled_from([TOKEN, LONG, "stream", "", HALVES[0], HALVES[1]]) | st.integers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)
WRITTEN = st.fixed_dictionaries(
    {
        "indent": st.sampled_from([None, 0, 1, 2, "\t"]),
        "ensure_ascii": st.booleans(),
        "sort_keys": st.booleans(),
    }
)


@settings(max_examples=25, deadline=None)
@given(document=NOTEBOOKS, form=WRITTEN)
def test_a_notebook_without_secrets_is_not_changed(document: Any, form: dict[str, Any]) -> None:
    text = json.dumps(document, **form) + "\n"
    assert clean(text) == (text, [])


@settings(max_examples=25, deadline=None)
@given(
    document=NOTEBOOKS,
    form=WRITTEN,
    planted=st.lists(st.sampled_from(sorted(SECRETS)), min_size=1, max_size=3, unique=True),
    before=WORDS,
    after=WORDS,
)
def test_only_planted_secrets_are_changed(
    document: Any, form: dict[str, Any], planted: list[str], before: str, after: str
) -> None:
    expected = json.loads(json.dumps(document))
    for name in planted:
        _, text, secret = SECRETS[name]
        for target, value in ((document, text), (expected, text.replace(secret, REMOVED))):
            target["cells"].append(code(f"{before}\n {value}\n{after}"))
    text, found = clean(json.dumps(document, **form))
    assert len(found) == len(planted)
    assert text == json.dumps(expected, **form)


@settings(max_examples=80, deadline=None)
@given(cells=st.lists(ODD, max_size=3), more=st.dictionaries(NAMES, ODD, max_size=3))
def test_a_notebook_of_any_structure_is_cleaned(cells: Any, more: dict[str, Any]) -> None:
    members = [("cells", cells), *more.items(), ("nbformat", 4)]  # with some names twice
    text = "{" + ", ".join(f"{json.dumps(name)}: {json.dumps(it)}" for name, it in members) + "}"
    cleaned_text = clean(text)[0]
    assert TOKEN not in cleaned_text
    assert LONG not in cleaned_text
    assert scan(cleaned_text) == []
    json.loads(cleaned_text)


@pytest.mark.parametrize("items", [["stream", LONG], [LONG, "x"], ["a", TOKEN, "b", LONG]])
def test_items_that_meet_inside_a_line_are_searched_one_by_one_too(items: list[str]) -> None:
    for document in (notebook(code(items)), notebook(attachments={"x": items})):
        cleaned_text, found = clean(json.dumps(document))
        assert len(found) == sum(item in (TOKEN, LONG) for item in items)
        assert TOKEN not in cleaned_text
        assert LONG not in cleaned_text


def test_names_of_members_are_shown_short() -> None:
    document = notebook(**{"long" * 500: {"a": TOKEN}})
    (found,) = scan(json.dumps(document))
    assert len(found.line()) < 160

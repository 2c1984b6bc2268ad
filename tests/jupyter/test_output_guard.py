"""The output guard without a kernel: written forms, the search, and secrets split over messages."""

from __future__ import annotations

import base64
import functools
import html
import itertools
import json
import textwrap
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote, quote_plus
from xml.sax.saxutils import quoteattr

import markupsafe
import pytest
from hypothesis import given
from hypothesis import strategies as st
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from jinja2.utils import htmlsafe_json_dumps
from traitlets.config import Config

from nbauth.core.secret import MASK
from nbauth.jupyter.guard import Guard
from nbauth.jupyter.secret_search import FEW, Needles, Search
from nbauth.jupyter.split_output import HELD_FROM, Beginnings, SplitOutput
from nbauth.testing.canary import find, make_canary

NO_HISTORY = Config(HistoryManager={"enabled": False})
HEADER = "eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiJ9"


def make_jwt(number: int, size: int = 900) -> str:
    """A text as a provider issues it; the beginnings of all are alike."""
    body = bytes((number * 7 + at * at * 31 + at) % 256 for at in range(size))
    return f"{HEADER}.{base64.urlsafe_b64encode(body).decode().rstrip('=')}.signature-{number:020}"


JWT = make_jwt(1)
OPAQUE = "0.AXoA-5_k~Zq.8Qw2/x+9=y3Rt"
MARKED = "a<b>c&d\"e'f/g 0123456789"
CANARY = make_canary()
SECRETS = [JWT, OPAQUE, CANARY, MARKED]


def guard_of(*secrets: str, redacts: bool = True) -> Guard:
    texts = dict.fromkeys(secrets, 0.0)
    session: Any = SimpleNamespace(
        issued=SimpleNamespace(texts=texts), reader=SimpleNamespace(redacts=lambda: redacts)
    )
    return Guard(lambda: session)


def packed(content: object) -> bytes:
    return json.dumps({"text": content}, ensure_ascii=False).encode()


def encoded(secret: str, before: str = "") -> str:
    return base64.b64encode((before + secret).encode()).decode()


WRITTEN = {
    "raw": str,
    "header": lambda s: f"Authorization: Bearer {s}\n",
    "quoted": lambda s: quote(s, safe=""),
    "quoted path": quote,
    "quoted form": quote_plus,
    "json": json.dumps,
    "json of unicode": lambda s: json.dumps(s, ensure_ascii=False),
    "json twice": lambda s: json.dumps(json.dumps(s)),
    "json with escaped slashes": lambda s: json.dumps(s).replace("/", "\\/"),
    "repr": repr,
    "ascii": ascii,
    "dict": lambda s: str({"Authorization": f"Bearer {s}"}),
    "bytes": lambda s: str(s.encode()),
    "html": html.escape,
    "attribute of xml": quoteattr,
    "markup": lambda s: str(markupsafe.escape(s)),
    "json in a page": lambda s: str(htmlsafe_json_dumps(s)),
    **{f"base64 at {n}": lambda s, n=n: encoded(s, "x" * n) for n in range(3)},
    **{
        f"urlsafe at {n}": lambda s, n=n: base64.urlsafe_b64encode(b"x" * n + s.encode()).decode()
        for n in range(3)
    },
    "basic": lambda s: f"Basic {encoded(s, 'client:')}",
    **{
        f"base64 in lines at {n}": lambda s, n=n: base64.encodebytes(b"x" * n + s.encode()).decode()
        for n in range(57)
    },
    "repr of base64 in lines": lambda s: repr(base64.encodebytes(s.encode())),
    "mime": lambda s: "\r\n".join(textwrap.wrap(encoded(s, "x"), 76)),
}


@functools.cache
def guards_with(secret: str) -> list[Guard]:
    """The secret alone, among long ones, and among many short ones."""
    long, short = [make_jwt(n) for n in range(2, 14)], [f"opaque{n:030}" for n in range(FEW)]
    return [guard_of(secret), guard_of(*long, secret), guard_of(*short, secret)]


@pytest.mark.parametrize("secret", SECRETS, ids=["jwt", "opaque", "canary", "marked"])
@pytest.mark.parametrize("form", WRITTEN)
def test_each_written_form_is_masked(form: str, secret: str) -> None:
    text = WRITTEN[form](secret)
    for guard in guards_with(secret):
        for before in (0, 1, 7, 100, 1003):
            shown = json.loads(guard.mask(packed("." * before + text + "\n" + "." * before)))
            assert MASK in shown["text"]
            assert shown["text"].startswith("." * before)
            assert shown["text"].endswith("." * before)
            plain = shown["text"].replace("\n", "")
            assert secret not in plain
            assert not find(secret, packed(plain))


def test_a_token_in_the_colours_of_a_traceback_is_masked() -> None:
    shown = guard_of(JWT).mask(packed(f"{JWT[:9]}\x1b[39m{JWT[9:]}"))
    assert shown == packed(MASK)


@pytest.mark.parametrize("secret", [JWT, make_jwt(2, 100), "0.AXoA-5_k~Zq.8Qw2/x+9=y3Rt" * 2])
@pytest.mark.parametrize("detail_level", [0, 1])
def test_what_ipython_shows_of_a_variable_is_masked(secret: str, detail_level: int) -> None:
    """``name?`` and ``%whos`` show both ends of a long text, so the whole of it is not there."""
    shell = InteractiveShell(config=NO_HISTORY)
    shell.user_ns["held"] = type("Held", (), {"__str__": lambda _: secret})()
    with capture_output() as captured:
        shell.run_line_magic("whos", "")
    inspected = shell.object_inspect_mime("held", detail_level)
    for shown in (captured.stdout, inspected):
        assert secret[:20] in json.dumps(shown)
        masked = guard_of(secret, OPAQUE).mask(packed(shown)).decode()
        assert secret[:20] not in masked
        assert secret[-20:] not in masked
        assert "Held" in json.dumps(json.loads(masked))


@pytest.mark.parametrize("indent", ["", " ", "        "])
def test_a_long_token_in_indented_lines_is_masked(indent: str) -> None:
    text = textwrap.indent(textwrap.fill(JWT, 70), indent)
    assert guard_of(JWT).mask(packed(text)) == packed(indent + MASK)


@pytest.mark.parametrize("secret", SECRETS, ids=["jwt", "opaque", "canary", "marked"])
def test_a_buffer_keeps_its_length(secret: str) -> None:
    data = b"\x00\x01" + secret.encode() + b"\xff" * 9
    masked = guard_of(secret).mask_buffer(data)
    assert len(masked) == len(data)
    assert masked == b"\x00\x01" + b"*" * len(secret.encode()) + b"\xff" * 9


def test_another_packer_keeps_the_length_too() -> None:
    data = b"\x81\xa4text\xda\x05\x00" + JWT.encode()  # msgpack
    assert len(guard_of(JWT).mask(data)) == len(data)


def test_other_text_is_the_same_object() -> None:
    guard = guard_of(*SECRETS)
    for text in ("", "nothing", JWT[:-1], JWT[1:], make_jwt(2), HEADER * 50, CANARY[:-1]):
        data = packed(text)
        assert guard.mask(data) is data


def test_with_redact_false_nothing_is_masked() -> None:
    guard = guard_of(*SECRETS, redacts=False)
    assert guard.mask(packed(JWT)) == packed(JWT)
    assert not guard.on


def test_without_a_session_nothing_is_masked() -> None:
    guard = Guard(lambda: None)
    assert guard.mask(packed(JWT)) == packed(JWT)
    assert guard.beginnings is None
    assert not guard.on


def test_a_new_secret_is_masked_from_its_first_message() -> None:
    session: Any = SimpleNamespace(
        issued=SimpleNamespace(texts={JWT: 0.0}), reader=SimpleNamespace(redacts=lambda: True)
    )
    guard = Guard(lambda: session)
    assert guard.mask(packed(OPAQUE)) == packed(OPAQUE)
    session.issued.texts = {JWT: 0.0, OPAQUE: 0.0}
    assert guard.mask(packed(OPAQUE)) == packed(MASK)
    session.issued.texts = {}
    assert guard.mask(packed(JWT)) == packed(JWT)


LONG_ONES = [JWT, make_jwt(2, 200), make_jwt(3, 170)]


@given(st.integers(0, 600), st.sampled_from(["", "\n"]), st.sampled_from(LONG_ONES))
def test_a_long_secret_is_found_at_every_position(before: int, gap: str, secret: str) -> None:
    text = "." * before + secret + gap + "." * 300
    data = packed(text)
    assert Search([Needles.of(secret)]).masked(data, lambda _: b"*") == packed(
        text.replace(secret, "*")
    )


@given(
    st.text(alphabet='nrtu"\\/a0\n', min_size=16, max_size=18),
    st.integers(0, 2),
    st.integers(0, 2),
    st.sampled_from(["", "\n", "\\", '"', "\t", "u00"]),
    st.sampled_from(["", "\n", "\\", '"', "\t"]),
)
def test_a_masked_message_is_still_json(
    secret: str, first: int, last: int, before: str, after: str
) -> None:
    text = before + secret[first : len(secret) - last] + after
    shown = json.loads(guard_of(secret).mask(packed(text)))["text"]
    assert secret not in shown
    assert shown == text or MASK in shown


def test_a_line_break_before_the_rest_of_a_secret_is_no_part_of_it() -> None:
    secret = "newsecret-0123456789"
    for text in (f"\n{secret[1:]}", f"\\{secret[1:]}"):
        assert json.loads(guard_of(secret).mask(packed(text)))["text"] == text
    for before in ("\n", "\\", "\\\n", "n"):
        masked = guard_of(secret).mask(packed(before + secret))
        assert json.loads(masked)["text"] == before + MASK


@given(st.sets(st.integers(0, 59), max_size=5), st.sampled_from(["raw", "base64 in lines at 1"]))
def test_each_of_many_secrets_is_masked_in_one_message(which: set[int], form: str) -> None:
    many = _of_many()
    text = " and ".join(WRITTEN[form](many[number]) for number in sorted(which))
    shown = json.loads(_guard_of_many().mask(packed(text)))["text"].replace("\n", "")
    assert shown.count(MASK) == len(which)
    assert not any(find(many[number], packed(shown)) for number in which)


@functools.cache
def _of_many() -> list[str]:
    """Secrets of all lengths; the long and the short ones are found in different ways."""
    return [make_canary()[: 16 + number] * (1 + number % 30) for number in range(60)]


@functools.cache
def _guard_of_many() -> Guard:
    return guard_of(*_of_many())


# ── secrets that are split over two messages ────────────────────────────────────────────────


def streamed(pieces: list[str], *secrets: str) -> list[str]:
    """What is sent, with the whole secrets in each message masked as ``pack`` masks them."""
    guard, split = guard_of(*secrets), SplitOutput()
    beginnings = guard.beginnings
    assert beginnings is not None
    sent = [split.take(piece, beginnings)[0] for piece in pieces]
    sent.append(split.release())
    return [json.loads(guard.mask(packed(text)))["text"] for text in sent]


def in_pieces(text: str, cuts: list[int]) -> list[str]:
    at = sorted({min(cut, len(text)) for cut in cuts} | {0, len(text)})
    return [text[a:b] for a, b in itertools.pairwise(at)]


@given(st.data(), st.sampled_from([JWT[:300], OPAQUE, CANARY]), st.sampled_from(list("\n ey0")))
def test_a_split_secret_is_masked(data: st.DataObject, secret: str, around: str) -> None:
    text = around * 3 + secret + around + secret + "end"
    cuts = data.draw(st.lists(st.integers(0, len(text)), max_size=12))
    shown = "".join(streamed(in_pieces(text, cuts), secret))
    assert not find(secret, shown)
    for part in (secret[HELD_FROM - 1 :], secret[-9:]):
        assert part not in shown
    assert shown.startswith(around * 3)
    assert shown.endswith("end")
    assert MASK in shown


@given(st.data(), st.text(alphabet="eyJ0.a\n", max_size=80))
def test_no_other_text_is_lost_or_changed(data: st.DataObject, text: str) -> None:
    text = text + JWT[:20] + text + HEADER
    cuts = data.draw(st.lists(st.integers(0, len(text)), max_size=12))
    assert "".join(streamed(in_pieces(text, cuts), JWT, OPAQUE)) == text


def test_letter_by_letter_only_the_beginning_is_shown() -> None:
    assert "".join(streamed(list(f"a {JWT} b"), JWT)) == f"a {JWT[: HELD_FROM - 1]}{MASK} b"


def test_the_rest_is_masked_after_the_beginning_was_released() -> None:
    beginnings, split = Beginnings([JWT]), SplitOutput()
    assert split.take(f"a {JWT[:50]}", beginnings)[0] == "a "
    assert split.release() == JWT[:50]
    taken = split.take(f"{JWT[50:]} b", beginnings)
    assert taken == (f"{MASK} b", True)

"""Requests that resemble the genuine authorization response."""

from __future__ import annotations

import base64
import gzip
import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import quote, urlencode

FORM = "application/x-www-form-urlencoded"
CODE = "a-code-of-somebody-else"
NEVER_METHODS = ["HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", "TRACE", "CONNECT", "get", "POSTS"]
FOREIGN = ["evil.example", "localhost.evil.example", "evil-localhost", "127.0.0.1.nip.io",
           "localhost@evil.example", "0.0.0.0", "127.0.0.2", "[::]", "2130706433",
           "l\u043ecalhost"]  # fmt: skip


@dataclass
class Draft:
    """A request before it is serialised; by default it is the genuine one."""

    state: str
    path: str
    method: str = "GET"
    host: str = "localhost:1"
    kind: str = FORM
    pairs: list[tuple[str, str]] = field(default_factory=list)
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes | None = None
    query: str | None = None
    damage: Callable[[bytes], bytes] = bytes

    def encoded(self) -> str:
        return urlencode(self.pairs)

    def bytes(self) -> bytes:
        """The serialised request."""
        form = self.method == "POST"
        query = self.query if self.query is not None else "" if form else self.encoded()
        target = self.path + (f"?{query}" if query else "")
        body = self.body if self.body is not None else self.encoded().encode() if form else b""
        headers = [("Host", self.host), *self.headers]
        names = {name.lower() for name, _ in self.headers}
        if form and "content-type" not in names:
            headers.append(("Content-Type", self.kind))
        if body and not names & {"content-length", "transfer-encoding"}:
            headers.append(("Content-Length", str(len(body))))
        head = "".join(f"{name}: {value}\r\n" for name, value in headers)
        text = f"{self.method} {target} HTTP/1.1\r\n{head}\r\n"
        return self.damage(text.encode("utf-8", "replace") + body)


Forgery = Callable[[Draft, random.Random], None]


def _state(draft: Draft, dice: random.Random) -> None:
    """Absent, cut, longer, another case, repeated, elsewhere, encoded twice, one character off."""
    right, at = draft.state, dice.randrange(len(draft.state))
    off = dice.choice([c for c in "aZ09-._~ %é\0" if c != right[at]])
    wrong = dice.choice([
        "", right[:at], right[at + 1 :], right + right[:1], right.swapcase(), f" {right}",
        f"{right} ", f"{right}\0", f"{right}\n", quote(quote(right + "/", safe=""), safe=""),
        right[:at] + off + right[at + 1 :], right[::-1], right * 2, "é" + right, "\ud7ff" * 3,
    ])  # fmt: skip
    rest = [pair for pair in draft.pairs if pair[0] != "state"]
    draft.pairs = dice.choice([
        rest,
        [*rest, ("state", wrong)],
        [*rest, ("state", wrong)],
        [*rest, ("state", right), ("state", right)],
        [*rest, ("state", wrong), ("state", right)],
        [*rest, ("State", right)],
        [*rest, ("state[]", right)],
        [*rest, (" state", right)],
    ])  # fmt: skip
    if draft.pairs == rest:  # at a place that is not read
        place = dice.choice([("Cookie", f"state={right}"), ("State", right), ("X-State", right)])
        draft.headers.append((place[0], place[1]))


def _parameters(draft: Draft, dice: random.Random) -> None:
    """Neither code nor error, one of them twice, or another separator."""
    state = ("state", draft.state)
    choice = dice.randrange(5)
    if choice == 0:
        draft.pairs = [state, ("session_state", "x")]
    elif choice == 1:
        draft.pairs = [state, ("code", CODE), ("code", CODE)]
    elif choice == 2:
        draft.pairs = [state, ("error", "x"), ("error", "y")]
    elif choice == 3:
        draft.method, draft.query = "GET", draft.encoded().replace("&", ";")
    else:
        draft.method, draft.query = "GET", ""
        draft.path += f"#{draft.encoded()}"


def _path(draft: Draft, dice: random.Random) -> None:
    draft.path = dice.choice([
        f"{draft.path.rstrip('/')}/x", "//", "/%2f", "/./", "/../", "/\\", "/;", "/%00", "/index",
        "/callback", "/favicon.ico", "http://[::1", "//[", "*", "/" + "a" * dice.randrange(1, 3000),
        f"http://evil.example{draft.path}x",
    ])  # fmt: skip


def _method(draft: Draft, dice: random.Random) -> None:
    if dice.random() < 0.2:  # a form's answer in the query of a POST
        draft.query, draft.method, draft.body = draft.encoded(), "POST", b"x=y"
    else:
        draft.method, draft.query = dice.choice(NEVER_METHODS), draft.encoded()


def _host(draft: Draft, dice: random.Random) -> None:
    name = dice.choice(FOREIGN)
    draft.host = dice.choice([name, f"{name}:1", f"{name}:80", "", "localhost", ":1"])
    if dice.random() < 0.1:
        draft.headers.append(("Host", dice.choice(["evil.example:1", "localhost:1"])))


def _origin(draft: Draft, dice: random.Random) -> None:
    """A POST from another site. A provider's page posts too, so only the state differs."""
    draft.method = dice.choice(["GET", "POST"])
    origin = dice.choice(["null", "https://evil.example", "http://localhost:1", "file://", ""])
    draft.headers += [("Origin", origin), ("Sec-Fetch-Site", "cross-site")]
    _state(draft, dice)


def _encoding(draft: Draft, dice: random.Random) -> None:
    """The right parameters at an address that is not the registered one."""
    draft.method = "POST"
    text = draft.encoded()
    draft.kind, draft.body = dice.choice([
        ("application/json", json.dumps(dict(draft.pairs)).encode()),
        ("multipart/form-data; boundary=b", text.encode()),
        ("text/plain", text.encode()),
        ("", text.encode()),
        (f" {FORM}".replace("x-", "X-"), text.encode()),
        (FORM, text.encode("utf-16")),
        (FORM, gzip.compress(text.encode())),
        (FORM, base64.b64encode(text.encode())),
        (FORM, quote(text, safe="").encode()),
        (FORM, text.replace("&", "\0").encode()),
    ])  # fmt: skip


def _size(draft: Draft, dice: random.Random) -> None:
    """Too large, or with an invalid length."""
    choice = dice.randrange(5)
    much = "a" * dice.choice([65_537, 70_000, 200_000])
    if choice == 0:
        draft.headers.append(("X", much))
    elif choice == 1:
        draft.pairs = [("x", much), *draft.pairs]
    elif choice == 2:
        draft.method, draft.pairs = "POST", [("x", much), *draft.pairs]
    elif choice == 3:
        length = dice.choice(["-1", "abc", "9" * 30, "0x10", "1, 2", "", "0"])
        draft.method = "POST"
        draft.headers.append(("Content-Length", length))
    else:
        draft.method = "POST"
        draft.body = dice.choice([b"zz\r\n", b"ffffffffffffffff\r\nx", b"5\r\ncode=", b""])
        draft.headers.append(("Transfer-Encoding", dice.choice(["chunked", "gzip, chunked", "x"])))


def _bytes(draft: Draft, dice: random.Random) -> None:
    """A forged request with bytes changed, removed or truncated; or no HTTP at all."""
    _state(draft, dice)
    draft.state = ""
    seed = dice.getrandbits(32)

    def damage(data: bytes) -> bytes:
        own = random.Random(seed)
        if own.random() < 0.1:
            return own.choice([
                b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03" + own.randbytes(300),
                b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", own.randbytes(own.randrange(2000)),
                data.split(b" HTTP")[0] + b"\r\n\r\n", b"\r\n" * 9,
                b"",
            ])  # fmt: skip
        changed = bytearray(data)
        for _ in range(own.randrange(1, 5)):
            at = own.randrange(len(changed) or 1)
            changed[at : at + own.randrange(3)] = own.randbytes(own.randrange(3))
        return bytes(changed[: own.choice([len(changed), own.randrange(len(changed) + 1)])])

    draft.damage = damage


FORGERIES: dict[str, Forgery] = {
    "state": _state,
    "parameters": _parameters,
    "path": _path,
    "method": _method,
    "host": _host,
    "origin": _origin,
    "encoding": _encoding,
    "size": _size,
    "bytes": _bytes,
}


def forged(state: str, path: str, dice: random.Random) -> tuple[str, bytes]:
    """A description of the fault, and a request with at least that fault."""
    draft = Draft(state, path, method=dice.choice(["GET", "POST"]))
    answer = dice.choice([("code", CODE), ("error", "access_denied")])
    draft.pairs = [answer, ("state", state)]
    dice.shuffle(draft.pairs)
    what = dice.choice(list(FORGERIES))
    FORGERIES[what](draft, dice)
    return what, draft.bytes()

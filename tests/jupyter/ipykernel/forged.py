"""Messages on a kernel's shell port that are not valid messages for a comm of nbauth.

Each case is a function of a session with the kernel's key and of the comm's id. It returns the
frames that a DEALER socket sends, without an identity.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from jupyter_client.session import DELIM, Session

Frames = list[bytes]
Case = Callable[[Session, str], Frames]
CONTROL = "jupyter.widget.control"


def genuine(session: Session, comm_id: str, **data: Any) -> Frames:
    """A message that a front end sends to a comm of nbauth."""
    content = {"comm_id": comm_id, "data": data or {"n": 7}}
    return list(session.serialize(session.msg("comm_msg", content)))


def signed(session: Session, *parts: Any) -> Frames:
    """The frames of a signed message with any header, parent header, metadata and content."""
    raw = [part if isinstance(part, bytes) else json.dumps(part).encode() for part in parts]
    return [DELIM, session.sign(raw), *raw]


def header(session: Session, kind: Any = "comm_msg", **changed: Any) -> dict[str, Any]:
    made = {**session.msg_header("comm_msg"), "msg_type": kind}
    made["date"] = made["date"].isoformat()
    made |= changed
    return {name: value for name, value in made.items() if value is not ...}


def odd_header(**changed: Any) -> Case:
    """A signed message for nbauth's comm with a changed header; ``...`` removes an entry."""
    return lambda session, ours: signed(
        session, header(session, **changed), {}, {}, {"comm_id": ours, "data": {"n": 0}}
    )


def odd_content(content: Any, kind: str = "comm_msg") -> Case:
    return lambda session, ours: signed(session, header(session, kind), {}, {}, content)


def odd_part(place: int, part: Any) -> Case:
    """A signed message for nbauth's comm with one part replaced."""

    def make(session: Session, ours: str) -> Frames:
        parts = [header(session), {}, {}, {"comm_id": ours, "data": {"n": 0}}]
        parts[place] = part
        return signed(session, *parts)

    return make


def unsigned(kind: str = "comm_msg", **content: Any) -> Case:
    def make(session: Session, ours: str) -> Frames:
        whole = session.serialize(session.msg(kind, {"comm_id": ours, "data": {"n": 0}} | content))
        return [whole[0], b"", *whole[2:]]

    return make


def wrong_signature(signature: bytes | None) -> Case:
    def make(session: Session, ours: str) -> Frames:
        other = Session(key=b"another key")
        whole = genuine(other, ours)
        return whole if signature is None else [whole[0], signature, *whole[2:]]

    return make


def altered(session: Session, ours: str) -> Frames:
    """A signed message that was changed afterwards."""
    whole = genuine(session, ours)
    return [*whole[:-1], whole[-1].replace(b"7", b"8")]


def truncated(length: int) -> Case:
    return lambda session, ours: genuine(session, ours)[:length]


def unsigned_truncated(length: int) -> Case:
    return lambda session, ours: unsigned()(session, ours)[:length]


NESTED = b"[" * 100_000 + b"]" * 100_000
HUGE = b'{"comm_id": "' + b"x" * 20_000_000 + b'"}'

NOT_GENUINE: dict[str, Case] = {
    "unsigned": unsigned(),
    "unsigned question": unsigned("kernel_info_request"),
    "unsigned control comm": unsigned("comm_open", target_name=CONTROL),
    "unsigned cell": unsigned("execute_request", code="forged = True", silent=False),
    "unsigned, without content": unsigned_truncated(5),
    "another key": wrong_signature(None),
    "wrong signature": wrong_signature(b"0" * 64),
    "signature of other letters": wrong_signature("ä".encode() * 32),
    "short signature": wrong_signature(b"0"),
    "altered": altered,
    "empty": lambda session, ours: [b""],
    "empty frames": lambda session, ours: [b""] * 7,
    "one frame": lambda session, ours: [b"stop aborting?"],
    "garbage": lambda session, ours: [bytes(range(256))] * 6,
    "garbage after the delimiter": lambda session, ours: [DELIM, *[bytes(range(256))] * 6],
    "delimiter alone": truncated(1),
    "signature alone": truncated(2),
    "header alone": truncated(3),
    "without metadata": truncated(4),
    "without content": truncated(5),
    "without delimiter": lambda session, ours: genuine(session, ours)[1:],
    "delimiter twice": lambda session, ours: [DELIM, *genuine(session, ours)],
    "huge, unsigned": lambda session, ours: [DELIM, b"", b"{}", b"{}", b"{}", HUGE],
    "huge, signed": lambda session, ours: signed(session, header(session), {}, {}, HUGE),
    "header a list": odd_part(0, [1]),
    "header a number": odd_part(0, 1),
    "header null": odd_part(0, None),
    "header of other letters": odd_part(0, b"\xff\xfe{}"),
    "header no JSON": odd_part(0, b"{"),
    "header nested deeply": odd_part(0, NESTED),
    "parent header nested deeply": odd_part(1, NESTED),
    "parent header of other letters": odd_part(1, b"\xff"),
    "metadata no JSON": odd_part(2, b"{"),
    "content null": odd_part(3, None),
    "content a list": odd_part(3, [1]),
    "content a text": odd_part(3, "comm_id"),
    "content of other letters": odd_part(3, b"\xff"),
    "content nested deeply": odd_part(3, NESTED),
    "msg_type a number": odd_header(kind=1),
    "msg_type a list": odd_header(kind=["comm_msg"]),
    "msg_type an object": odd_header(kind={}),
    "msg_type null": odd_header(kind=None),
    "no msg_type": odd_header(kind=...),
    "no msg_id": odd_header(msg_id=...),
    "version a number": odd_header(version=5),
    "version a text": odd_header(version="new"),
    "comm_id an object": odd_content({"comm_id": {}, "data": {}}),
    "comm_id a list": odd_content({"comm_id": [], "data": {}}),
    "comm_id null": odd_content({"comm_id": None, "data": {}}),
    "no comm_id": odd_content({"data": {}}),
    "comm_id unknown": odd_content({"comm_id": "unknown", "data": {}}),
    "comm_open, target an object": odd_content({"comm_id": "c", "target_name": {}}, "comm_open"),
    "comm_open, no target": odd_content({"comm_id": "c"}, "comm_open"),
    "comm_open, target unknown": odd_content(
        {"comm_id": "c", "target_name": "unknown", "data": {}}, "comm_open"
    ),
    "control comm, id an object": odd_content({"comm_id": {}, "target_name": CONTROL}, "comm_open"),
    "comm_close of none": odd_content({"comm_id": "unknown", "data": {}}, "comm_close"),
    "unknown kind": odd_content({}, "nonsense_request"),
}
"""A kernel without nbauth logs each of these messages or ignores it."""
UNSIGNED_IS_FINE = frozenset({"unsigned", "unsigned question", "unsigned control comm",
    "unsigned cell", "another key", "wrong signature", "signature of other letters",
    "short signature", "altered"})  # fmt: skip
"""Valid for a kernel that has no key."""

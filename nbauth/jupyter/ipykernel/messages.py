"""Reads a message of the shell channel, after the checks that ipykernel makes itself.

Any local user can connect to the port of that channel, but only a client that has the kernel's key
can sign. So nothing of a message is used before its signature has been compared. A message that
fails a check goes to the kernel, which refuses it. Reading a message here records nothing and
leaves its frames unchanged.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import Any

from nbauth.jupyter.ipykernel.requests import CellRequest

COMM_KINDS = frozenset({"comm_open", "comm_msg", "comm_close"})
SIGNED = 4
"""The signed parts: header, parent header, metadata, content. Buffers, unsigned, may follow."""


@dataclass(frozen=True)
class Message:
    """A message whose signature is valid.

    Attributes:
        kind: its ``msg_type``.
        comm_id: the id of its comm; ``""`` if it has none.
        target: the target name of a ``comm_open``; ``""`` for other kinds.
        cell: the request, if it is an ``execute_request``; ``None`` for other kinds.
    """

    kind: str
    comm_id: str
    target: str
    cell: CellRequest | None
    _idents: list[bytes]
    _parts: list[Any]
    _signature: bytes

    @classmethod
    def read(cls, session: Any, frames: list[Any]) -> Message | None:
        """The message in these frames; ``None`` if it fails a check."""
        try:
            idents, parts = session.feed_identities(frames, copy=False)
            signature, *signed = [bytes(part.bytes) for part in parts[: SIGNED + 1]]
            if len(signed) < SIGNED or not _is_signed(session, signature, signed):
                return None
            header = session.unpack(signed[0])
            kind = header["msg_type"]
            runs = kind == "execute_request"
            cell = CellRequest.read(header, session.unpack(signed[2])) if runs else None
            content = session.unpack(signed[3]) if kind in COMM_KINDS else {}
            named = kind, content.get("comm_id", ""), content.get("target_name", "")
            if not all(isinstance(text, str) for text in named):
                return None
        except Exception:  # also a RecursionError of the JSON decoder
            return None
        return cls(*named, cell, idents, parts, signature)

    def take(self, session: Any) -> tuple[list[bytes], dict[str, Any]] | None:
        """The sender and the parsed message, as a handler needs them.

        The kernel cannot read the message after that. If a part breaks the protocol, the result is
        ``None``, and the kernel can still read the message.
        """
        try:
            return self._idents, session.deserialize(self._parts, content=True, copy=False)
        except Exception:
            session.digest_history.discard(self._signature)  # else the kernel sees a duplicate
            return None


def _is_signed(session: Any, signature: bytes, signed: list[bytes]) -> bool:
    if session.auth is None:  # the kernel has no key and accepts every message
        return True
    known = signature in session.digest_history  # a duplicate, which the kernel refuses
    return not known and hmac.compare_digest(signature, session.sign(signed))

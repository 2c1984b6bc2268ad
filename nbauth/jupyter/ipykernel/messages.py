"""Reads a message of the shell channel, after the checks that ipykernel makes itself.

Any local user can connect to the port of that channel; only who knows the kernel's key can sign. So
nothing of a message is used before its signature has been compared. What fails a check is left to
the kernel to refuse: reading a message here records nothing, and the frames stay as they are.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import Any

from nbauth.jupyter.ipykernel.requests import CellRequest

COMM_KINDS = frozenset({"comm_open", "comm_msg", "comm_close"})
SIGNED = 4
"""Header, parent header, metadata and content. Buffers may follow; they are not signed."""


@dataclass(frozen=True)
class Message:
    """One that the kernel would accept, as far as it has been read.

    Attributes:
        kind: its ``msg_type``.
        comm_id: of the comm that it is about; ``""`` if it is about none.
        target: what a ``comm_open`` names; ``""`` if nothing.
        cell: what an ``execute_request`` is to run; ``None`` for every other kind.
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
        """The message in these frames; ``None`` if the kernel is to say what is wrong with it."""
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
        """Who sent it, and all of it, as a handler gets it; the kernel can't take it after that.

        ``None``, and it is still the kernel's, if a part is not what the protocol says.
        """
        try:
            return self._idents, session.deserialize(self._parts, content=True, copy=False)
        except Exception:
            session.digest_history.discard(self._signature)  # or the kernel calls it a duplicate
            return None


def _is_signed(session: Any, signature: bytes, signed: list[bytes]) -> bool:
    if session.auth is None:  # the kernel has no key, and accepts everything
        return True
    known = signature in session.digest_history  # it came before: the kernel refuses it
    return not known and hmac.compare_digest(signature, session.sign(signed))

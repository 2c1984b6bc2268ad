"""The hooks of the output guard in ipykernel: every message passes here before it is sent.

``pack`` of jupyter_client's ``Session`` is public. It sees each part of each message in its final
form. ``send`` is replaced too, for binary buffers and for secrets that are split over two messages
of a stream.

If masking fails, the message is sent as it is. Output is never lost, and no error reaches the cell.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

from nbauth.jupyter.guard import Guard
from nbauth.jupyter.ipykernel.masked_notice import MaskedNotice
from nbauth.jupyter.ipykernel.split_streams import SplitStreams

log = logging.getLogger(__name__)


def guard_output(kernel: Any, guard: Guard) -> Callable[[], None]:
    """Guard the output of a kernel. Returns the function that undoes it."""
    try:
        session = kernel.session
        usable = callable(session.pack) and callable(session.send) and _is_session(session)
    except AttributeError:
        usable = False
    if not usable:
        log.debug("output is not masked: there is no ipykernel with a known session")
        return lambda: None
    outgoing = Outgoing(kernel, guard)
    outgoing.begin()
    return outgoing.end


class Outgoing:
    """The replaced methods of the kernel's session, until :meth:`end`.

    If other code has replaced them since, they stay, and change nothing any more.
    """

    def __init__(self, kernel: Any, guard: Guard) -> None:
        self._guard = guard
        self._session = kernel.session
        self._pack = self._session.pack
        self._send = self._session.send
        self._own = self.pack, self.send
        self._had_send = "send" in vars(self._session)
        self._active = True
        self._failed = False
        self._thread = threading.local()
        self._streams = SplitStreams(kernel, guard, self._send)
        self._notice = MaskedNotice(kernel, self._send)

    def begin(self) -> None:
        """Replace the methods."""
        self._session.pack, self._session.send = self._own

    def end(self) -> None:
        """Restore the methods, and send what was kept back."""
        self._active = False
        if self._session.pack is self._own[0]:
            self._session.pack = self._pack
        if vars(self._session).get("send") is self._own[1]:
            if self._had_send:
                self._session.send = self._send
            else:
                del self._session.send
        self._streams.release_all()

    def pack(self, part: Any) -> Any:
        """Pack a part of a message, with masks."""
        data = self._pack(part)
        if not self._active:
            return data
        try:
            masked = self._guard.mask(data)
        except Exception as error:
            self._log(error)
            return data
        if masked is not data:
            self._thread.masked = True
        return masked

    def send(
        self,
        stream: Any,
        msg_or_type: Any,
        content: Any = None,
        parent: Any = None,
        ident: Any = None,
        buffers: Any = None,
        *more: Any,
        **options: Any,
    ) -> Any:
        """Send a message, with masks."""
        kind, header = "", dict[str, Any]()
        if self._active:
            self._thread.masked = False
            try:
                kind, header, said = _read(msg_or_type, content, parent)
                if kind == "stream":
                    text, self._thread.masked = self._streams.take(header, said, ident)
                    if not text:
                        return msg_or_type if isinstance(msg_or_type, dict) else None
                    if text != said["text"]:
                        said = {**said, "text": text}
                        if isinstance(msg_or_type, dict):
                            msg_or_type = {**msg_or_type, "content": said}
                        else:
                            content = said
                else:
                    self._before(kind, header, said)
                    buffers = self._masked_buffers(msg_or_type, buffers)
            except Exception as error:
                self._log(error)
        sent = self._send(stream, msg_or_type, content, parent, ident, buffers, *more, **options)
        if kind and self._thread.masked:
            self._tell(kind, header)
        return sent

    def _before(self, kind: str, header: dict[str, Any], content: Any) -> None:
        """React to a message that is not text of a stream, before it is sent."""
        request = header.get("msg_id", "")
        if kind == "status":
            state = content.get("execution_state")
            if state == "busy":
                self._streams.begin(request)
                self._notice.begin(request)
            elif state == "idle":
                self._streams.end(request)
                self._notice.end(request)
        elif kind == "shutdown_reply":
            self._streams.release_all()
        else:
            self._streams.release(request)

    def _tell(self, kind: str, header: dict[str, Any]) -> None:
        try:
            self._notice.masked(kind, header)
        except Exception as error:
            self._log(error)

    def _masked_buffers(self, message: Any, buffers: Any) -> Any:
        found = buffers or (message.get("buffers") if isinstance(message, dict) else None)
        if not found:
            return buffers
        before = [memoryview(buffer).tobytes() for buffer in found]
        after = [self._guard.mask_buffer(data) for data in before]
        if all(new is old for new, old in zip(after, before, strict=True)):
            return buffers
        self._thread.masked = True
        return after

    def _log(self, error: Exception) -> None:
        """Log the first failure: a handler may print, and so send a message again."""
        if not self._failed:
            self._failed = True
            log.debug("a message was sent without masks: %s", type(error).__name__)


def _is_session(session: Any) -> bool:
    """Whether it is a ``Session`` of jupyter_client, which ipykernel uses."""
    return any(base.__module__ == "jupyter_client.session" for base in type(session).__mro__)


def _read(message: Any, content: Any, parent: Any) -> tuple[str, dict[str, Any], Any]:
    """The kind of a message, its parent header, and its content."""
    if isinstance(message, dict):
        kind, header = message["header"]["msg_type"], message.get("parent_header")
        content = message.get("content")
    else:
        kind, header = message, parent
        if header and "header" in header:  # a message, not a header
            header = header["header"]
    return kind, header or {}, content or {}

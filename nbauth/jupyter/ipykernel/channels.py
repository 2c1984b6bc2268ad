"""The streams with which the main thread of ipykernel reads shell messages and sends replies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Channels:
    """The two streams. The names that lead to them are private in ipykernel and pyzmq.

    Attributes:
        requests: the ``ZMQStream`` that the main thread reads. In ipykernel 7 another thread reads
            the socket and passes messages to this stream; in ipykernel 6 it is the socket's stream.
        replies: the stream or socket to which the handler of a request sends its reply.
    """

    requests: Any
    replies: Any

    @classmethod
    def of(cls, kernel: Any) -> Channels | None:
        """The streams of a kernel; ``None`` if a name is missing or has another meaning."""
        try:
            thread = getattr(kernel, "shell_channel_thread", None)
            if thread is None:
                found = cls(kernel.shell_stream, kernel.shell_stream)
            else:
                manager = thread.manager
                found = cls(
                    manager.get_shell_channel_to_subshell_pair(None).to_stream,
                    manager.get_subshell_to_shell_channel_socket(None),
                )
            requests = found.requests
            usable = (
                requests.io_loop is kernel.io_loop  # otherwise another thread reads it
                and all(callable(part) for part in (requests._recv_callback, requests.on_recv))
                and all(callable(part) for part in (requests.flush, requests.closed))
                and callable(requests.socket.poll)
                and isinstance(kernel.shell_handlers, dict)
                and found.replies is not None
            )
        except (AttributeError, AssertionError, LookupError, TypeError):
            return None
        return found if usable else None


def is_ipykernel(kernel: Any) -> bool:
    """Whether the class of a kernel is from ipykernel or derived from it. xeus-python's is not."""
    return any(base.__module__.partition(".")[0] == "ipykernel" for base in type(kernel).__mro__)


def publish_status(kernel: Any, state: str, parent: Any) -> None:
    """Publish ``busy`` or ``idle``, for a request or (``None``) for the running cell."""
    publish = getattr(kernel, "_publish_status", None)
    if publish is not None:
        publish(state, "shell", parent=parent)

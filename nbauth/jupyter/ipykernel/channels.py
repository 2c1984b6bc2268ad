"""The streams by which the main thread of ipykernel gets its shell messages and sends replies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Channels:
    """Found by names that ipykernel and pyzmq do not promise.

    Attributes:
        requests: the ``ZMQStream`` that the main thread reads. In ipykernel 7 another thread reads
            the socket itself and passes messages on; in ipykernel 6 it is the socket's stream.
        replies: what a request's handler sends its reply to.
    """

    requests: Any
    replies: Any

    @classmethod
    def of(cls, kernel: Any) -> Channels | None:
        """Those of a running kernel; ``None`` where a name is missing or means something else."""
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
                requests.io_loop is kernel.io_loop  # else another thread reads it
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
    """Whether a kernel is one of ipykernel's or derived from it; xeus-python's is not."""
    return any(base.__module__.partition(".")[0] == "ipykernel" for base in type(kernel).__mro__)


def publish_status(kernel: Any, state: str, parent: Any) -> None:
    """Say ``busy`` or ``idle``, of a request or (``None``) of the running cell."""
    publish = getattr(kernel, "_publish_status", None)
    if publish is not None:
        publish(state, "shell", parent=parent)

"""The request that a kernel handles, in ipykernel and in similar kernels.

ipykernel's ``get_parent`` takes the name of a channel and returns the whole request. In xeus-python
and in Pyodide's kernel it takes no argument. In xeus-python it returns only the header.
"""

from __future__ import annotations

import builtins
import sys
from collections.abc import Mapping
from typing import Any


def request_of(running: Any) -> Mapping[str, Any]:
    """The present request of the kernel; empty if the kernel does not give it."""
    for channel in (("shell",), ()):
        try:
            parent = running.get_parent(*channel)
        except TypeError:  # this kernel's method takes other arguments
            continue
        except (AttributeError, LookupError):
            break
        return parent if isinstance(parent, Mapping) else {}
    return {}


def is_widget_event(running: Any) -> bool:
    """Whether a widget sent the request. Then its callback runs, and no cell."""
    return _header(running).get("msg_type") == "comm_msg"


def takes_input(running: Any) -> bool:
    """Whether the sender of the request accepts ``input()``. nbconvert and nbclient do not."""
    content = request_of(running).get("content")
    if isinstance(content, Mapping):
        return bool(content.get("allow_stdin", False))
    is_cell = _header(running).get("msg_type") == "execute_request"
    return is_cell and not _input_is_refused()


def is_shown_in_output(running: Any) -> bool:
    """Whether an ``Output`` widget of ipywidgets shows the output of the request."""
    return bool(outputs_around(running))


def outputs_around(running: Any) -> list[Any]:
    """The ``Output`` widgets of ipywidgets that receive the output of the request."""
    ident = _header(running).get("msg_id")
    output = getattr(sys.modules.get("ipywidgets.widgets.widget_output"), "Output", None)
    if not ident or output is None:
        return []
    known = getattr(sys.modules["ipywidgets.widgets.widget"], "_instances", {})
    widgets = list(known.values()) if isinstance(known, Mapping) else []
    return [one for one in widgets if isinstance(one, output) and one.msg_id == ident]


def _header(running: Any) -> Mapping[str, Any]:
    header = request_of(running).get("header")
    return header if isinstance(header, Mapping) else {}


def _input_is_refused() -> bool:
    """Whether xeus-python has replaced ``input`` by its function that always raises an error.

    It does so for each request that allows no input. The two functions have no names. They differ
    only in the signature that pybind11 writes into their documentation.
    """
    return str(builtins.input.__doc__).strip().endswith("-> None")

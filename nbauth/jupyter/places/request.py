"""The request that a kernel works on, in ipykernel and in kernels that are like it.

ipykernel's ``get_parent`` takes the name of a channel and gives the whole request. In xeus-python
and in Pyodide's kernel it takes nothing, and xeus-python gives the header alone.
"""

from __future__ import annotations

import builtins
import sys
from collections.abc import Mapping
from typing import Any


def request_of(running: Any) -> Mapping[str, Any]:
    """What the kernel says of its present request; nothing where it doesn't say."""
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
    """Whether a widget has sent the request: its callback runs now, in no cell."""
    return _header(running).get("msg_type") == "comm_msg"


def takes_input(running: Any) -> bool:
    """Whether who sent the request answers questions: nbconvert, papermill and nbclient do not."""
    content = request_of(running).get("content")
    if isinstance(content, Mapping):
        return bool(content.get("allow_stdin", False))
    is_cell = _header(running).get("msg_type") == "execute_request"
    return is_cell and not _input_is_refused()


def is_shown_in_output(running: Any) -> bool:
    """Whether an ``Output`` widget of ipywidgets shows what the request prints."""
    ident = _header(running).get("msg_id")
    output = getattr(sys.modules.get("ipywidgets.widgets.widget_output"), "Output", None)
    if not ident or output is None:
        return False
    known = getattr(sys.modules["ipywidgets.widgets.widget"], "_instances", {})
    widgets = list(known.values()) if isinstance(known, Mapping) else []
    return any(isinstance(one, output) and one.msg_id == ident for one in widgets)


def _header(running: Any) -> Mapping[str, Any]:
    header = request_of(running).get("header")
    return header if isinstance(header, Mapping) else {}


def _input_is_refused() -> bool:
    """Whether xeus-python has put its function that refuses in the place of ``input``.

    It does so for each request that allows no input. The two functions have no name; they differ in
    the signature that pybind11 writes into their documentation.
    """
    return str(builtins.input.__doc__).strip().endswith("-> None")

"""Where does this kernel run, and is somebody there?"""

from __future__ import annotations

import sys
import threading
from typing import Any


def shell() -> Any | None:
    """The IPython shell of this process, if it has one."""
    ipython = sys.modules.get("IPython")
    return ipython.get_ipython() if ipython is not None else None


def kernel() -> Any | None:
    """The ipykernel of this process, if it is one."""
    return getattr(shell(), "kernel", None)


def somebody_watches(running: Any) -> bool:
    """Whether the request that this kernel works on can be answered by a person.

    The request itself says so (``allow_stdin``): nbconvert, papermill and nbclient say no. A click
    in a widget is a person. Only the main thread may ask.
    """
    if threading.current_thread() is not threading.main_thread():
        return False
    try:
        parent = running.get_parent("shell")
    except (AttributeError, LookupError, TypeError):
        return False
    if (parent.get("header") or {}).get("msg_type") == "comm_msg":
        return True
    return bool((parent.get("content") or {}).get("allow_stdin", False))

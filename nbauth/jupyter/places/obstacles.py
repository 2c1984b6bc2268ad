"""The reasons why a sign-in can't be shown here or nobody can answer it, each with a remedy."""

from __future__ import annotations

import io
import os
import sys
import threading
from typing import Any

from nbauth.core.flow_names import AUTO
from nbauth.core.person import IN_A_WORKER, NOBODY, Obstacle
from nbauth.jupyter.places.environment import in_marimo, in_worker, is_terminal, shell
from nbauth.jupyter.places.request import is_shown_in_output, is_widget_event, takes_input

_VOILA = "VOILA_BASE_URL"
"""Set by Voila for its kernels."""
CAPTURED = Obstacle(
    "output_captured",
    "The output here is captured (%%capture, capture_output, a redirected stream), so a sign-in"
    " would not be seen.",
    "Run %login in another cell, whose output is shown, then this cell again.",
)
IN_A_CALLBACK = Obstacle(
    "in_a_callback",
    "A widget's callback has no cell whose output could show the sign-in.",
    "Run %login in a cell or sign in with nbauth.panel(), then use the widget again. Or run the"
    " callback's code inside `with out:`, where out is a displayed Output widget. If your front end"
    " shows what callbacks print, set attended = true.",
)
IN_A_THREAD = Obstacle(
    "in_a_thread",
    "This thread cannot show a sign-in; only the main thread can.",
    "Run %login in a cell first. Then threads get tokens without a sign-in.",
)
IN_VOILA = Obstacle(
    "in_voila",
    "Voila shows the page after all cells have run, so a cell cannot wait for a sign-in.",
    "Use nbauth.panel() instead of %login: display it, and request tokens when it shows an"
    " account.",
)
IN_MARIMO = Obstacle(
    "in_marimo",
    "A cell of marimo can't show a sign-in while it runs.",
    "Use nbauth.panel() instead of nbauth.login(): make it the last expression of a cell, sign in"
    " there, then run the cells that need a token.",
)
IN_A_CHILD = Obstacle(
    "in_a_child",
    "A forked process can't show a sign-in.",
    "Sign in before the process forks, or sign in with %login in a cell.",
)
SAID_NOBODY = Obstacle(
    "nobody_there",
    "Nobody can answer here: the setting attended is false.",
    "If a person can answer, set attended = auto (NBAUTH_ATTENDED, %config NbAuth.attended,"
    " config.toml).",
)
NO_TERMINAL = Obstacle(
    "nobody_there",
    "Nobody can answer here: nbauth shows sign-ins on standard error, which is not a terminal.",
    "Do not redirect standard error, or set attended = true if a person reads it.",
)


def in_kernel(running: Any, attended: bool | str = AUTO) -> Obstacle | None:
    """Why the calling thread of a kernel can't show a sign-in; ``None`` if it can.

    ``attended`` is the setting. It decides whether a person is there, but not whether output is
    shown.
    """
    if attended is False:
        return SAID_NOBODY
    clicked = is_widget_event(running)
    here = threading.current_thread()
    if here is not threading.main_thread():
        in_subshell = here.name.startswith("subshell-")
        return IN_A_CALLBACK if clicked and in_subshell else IN_A_THREAD
    if _is_captured():
        return CAPTURED
    if attended is True or (clicked and is_shown_in_output(running)):
        return None
    if _VOILA in os.environ:
        return IN_VOILA
    if clicked:
        return IN_A_CALLBACK
    return None if takes_input(running) else NOBODY


def in_process(stdin: Any, stderr: Any, attended: bool | str = AUTO) -> Obstacle | None:
    """The same where there is no kernel. ``stdin`` and ``stderr`` are the streams to use."""
    if in_worker(stdin):
        return IN_A_WORKER
    if attended is False:
        return SAID_NOBODY
    if attended is not True and in_marimo():
        return IN_MARIMO
    if threading.current_thread() is not threading.main_thread() and not in_marimo():
        return IN_A_THREAD
    if isinstance(stderr, io.StringIO):
        return CAPTURED
    if attended is True:
        return None
    if _VOILA in os.environ:  # with a kernel that has no IPython
        return IN_VOILA
    if not is_terminal(stdin):
        return NOBODY
    return None if is_terminal(stderr) else NO_TERMINAL


def _is_captured() -> bool:
    publisher = getattr(shell(), "display_pub", None)
    capturing = getattr(
        sys.modules.get("IPython.core.displaypub"), "CapturingDisplayPublisher", None
    )
    return capturing is not None and isinstance(publisher, capturing)

"""The one session of this process."""

from __future__ import annotations

import atexit
import os
import threading
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from nbauth.jupyter.screens import Screens
    from nbauth.kernel.session import Session

_session: Session | None = None
_lock = threading.Lock()
_loaded_in = os.getpid()
"""The process id of the notebook's kernel; a forked child has no notebook."""


def _new_lock() -> None:
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):  # here, for a child that is forked before the first use
    os.register_at_fork(after_in_child=_new_lock)


def the_session() -> Session:
    """The process's session, created on first use."""
    if _session is not None:
        return _session
    from nbauth.core.forks import no_fork

    with no_fork(), _lock:
        return _session or new_session()


def session_if_made() -> Session | None:
    """The process's session, ``None`` before its first use."""
    return _session


def new_session(
    screens: Screens | None = None, make_engine: Callable[..., Any] | None = None
) -> Session:
    """Create the session and register its process hooks; tests pass a screen and engines."""
    global _session
    # Imported here, so that %load_ext does not load most of nbauth.
    from nbauth.core.errors import NbAuthError
    from nbauth.core.settings_reader import SettingsReader
    from nbauth.kernel.session import Session

    if screens is None:
        from nbauth.jupyter.screens import Screens

        screens = Screens()
    if os.getpid() != _loaded_in:
        screens.forked()
    reader = SettingsReader(os.environ, config_files, screens)
    made = Session(reader, screens, make_engine, the_session)
    screens.serve(made)
    atexit.register(made.rest)  # stores the result of a refresh in progress
    if hasattr(os, "register_at_fork"):
        workers = made.workers
        assert workers is not None
        os.register_at_fork(
            before=workers.before_fork,
            after_in_parent=workers.after_fork,
            after_in_child=partial(_forked, made, screens),
        )
    NbAuthError.wants_traceback = staticmethod(_debugging)
    _session = made
    return made


def _forked(session: Session, screens: Screens) -> None:
    """Runs in a forked child, for example of multiprocessing."""
    try:
        screens.forked()
    finally:  # an error in a hook of a fork is only shown
        try:
            session.forked()
        except KeyboardInterrupt:  # Jupyter interrupts children too
            session.forked()
            raise


def config_files() -> list[Path]:
    """The possible paths of ``config.toml``; the first that exists is used."""
    from nbauth.core import folders

    return [Path(path) for path in folders.config_files()]


def _debugging() -> bool:
    from nbauth.core.errors import NbAuthError

    try:
        return the_session().settings().debug
    except NbAuthError:
        return False  # the settings are invalid

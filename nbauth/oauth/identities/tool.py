"""Runs a command-line tool for a token: without a shell, with a time limit.

Messages contain only its errors, without tokens.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nbauth.core.errors import (
    AuthorityUnreachable,
    ConfigurationError,
    FlowUnavailable,
    InteractionRequired,
    NbAuthError,
    TokenError,
)
from nbauth.core.text import plain
from nbauth.oauth.error_catalogue import error_from
from nbauth.oauth.identities.tool_output import Done, text_of

log = logging.getLogger(__name__)
TIMEOUT = 10.0
"""Seconds for one command. azure-identity has the same default."""
LOOK_EVERY = 0.5
"""Seconds between checks whether the command has ended while its output has not."""
_WINDOWS = sys.platform == "win32"
_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/-]*")
"""An argument that has no meaning for a shell, for ``cmd.exe`` (which runs az.cmd), or as an
option. azure-identity allows the same characters in scopes."""
_TENANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*")
_AADSTS = re.compile(r"AADSTS\d{4,8}")
_NETWORK = (
    *("Max retries exceeded", "Failed to resolve", "ConnectionError", "dial tcp", "no such host"),
    *("HTTP Error: 5", "HTTP Error: 429"),
)


@dataclass(frozen=True)
class Tool:
    """A command-line tool.

    Attributes:
        command: its name.
        title: its name for people.
        login: the command that signs in.
        install: the address of its installation guide.
    """

    command: str
    title: str
    login: str
    install: str

    def path(self) -> str:
        """Its path, ``""`` if it is not installed.

        Only absolute folders of ``PATH`` are searched, never the current folder, in which Windows
        and ``shutil.which`` look first.
        """
        names = [f"{self.command}.cmd", f"{self.command}.exe"] if _WINDOWS else [self.command]
        for folder in os.environ.get("PATH", os.defpath).split(os.pathsep):
            for name in names if os.path.isabs(folder) else ():
                path = os.path.join(folder, name)
                if os.path.isfile(path) and os.access(path, os.X_OK):
                    return path
        return ""

    def run(self, *arguments: str, timeout: float | None = None) -> Mapping[str, Any]:
        """The JSON that a command prints.

        Raises ``FlowUnavailable`` if the tool is not installed, ``AuthorityUnreachable`` after the
        time limit, and what :meth:`refusal` returns.
        """
        done = self._done(arguments, TIMEOUT if timeout is None else timeout)
        if done.status:
            raise self.refusal(done)
        try:
            answer = json.loads(done.out)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise TokenError(
                f"The {self.title} printed no JSON object.",
                code="tool_not_understood",
                hint=f"Update the {self.title}; this command in a terminal shows what it prints:"
                f" {self.command} {' '.join(arguments[:2])}",
            )
        return answer

    def refusal(self, done: Done) -> NbAuthError:
        """The error for a command that failed."""
        told = done.message
        line = done.login_line or self.login
        if _AADSTS.search(told):
            error = error_from({"error": "tool_failed", "error_description": told})
            if not isinstance(error, ConfigurationError):
                error.hint = _do(line)
            error.suggested_flow = None
            return error
        if offline := done.line_with(_NETWORK):
            return AuthorityUnreachable(
                f"The {self.title} cannot reach the provider: {offline}", code="tool_offline"
            )
        if any(sign in told for sign in (self.login, "not logged in")):
            return InteractionRequired(
                f"The {self.title} is not signed in.", code="tool_login_required", hint=_do(line)
            )
        return TokenError(
            f"The {self.title} failed: {told or f'exit status {done.status}'}",
            code="tool_failed",
            hint=f"Update the {self.title}, or sign in to it again. {_do(self.login)}",
        )

    def needs_person(self, what: str, line: str) -> InteractionRequired:
        """The error for what only the person can do, in a terminal."""
        return InteractionRequired(what, code="tool_login_required", hint=_do(line))

    def missing(self) -> FlowUnavailable:
        """The error for a tool that is not installed."""
        return FlowUnavailable(
            f"The {self.title} is not installed: no {self.command} in PATH.",
            code="tool_not_installed",
            hint=f"Install it ({self.install}), or choose another flow.",
        )

    def _done(self, arguments: tuple[str, ...], timeout: float) -> Done:
        path = self.path()
        if not path:
            raise self.missing()
        began = time.monotonic()
        try:
            process = subprocess.Popen(  # noqa: S603
                [path, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=_safe_folder(),
                env={**os.environ, "AZURE_CORE_NO_COLOR": "true", "NO_COLOR": "true"},
                start_new_session=not _WINDOWS,
            )
        except OSError as error:
            raise FlowUnavailable(
                f"The {self.title} cannot be run: {error.strerror or type(error).__name__}.",
                code="tool_not_installed",
                hint=f"Run {path} in a terminal to see why, or choose another flow.",
            ) from error
        try:
            out, err = _printed(process, timeout)
        except subprocess.TimeoutExpired:
            _kill(process)
            raise AuthorityUnreachable(
                f"The {self.title} did not answer within {timeout:g} s.",
                code="tool_timeout",
                hint=f"Try again; if it happens again, run {self.command} in a terminal.",
            ) from None
        except BaseException:
            _kill(process)
            raise
        seconds = time.monotonic() - began
        words = " ".join(arguments[:2])
        log.debug("%s %s: %s, %.3f s", self.command, words, process.returncode, seconds)
        return Done(process.returncode, text_of(out), text_of(err))


def _printed(process: subprocess.Popen[bytes], timeout: float) -> tuple[bytes, bytes]:
    """What the tool prints. Raises ``TimeoutExpired``.

    A process that it has started, such as the upload of telemetry, may go on and hold the pipes
    open. It is not waited for.
    """
    end = time.monotonic() + timeout
    ended = False
    while True:
        try:
            return process.communicate(timeout=max(0.0, min(LOOK_EVERY, end - time.monotonic())))
        except subprocess.TimeoutExpired as late:
            if ended and late.output:
                _close(process)
                return late.output, late.stderr or b""
            if time.monotonic() >= end:
                raise
            ended = process.poll() is not None


def checked(resource: str, tenant: str) -> None:
    """Raise ``ConfigurationError`` for what must not be an argument of a command."""
    for what, text, form in (("scope", resource, _SAFE), ("tenant", tenant, _TENANT)):
        if text and not form.fullmatch(text):
            raise ConfigurationError(
                f"The {what} {plain(text)!r} contains a character that is not passed to a command.",
                code="bad_argument",
                hint="Letters, digits, and the characters - . (in a scope also _ : /) are allowed.",
            )


def _do(line: str) -> str:
    return f"Run this in a terminal of this machine, then this cell again: {line}"


def _safe_folder() -> str:
    """A folder of the system: Python, in which az is written, would import from the current one."""
    return os.environ.get("SYSTEMROOT", "C:\\") if _WINDOWS else str(Path("/"))


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End the tool and the processes that it has started."""
    with contextlib.suppress(OSError):
        if _WINDOWS:
            subprocess.run(  # noqa: S603
                ["taskkill", "/T", "/F", "/PID", str(process.pid)],  # noqa: S607
                capture_output=True,
                check=False,
                timeout=5,
            )
        else:
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(2)
    _close(process)


def _close(process: subprocess.Popen[bytes]) -> None:
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()

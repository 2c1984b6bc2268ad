"""The record of a third-party provider: its address, abilities and limitations."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.harness import missing
from tests.harness.ports import free_port
from tests.interop.foreign.front import Asked, Front

if TYPE_CHECKING:
    from playwright.sync_api import Page


PROVIDERS = Path(__file__).parents[3] / ".providers"
START_SECONDS = 20.0


@dataclass(frozen=True)
class Foreign:
    """A running third-party provider, with one public client and one user.

    ``first`` and ``second`` are the scopes of two APIs. ``fills`` says what the person types into
    a form with these fields, or ``None`` for a form to leave alone; ``clicks`` does the same on
    the provider's page in a browser, one page a call. ``unlisted`` are scopes that a sign-in has to
    name to last, as its metadata does not list them. ``cannot`` maps an ability to what the
    provider does instead; tests ask :meth:`can`, so that a gap is told and not skipped.
    """

    name: str
    front: Front
    issuer: str
    ca_file: str
    subject: str
    username: str
    first: str
    second: str
    token_path: str
    revocation_path: str
    fills: Callable[[Mapping[str, str], str], dict[str, str] | None]
    clicks: Callable[[Page, str], None]
    client_id: str = "notebooks"
    redirect_uri: str | None = None
    unlisted: tuple[str, ...] = ()
    cannot: Mapping[str, str] = field(default_factory=dict)

    @property
    def settings(self) -> dict[str, Any]:
        """The settings of a profile for it."""
        given: dict[str, Any] = {
            "authority": self.issuer,
            "client_id": self.client_id,
            "verify": self.ca_file,
        }
        return given | ({"redirect_uri": self.redirect_uri} if self.redirect_uri else {})

    def asking(self, *scopes: str) -> tuple[str, ...]:
        """The scopes for a sign-in that can be refreshed."""
        return (*scopes, *self.unlisted)

    def can(self, ability: str) -> bool:
        return ability not in self.cannot

    def forget(self) -> None:
        """Clear the recorded requests."""
        self.front.asked.clear()

    def token_requests(self, grant_type: str) -> list[Asked]:
        return [
            one
            for one in self.front.asked
            if one.path == self.token_path and one.form.get("grant_type") == grant_type
        ]

    def refreshes(self) -> list[Asked]:
        return self.token_requests("refresh_token")

    def revocations(self) -> list[Asked]:
        return [one for one in self.front.asked if one.path == self.revocation_path]


def own_python(name: str) -> str:
    """The interpreter of a provider's virtual environment."""
    python = PROVIDERS / name / "bin" / "python"
    if not python.exists():
        missing(f"{name} (run `make setup`)")
    return str(python)


def program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        missing(name)
    return found


def two_ports() -> tuple[int, int]:
    """The port of the TLS proxy, and of the server behind it."""
    return free_port(), free_port()


@contextmanager
def running(
    command: Sequence[str],
    front: Front,
    log: Path,
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Iterator[None]:
    """Start a server, wait until it responds, and stop it by its pid."""
    with log.open("wb") as log_file:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=log_file,
            stderr=subprocess.STDOUT,
            env=env,
            cwd=cwd,
        )
    try:
        with front.serving():
            _wait(process, front, log)
            yield
    finally:
        process.terminate()
        try:
            process.communicate(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate(timeout=5)


def _wait(process: subprocess.Popen[bytes], front: Front, log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        if front.answers():
            return
        time.sleep(0.1)
    raise RuntimeError(f"the provider did not start:\n{log.read_text(errors='replace')[-2000:]}")

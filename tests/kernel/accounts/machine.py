"""Sessions that share one persistence and one provider, as kernels of a machine do."""

from __future__ import annotations

from nbauth.core.settings_reader import SettingsReader
from nbauth.kernel.session import Session
from nbauth.testing.clock import FakeClock
from nbauth.testing.engine import ISSUER, FakeEngine
from nbauth.testing.screen import RecordingScreen
from tests.kernel.accounts.shelf import Shelf
from tests.kernel.conftest import redirect


class Machine:
    """A machine with one store and one provider, on which kernels start."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.engine = FakeEngine(clock=clock.time)
        self.shelf = Shelf()
        self.kernels: list[Session] = []

    def kernel(self, *, attended: bool = False, **settings: str) -> Session:
        """Start a new kernel; nobody is asked unless ``attended``."""
        environ = {
            "NBAUTH_AUTHORITY": ISSUER,
            "NBAUTH_CLIENT_ID": "notebooks",
            "NBAUTH_PERSIST": "keyring",
            "NBAUTH_REFRESH_AHEAD": "false",
            **{f"NBAUTH_{name.upper()}": value for name, value in settings.items()},
        }
        made = Session(
            SettingsReader(environ, look_every=0),
            RecordingScreen(attended=attended),
            lambda *_, **__: self.engine,
        )
        self.kernels.append(made)
        return made

    def signed_in(self, user: str = "ada") -> Session:
        """A kernel in which somebody has signed in."""
        kernel = self.kernel()
        self.engine.user = user
        kernel.login("read", web_ui=redirect, force=True)
        return kernel

    @property
    def refreshes(self) -> int:
        return self.engine.count("refresh")


def names(session: Session) -> list[str]:
    return [account.username for account in session.accounts()]


def said(session: Session) -> list[str]:
    return session.screen.said  # type: ignore[attr-defined,no-any-return]


def live(machine: Machine) -> set[str]:
    """The refresh tokens that the provider accepts."""
    return set(machine.engine.live)

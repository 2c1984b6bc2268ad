"""A real Secret Service: gnome-keyring on a session bus of its own, with a home of its own.

Nothing is started on demand by the bus, so a killed service stays down; and there is no prompter,
so that a locked keyring stays locked.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.harness import missing
from tests.harness.kernels import isolated_environment

if TYPE_CHECKING:
    from jeepney.io.blocking import DBusConnection

_PATIENCE = 20.0
_PASSWORD = b"the person's log-in password"
_BUS = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path={socket}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
"""


class SecretService:
    """Starts with ``start_bus`` and ``unlock``; everything can be ended and started again.

    Attributes:
        home: all files that it and its clients write.
        environment: what a client's process gets.
    """

    def __init__(self, home: Path) -> None:
        for program in ("dbus-daemon", "gnome-keyring-daemon"):
            if shutil.which(program) is None:
                missing(f"{program} (make setup installs it)")
        self.home = home
        self._socket = home / "run" / "bus"
        runtime = {"XDG_RUNTIME_DIR": str(home / "run")}
        address = {"DBUS_SESSION_BUS_ADDRESS": f"unix:path={self._socket}"}
        self.environment = {**isolated_environment(home), **runtime, **address}
        self._bus: subprocess.Popen[bytes] | None = None
        self._service: subprocess.Popen[bytes] | None = None
        (home / "run").mkdir(mode=0o700)

    @property
    def file(self) -> Path:
        """Where the service keeps its entries."""
        return self.home / "data" / "keyrings" / "login.keyring"

    @property
    def _log(self) -> Path:
        return self.home / "gnome-keyring-daemon.log"

    def start_bus(self) -> None:
        """Start the session bus."""
        settings = self.home / "bus.conf"
        settings.write_text(_BUS.format(socket=self._socket))
        self._bus = self._start("dbus-daemon", f"--config-file={settings}", "--nofork")
        _wait(self._socket.exists)

    def unlock(self) -> None:
        """Start the service as a log-in does, with the keyring open."""
        self._service = self._start(
            "gnome-keyring-daemon", "--foreground", "--components=secrets", "--unlock"
        )
        assert self._service.stdin is not None
        self._service.stdin.write(_PASSWORD)
        self._service.stdin.close()
        _wait(self._answers)

    def start_locked(self) -> None:
        """Start the service without unlocking the keyring."""
        self._service = self._start("gnome-keyring-daemon", "--foreground", "--components=secrets")
        _wait(self._answers)

    def hang(self) -> None:
        """Stop the service's process without ending it, so that it does not respond."""
        assert self._service is not None
        self._service.send_signal(signal.SIGSTOP)

    def kill_service(self) -> None:
        """End the service only."""
        _end(self._service)
        self._service = None

    def kill_bus(self) -> None:
        """End the session bus, as logging out does."""
        _end(self._bus)
        self._bus = None
        self._socket.unlink(missing_ok=True)

    def stop(self) -> None:
        """End bus and service. If the service has ended by itself, a failed test shows how."""
        if self._service is not None and (status := self._service.poll()) is not None:
            print(f"gnome-keyring-daemon has ended with {status}:", self._log.read_text("utf-8"))
        self.kill_service()
        self.kill_bus()

    def _start(self, *command: str) -> subprocess.Popen[bytes]:
        with (self.home / f"{command[0]}.log").open("ab") as log:
            return subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=log, stderr=log, env=self.environment
            )

    @contextmanager
    def connection(self) -> Iterator[DBusConnection]:
        """This process's own connection to the session bus."""
        from jeepney.io.blocking import open_dbus_connection

        with open_dbus_connection(f"unix:path={self._socket}") as opened:
            yield opened

    def _answers(self) -> bool:
        from secretstorage import check_service_availability

        with self.connection() as connection:
            return bool(check_service_availability(connection))


def _end(process: subprocess.Popen[bytes] | None) -> None:
    if process is None:
        return
    process.kill()
    process.wait(_PATIENCE)
    if process.stdin is not None and not process.stdin.closed:
        process.stdin.close()


def _wait(until: Callable[[], bool]) -> None:
    end = time.monotonic() + _PATIENCE
    while not until():
        if time.monotonic() > end:
            raise TimeoutError("the Secret Service did not start; see its log")
        time.sleep(0.02)


@contextmanager
def running_secret_service() -> Iterator[SecretService]:
    """An unlocked service, ended at the end."""
    with tempfile.TemporaryDirectory(prefix="nbauth-") as home:  # sockets need short paths
        service = SecretService(Path(home))
        try:
            service.start_bus()
            service.unlock()
            yield service
        finally:
            service.stop()


def without_any(home: Path) -> dict[str, str]:
    """The environment of a client that finds no bus at all."""
    (home / "run").mkdir(mode=0o700, exist_ok=True)
    return {**isolated_environment(home), "XDG_RUNTIME_DIR": str(home / "run")}

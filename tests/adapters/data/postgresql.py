"""A real PostgreSQL on loopback that has a token provider's word for each login.

The password of a login is an access token. PostgreSQL checks it by a bind at an LDAP server, which
asks the provider. So a token that has expired opens no connection.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.adapters.data.ldap_server import running_ldap_server
from tests.harness import missing
from tests.harness.certificates import Certificates
from tests.harness.ports import free_port

UNPACKED = Path(__file__).parents[3] / ".providers" / "postgresql"
"""Where ``tools/setup.sh`` unpacks Debian's package, if the machine does not have it installed."""
ADMIN = "postgres"


@dataclass
class Postgresql:
    """A running database server.

    Attributes:
        port: on 127.0.0.1, with and without TLS.
        ca_file: the certificate authority of its certificate, which is for ``localhost``.
        accepts: whether a token is valid for a user; set by a test.
        logins: the tokens that were sent.
    """

    port: int
    ca_file: Path
    accepts: Callable[[str, str], bool]
    logins: list[str]

    @property
    def encrypted(self) -> dict[str, Any]:
        """Arguments of libpq for the server, without a password."""
        return {
            "host": "localhost",
            "port": self.port,
            "user": "ada",
            "dbname": ADMIN,
            "sslmode": "verify-full",
            "sslrootcert": str(self.ca_file),
        }


@contextmanager
def running_postgresql(certificates: Certificates) -> Iterator[Postgresql]:
    """Create a database cluster, start its server and the LDAP server, and end them."""
    folder = Path(tempfile.mkdtemp(prefix="nbauth-postgresql-"))
    made = Postgresql(free_port(), certificates.ca_file, lambda *_: False, [])

    def accepts(name: str, password: str) -> bool:
        made.logins.append(password)
        return made.accepts(name.removeprefix("cn="), password)

    try:
        folder.chmod(0o755)
        programs = _programs(folder)
        with running_ldap_server(accepts) as ldap_port:
            data = _cluster(programs, folder, certificates, ldap_port)
            with _running_server(programs, data, made.port):
                yield made
    finally:
        shutil.rmtree(folder)


def _programs(folder: Path) -> Path:
    """The folder of PostgreSQL's programs."""
    installed, unpacked = (_newest(root / "usr/lib/postgresql") for root in (Path("/"), UNPACKED))
    if installed is not None:
        return installed
    if unpacked is None:
        missing("postgresql (run `make setup`)")
    if os.getuid() != 0:
        return unpacked
    # The user nobody may not be able to read the folder of the repository.
    shutil.copytree(UNPACKED / "usr", folder / "usr", symlinks=True, copy_function=_linked)
    return folder / unpacked.relative_to(UNPACKED)


def _newest(versions: Path) -> Path | None:
    found = sorted(versions.glob("*/bin/postgres"))
    return found[-1].parent if found else None


def _linked(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copy2(source, target)


def _command(programs: Path, program: str, *arguments: str) -> dict[str, Any]:
    """What starts a program as a user who is not root, since PostgreSQL refuses to run as root."""
    libraries = [str(one) for one in programs.parents[2].glob("*-linux-gnu*")]
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C"}
    if programs.parents[3] != Path("/usr"):
        environment["LD_LIBRARY_PATH"] = ":".join(libraries)
    user: dict[str, Any] = {"user": "nobody", "group": "nogroup", "extra_groups": []}
    return {
        "args": [str(programs / program), *arguments],
        "env": environment,
        "stdin": subprocess.DEVNULL,
        "cwd": "/",
        **(user if os.getuid() == 0 else {}),
    }


def _cluster(programs: Path, folder: Path, certificates: Certificates, ldap_port: int) -> Path:
    data = folder / "data"
    data.mkdir(mode=0o700)
    if os.getuid() == 0:
        nobody = pwd.getpwnam("nobody").pw_uid
        os.chown(data, nobody, -1)
    initdb = _command(
        programs, "initdb", "--pgdata", str(data), "--no-sync", "--auth=trust", "--locale=C",
        "--encoding=UTF8", f"--username={ADMIN}",
    )  # fmt: skip
    done = subprocess.run(**initdb, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr[-800:]
    single = _command(programs, "postgres", "--single", "-D", str(data), ADMIN)
    del single["stdin"]
    subprocess.run(**single, input=b"CREATE ROLE ada LOGIN", check=True, capture_output=True)
    ldap = f'ldap ldapserver=127.0.0.1 ldapport={ldap_port} ldapprefix="cn="'
    (data / "pg_hba.conf").write_text(f"host all all 127.0.0.1/32 {ldap}\n")
    for source, name in (
        (certificates.cert_file, "server.crt"),
        (certificates.key_file, "server.key"),
    ):
        shutil.copyfile(source, data / name)
        os.chmod(data / name, 0o600)
        os.chown(data / name, data.stat().st_uid, -1)
    return data


@contextmanager
def _running_server(programs: Path, data: Path, port: int) -> Iterator[None]:
    settings = {
        "listen_addresses": "127.0.0.1",
        "port": port,
        "unix_socket_directories": "",
        "ssl": "on",
        "fsync": "off",
        "max_connections": 50,
        "shared_buffers": "16MB",
    }
    options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    log = data.parent / "log"
    with log.open("wb") as log_file:
        server = subprocess.Popen(
            **_command(programs, "postgres", "-D", str(data), *options),
            stdout=log_file,
            stderr=subprocess.STDOUT,
        )
    try:
        end = time.monotonic() + 30
        while "ready to accept connections" not in log.read_text():
            if server.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"PostgreSQL did not start:\n{log.read_text()[-2000:]}")
            time.sleep(0.02)
        yield
    finally:
        server.send_signal(signal.SIGINT)  # SIGTERM would wait for open connections
        server.wait(timeout=20)

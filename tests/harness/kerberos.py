"""A Kerberos realm of the tests' own: MIT's KDC from Debian's packages, without root, on loopback.

``tools/setup.sh`` unpacks it into ``.providers/kerberos``, and puts the packages of
``nbauth[kerberos]`` there too.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.harness import missing
from tests.harness.ports import free_port

ROOT = Path(__file__).parents[2] / ".providers" / "kerberos"
PYTHON = ROOT / "python"
REALM = "EXAMPLE.ORG"
USER = f"ada@{REALM}"
SERVICE = "HTTP/localhost"
"""The service principal of a server that is called at ``https://localhost:<port>``."""


@dataclass(frozen=True)
class Kerberos:
    """A running realm with one user and one service.

    Attributes:
        environment: what a program needs to use the realm.
        keytab: the key of the service.
        folder: of its files.
    """

    environment: Mapping[str, str]
    keytab: Path
    folder: Path

    def ticket(self, name: str, *, seconds: int = 3600) -> Path:
        """Sign the user in; returns the new credential cache, a file."""
        cache = self.folder / f"{name}.ccache"
        self._run(
            "kinit", "-l", f"{seconds}s", "-c", str(cache), "-k", "-t",
            str(self.folder / "user.keytab"), USER,
        )  # fmt: skip
        return cache

    def expired_ticket(self) -> Path:
        """A credential cache whose ticket has expired. Kerberos counts whole seconds."""
        cache = self.ticket("expired", seconds=1)
        time.sleep(2.5)
        return cache

    def variables(self, cache: Path) -> dict[str, str]:
        """The environment of a process that uses this credential cache."""
        return {"KRB5_CONFIG": self.environment["KRB5_CONFIG"], "KRB5CCNAME": f"FILE:{cache}"}

    def _run(self, program: str, *arguments: str) -> None:
        run(self.environment, program, *arguments)


def run(environment: Mapping[str, str], program: str, *arguments: str) -> None:
    """Run a program of the packages to its end."""
    done = subprocess.run(
        [_program(program), *arguments],
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, f"{program}: {done.stderr[-500:]}"


def _program(name: str) -> str:
    return next(str(p) for d in ("sbin", "bin") if (p := ROOT / "usr" / d / name).exists())


@contextmanager
def running_kerberos(folder: Path) -> Iterator[Kerberos]:
    """Create a realm, start its KDC, and end it."""
    if not (ROOT / "usr" / "sbin" / "krb5kdc").exists():
        missing("krb5-kdc (run `make setup`)")
    if not (PYTHON / "gssapi").is_dir():
        missing("pyspnego[kerberos] (run `make setup`)")
    sys.path.append(str(PYTHON))
    port = free_port()
    environment = _written(folder, port)
    run(environment, "kdb5_util", "create", "-s", "-P", "not-secret", "-r", REALM)
    for principal, keytab in ((USER, "user.keytab"), (f"{SERVICE}@{REALM}", "service.keytab")):
        for order in (f"addprinc -randkey {principal}", f"ktadd -k {folder / keytab} {principal}"):
            run(environment, "kadmin.local", "-r", REALM, "-q", order)
    log = folder / "kdc.log"
    with log.open("wb") as log_file:
        kdc = subprocess.Popen(
            [_program("krb5kdc"), "-n", "-r", REALM],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log_file,
            stderr=subprocess.STDOUT,
        )
    try:
        _wait_for(kdc, port, log)
        yield Kerberos(environment, folder / "service.keytab", folder)
    finally:
        sys.path.remove(str(PYTHON))
        kdc.terminate()
        kdc.wait(timeout=10)


def _wait_for(kdc: subprocess.Popen[bytes], port: int, log: Path) -> None:
    end = time.monotonic() + 15
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        if kdc.poll() is not None or time.monotonic() > end:
            raise RuntimeError(f"the KDC did not start:\n{log.read_text()[-2000:]}")
        time.sleep(0.02)


def _written(folder: Path, port: int) -> dict[str, str]:
    """Write the configuration; returns the environment of the realm's own programs."""
    libraries = next((ROOT / "usr" / "lib").glob("*-linux-gnu*"))
    (folder / "krb5.conf").write_text(
        f"""[libdefaults]
default_realm = {REALM}
dns_lookup_kdc = false
dns_lookup_realm = false
dns_canonicalize_hostname = false
rdns = false
udp_preference_limit = 1
[realms]
{REALM} = {{
    kdc = 127.0.0.1:{port}
}}
[domain_realm]
localhost = {REALM}
[dbmodules]
db_module_dir = {libraries}/krb5/plugins/kdb
"""
    )
    (folder / "kdc.conf").write_text(
        f"""[realms]
{REALM} = {{
    kdc_listen = 127.0.0.1:{port}
    kdc_tcp_listen = 127.0.0.1:{port}
    database_name = {folder}/principal
    key_stash_file = {folder}/stash
    acl_file = {folder}/acl
}}
"""
    )
    return {
        "PATH": os.environ.get("PATH", ""),
        "LD_LIBRARY_PATH": str(libraries),
        "KRB5_CONFIG": str(folder / "krb5.conf"),
        "KRB5_KDC_PROFILE": str(folder / "kdc.conf"),
    }

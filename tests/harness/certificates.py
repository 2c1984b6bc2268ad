"""A certificate authority of the test run's own, and one server certificate for loopback."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import trustme


@dataclass(frozen=True)
class Certificates:
    """PEM files: the authority to trust, and the server's certificate."""

    ca_file: Path
    cert_file: Path
    key_file: Path


def make_certificates(directory: Path) -> Certificates:
    """Write ``ca.pem``, ``server.pem`` and ``server.key`` for 127.0.0.1, ::1 and localhost."""
    made = Certificates(directory / "ca.pem", directory / "server.pem", directory / "server.key")
    authority = trustme.CA()
    server = authority.issue_cert("127.0.0.1", "::1", "localhost")
    authority.cert_pem.write_to_path(str(made.ca_file))
    server.cert_chain_pems[0].write_to_path(str(made.cert_file))
    server.private_key_pem.write_to_path(str(made.key_file))
    return made

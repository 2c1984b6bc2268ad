"""The part of SQL Server that a driver needs to log in with an access token and select a number.

Sections are of Microsoft's document [MS-TDS] (Tabular Data Stream Protocol).
"""

from __future__ import annotations

import socketserver
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.harness.certificates import Certificates

SQL_BATCH, RPC, RESPONSE, LOGIN7, PRELOGIN = 1, 3, 4, 16, 18  # §2.2.3.1.1
END_OF_MESSAGE = 1
FEDAUTH = 2  # §2.2.6.4, FeatureExt
SECURITY_TOKEN = 1  # bFedAuthLibrary: the client already has the token
DONE = struct.pack("<BHHQ", 0xFD, 0, 0, 0)  # §2.2.7.6
FAILED = struct.pack("<BHHQ", 0xFD, 2, 0, 0)
LOGIN_FAILED = 18456


@dataclass
class SqlServer:
    """A running server.

    Attributes:
        accepts: whether a token is valid now.
        port: on 127.0.0.1, with TLS from the first byte ("strict" encryption of TDS 8.0).
        certificate: a PEM file.
        tokens: all that were sent, as text.
        refused: how many logins failed.
    """

    accepts: Callable[[str], bool]
    port: int
    certificate: Path
    tokens: list[str] = field(default_factory=list)
    refused: int = 0

    @property
    def connection_string(self) -> str:
        return (
            f"Server=127.0.0.1,{self.port};Database=master;Encrypt=strict;"
            f"ServerCertificate={self.certificate}"
        )

    def login(self, message: bytes) -> bytes:
        """The response to a login."""
        token = access_token(message)
        self.tokens.append(token)
        if not self.accepts(token):
            self.refused += 1
            return _error("Login failed for user '<token-identified principal>'.") + FAILED
        return _login_accepted() + DONE


@contextmanager
def running_sql_server(
    certificates: Certificates, accepts: Callable[[str], bool]
) -> Iterator[SqlServer]:
    """Start the server on loopback, and end it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.cert_file, certificates.key_file)
    context.set_alpn_protocols(["tds/8.0"])

    class Connection(socketserver.StreamRequestHandler):
        def setup(self) -> None:
            self.request = context.wrap_socket(self.request, server_side=True)
            super().setup()

        def handle(self) -> None:
            while message := self._message():
                kind, data = message
                self._respond(_answer(made, kind, data))

        def _message(self) -> tuple[int, bytes] | None:
            data, last = b"", False
            while not last:
                header = self.rfile.read(8)
                if len(header) < 8:
                    return None
                kind, status, length = struct.unpack(">BBH", header[:4])
                data += self.rfile.read(length - 8)
                last = bool(status & END_OF_MESSAGE)
            return kind, data

        def _respond(self, data: bytes) -> None:
            head = struct.pack(">BBHHBB", RESPONSE, END_OF_MESSAGE, len(data) + 8, 0, 1, 0)
            self.wfile.write(head + data)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        allow_reuse_address = True

        def handle_error(self, request: object, client_address: object) -> None:
            """A client that closes the connection early is no error of the server."""

    with Server(("127.0.0.1", 0), Connection) as server:
        made = SqlServer(accepts, server.server_address[1], certificates.cert_file)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield made
        finally:
            server.shutdown()


def _answer(server: SqlServer, kind: int, data: bytes) -> bytes:
    if kind == PRELOGIN:
        return _prelogin()
    if kind == LOGIN7:
        return server.login(data)
    if kind == RPC:  # pyodbc asks for the server's types; it goes on without an answer
        return _error("There are no procedures.") + FAILED
    return _number(42) if kind == SQL_BATCH and "SELECT" in data.decode("utf-16-le") else DONE


def access_token(login: bytes) -> str:
    """The access token of a LOGIN7 message (§2.2.6.4)."""
    at, length = struct.unpack_from("<HH", login, 56)  # ibExtension: where the offset is
    assert length == 4, "the login has no feature extensions"
    (at,) = struct.unpack_from("<I", login, at)
    while login[at] != 0xFF:
        feature, size = struct.unpack_from("<BI", login, at)
        if feature == FEDAUTH:
            options, token_size = struct.unpack_from("<BI", login, at + 5)
            assert options >> 1 == SECURITY_TOKEN
            return login[at + 10 : at + 10 + token_size].decode("utf-16-le")
        at += 5 + size
    raise AssertionError("the login has no access token")


def _prelogin() -> bytes:
    """§2.2.6.5: VERSION, ENCRYPTION, MARS, FEDAUTHREQUIRED."""
    options = ((0, b"\x10\x00\x03\xe8\x00\x00"), (1, b"\x00"), (4, b"\x00"), (6, b"\x01"))
    head, body, at = b"", b"", 5 * len(options) + 1
    for name, value in options:
        head += struct.pack(">BHH", name, at + len(body), len(value))
        body += value
    return head + b"\xff" + body


def _login_accepted() -> bytes:
    """LOGINACK (§2.2.7.14), then FEATUREEXTACK (§2.2.7.11) without a nonce."""
    name = "Tests".encode("utf-16-le")
    ack = (
        b"\x01" + struct.pack(">I", 0x74000004) + bytes([len(name) // 2]) + name + b"\x10\0\x03\xe8"
    )
    packet_size = _text(4, "4096", "4096")
    return (
        b"\xad" + struct.pack("<H", len(ack)) + ack + packet_size
        + b"\xae" + struct.pack("<BI", FEDAUTH, 0) + b"\xff"
    )  # fmt: skip


def _text(kind: int, new: str, old: str) -> bytes:
    """ENVCHANGE (§2.2.7.9)."""
    texts = b"".join(bytes([len(text)]) + text.encode("utf-16-le") for text in (new, old))
    return b"\xe3" + struct.pack("<HB", len(texts) + 1, kind) + texts


def _error(text: str) -> bytes:
    """ERROR (§2.2.7.10)."""
    message = struct.pack("<H", len(text)) + text.encode("utf-16-le")
    body = struct.pack("<iBB", LOGIN_FAILED, 1, 14) + message + b"\0\0" + struct.pack("<I", 1)
    return b"\xaa" + struct.pack("<H", len(body)) + body


def _number(number: int) -> bytes:
    """One column, one row: COLMETADATA (§2.2.7.4), ROW (§2.2.7.19), DONE with a count."""
    name = "n".encode("utf-16-le")
    column = struct.pack("<HIHB", 1, 0, 0, 0x38) + b"\x01" + name
    done = struct.pack("<BHHQ", 0xFD, 0x10, 0xC1, 1)
    return b"\x81" + column + b"\xd1" + struct.pack("<i", number) + done

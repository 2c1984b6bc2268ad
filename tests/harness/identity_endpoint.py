"""The endpoints of managed identities as Azure documents them, on loopback.

Documented in "How to use managed identities on a VM", "Managed identities for App Service",
"Authenticate against Azure resources with Azure Arc", and "Use managed identity in a Service Fabric
app". MSAL and azure-identity are the witnesses: the tests let them use the same endpoints.
"""

from __future__ import annotations

import hashlib
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.harness.certificates import Certificates

HEADER = "header-of-this-run"
KEY = "content-of-the-key-file"
SOURCES = ("vm", "app-service", "machine-learning", "arc", "service-fabric")


@dataclass
class Endpoint:
    """One running endpoint.

    Attributes:
        source: one of ``SOURCES``, or ``cloud-shell``.
        base: its origin.
        folder: of Azure Arc's key files.
        asked: query, headers and form of each request.
        misbehave: responds instead, if it is set.
    """

    source: str
    base: str
    folder: Path
    thumbprint: str = ""
    asked: list[tuple[dict[str, str], Mapping[str, str]]] = field(default_factory=list)
    misbehave: Callable[[BaseHTTPRequestHandler], None] | None = None
    identities: tuple[str, ...] = ("", "user-assigned")

    @property
    def variables(self) -> dict[str, str]:
        """What the platform sets in the environment of its programs."""
        url = f"{self.base}/msi/token"
        match self.source:
            case "vm":
                return {"AZURE_POD_IDENTITY_AUTHORITY_HOST": self.base}
            case "app-service":
                return {"IDENTITY_ENDPOINT": url, "IDENTITY_HEADER": HEADER}
            case "machine-learning":
                return {"MSI_ENDPOINT": url, "MSI_SECRET": HEADER}
            case "arc":
                return {"IDENTITY_ENDPOINT": url, "IMDS_ENDPOINT": self.base}
            case "service-fabric":
                return {
                    "IDENTITY_ENDPOINT": url,
                    "IDENTITY_HEADER": HEADER,
                    "IDENTITY_SERVER_THUMBPRINT": self.thumbprint,
                }
        return {"MSI_ENDPOINT": url, "AZUREPS_HOST_ENVIRONMENT": "cloud-shell/1.0"}

    def answer(self, query: dict[str, str], headers: Mapping[str, str]) -> tuple[int, Any]:
        """Status and JSON of a request; 400 if it has not the documented form."""
        now = int(time.time())
        resource = query.get("resource")
        if not resource:
            return 400, {"error": "invalid_request", "error_description": "no resource"}
        chosen = query.get("client_id") or query.get("clientid") or ""
        token = {
            "access_token": f"{self.source}:{chosen}:{resource}:{len(self.asked)}",
            "expires_on": str(now + 86400),
            "resource": resource,
            "token_type": "Bearer",
        }
        lives = {"expires_in": "86400"}
        match self.source:
            case "vm":
                good = query["api-version"] == "2018-02-01" and headers["Metadata"] == "true"
                if chosen not in self.identities:
                    words = "Identity not found"
                    return 400, {"error": "invalid_request", "error_description": words}
                return (200, token | lives) if good else (400, {"error": "bad_request_102"})
            case "app-service":
                good = headers["X-IDENTITY-HEADER"] == HEADER
                good = good and query["api-version"] == "2019-08-01"
            case "machine-learning":
                good = headers["secret"] == HEADER and query["api-version"] == "2017-09-01"
            case "arc":
                if headers.get("Authorization") != f"Basic {KEY}":
                    return 401, {}
                good = headers["Metadata"] == "true"
                token |= lives | {"client_id": chosen}
            case "service-fabric":
                good = headers["Secret"] == HEADER
            case _:
                good = headers["Metadata"] == "true"
                token |= lives
        return (200, token) if good else (400, {"statusCode": 400, "message": "not as documented"})


@contextmanager
def running_endpoint(source: str, certificates: Certificates, folder: Path) -> Iterator[Endpoint]:
    """Serve one endpoint; Service Fabric's with TLS."""
    (folder / "challenge.key").write_text(KEY)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._respond(dict(parse_qsl(urlsplit(self.path).query)))

        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            self._respond(dict(parse_qsl(self.rfile.read(length).decode())))

        def _respond(self, query: dict[str, str]) -> None:
            made.asked.append((query, self.headers))
            if made.misbehave is not None:
                made.misbehave(self)
                return
            status, told = made.answer(query, self.headers)
            body = json.dumps(told).encode()
            self.send_response(status)
            if status == 401:
                realm = folder / "challenge.key"
                self.send_header("WWW-Authenticate", f"Basic realm={realm}")
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    scheme, thumbprint = "http", ""
    if source == "service-fabric":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificates.cert_file, certificates.key_file)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        der = ssl.PEM_cert_to_DER_cert(certificates.cert_file.read_text())
        scheme, thumbprint = "https", hashlib.sha1(der).hexdigest().upper()
    base = f"{scheme}://127.0.0.1:{server.server_address[1]}"
    made = Endpoint(source, base, folder, thumbprint)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)

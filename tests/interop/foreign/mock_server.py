"""oauth2-mock-server (npm): no sign-in page, and configurable token responses."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.harness import missing
from tests.harness.certificates import Certificates
from tests.harness.ports import free_port
from tests.interop.foreign.front import Front
from tests.interop.foreign.provider import Foreign, program, running, two_ports

if TYPE_CHECKING:
    from playwright.sync_api import Page

NODE = Path(__file__).parents[1] / "provider"

_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True)
class MockServer:
    """The provider, and its configuration."""

    foreign: Foreign
    order_port: int
    plain_http: str
    """Its address without the TLS proxy."""

    def order(self, **told: Any) -> None:
        """Configure the following responses; missing keys mean the default.

        Args:
            told: ``answer`` and ``leave_out``, members of the token response; ``claims`` and
                ``algorithm`` of the ID token; ``redirect``, members of the redirect's query (None:
                to be left out); ``issuer``, its own address.
        """
        url = f"http://127.0.0.1:{self.order_port}"
        with _direct.open(url, json.dumps(told).encode(), timeout=10):
            pass


@contextmanager
def running_mock_server(certificates: Certificates, directory: Path) -> Iterator[MockServer]:
    if not (NODE / "node_modules" / "oauth2-mock-server").is_dir():
        missing("oauth2-mock-server (run `make setup`)")
    node = program("node")
    (port, behind), order_port = two_ports(), free_port()
    front = Front(port, behind, certificates)
    command = [node, "mock_server.mjs", str(behind), front.url, str(order_port)]
    with running(command, front, directory / "mock_server.log", cwd=NODE):
        foreign = Foreign(
            name="mock_server",
            front=front,
            issuer=front.url,
            ca_file=str(certificates.ca_file),
            subject="johndoe",
            username="johndoe",
            first="api.read",
            second="api.write",
            token_path="/token",
            revocation_path="/revoke",
            fills=_nothing,
            clicks=_nothing,
            cannot={
                "device": "has no device grant",
                "end_tokens": "accepts any refresh token, also used and revoked ones",
            },
        )
        yield MockServer(foreign, order_port, f"http://127.0.0.1:{behind}")


def _nothing(page: Page | Mapping[str, str], user_code: str) -> None:
    """No page is shown."""

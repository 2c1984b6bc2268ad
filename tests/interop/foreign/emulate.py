"""emulate (npm, by Vercel Labs): Microsoft's endpoints for sign-in, and a small Microsoft Graph.

It serves ``/v1.0/me`` and ``/v1.0/users/{id}``. It has no lists, no ``$batch``, no delta query and
no files, and checks no scopes. It takes a token that it did not issue for one of the first user, so
the tests sign in as the second.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.harness import missing
from tests.harness.certificates import Certificates
from tests.harness.ports import free_port
from tests.interop.foreign.front import Front
from tests.interop.foreign.mock_server import NODE
from tests.interop.foreign.provider import Foreign, program, running, two_ports

if TYPE_CHECKING:
    from playwright.sync_api import Page

TENANT = "9188040d-6c67-4c5b-b112-36a304b66dad"
GRACE = "grace@example.org"


@contextmanager
def running_emulate(certificates: Certificates, directory: Path) -> Iterator[Foreign]:
    if not (NODE / "node_modules" / "emulate").is_dir():
        missing("emulate (run `make setup`)")
    port, behind = two_ports()
    front = Front(port, behind, certificates)
    redirect_uri = f"http://127.0.0.1:{free_port()}/callback"
    command = [program("node"), "emulate_microsoft.mjs", str(behind), front.url, redirect_uri]
    with running(command, front, directory / "emulate.log", cwd=NODE):
        yield Foreign(
            name="emulate",
            front=front,
            issuer=f"{front.url}/{TENANT}/v2.0",
            ca_file=str(certificates.ca_file),
            subject="",  # made up at each start
            username=GRACE,
            first="User.Read",
            second="Mail.Read",
            token_path="/oauth2/v2.0/token",
            revocation_path="/oauth2/v2.0/revoke",
            redirect_uri=redirect_uri,
            fills=_fills,
            clicks=_clicks,
        )


def _fills(fields: Mapping[str, str], user_code: str) -> dict[str, str] | None:
    """Each user is a form with a button."""
    return dict(fields) if fields.get("email") == GRACE else None


def _clicks(page: Page, user_code: str) -> None:
    page.get_by_text(GRACE).click()

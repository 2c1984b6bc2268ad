"""Canaille (PyPI): drops scopes that a client may not have, compares redirect URIs exactly.

At a refresh it refuses dropped scopes, and reduces the grant to the requested ones. It
signs ID tokens with RS256, ES256 or EdDSA; its errors lack the announced ``iss``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.harness.certificates import Certificates
from tests.harness.ports import free_port
from tests.interop.foreign.front import Front
from tests.interop.foreign.provider import Foreign, own_python, running, two_ports

if TYPE_CHECKING:
    from playwright.sync_api import Page

PASSWORD = "a-password"
ALGORITHMS = ("RS256", "ES256", "EdDSA")
"""Each has a client: ``notebooks`` and ``notebooks-<algorithm>``."""


@contextmanager
def running_canaille(certificates: Certificates, directory: Path) -> Iterator[Foreign]:
    python = own_python("canaille")
    port, behind = two_ports()
    front = Front(port, behind, certificates)
    redirect_uri = f"http://127.0.0.1:{free_port()}/callback"
    client = {
        "redirect_uris": [redirect_uri],
        "scope": ["openid", "profile", "email", "phone", "groups"],
    }
    told = {
        "port": behind,
        "host": front.url.removeprefix("https://"),
        "keys": ALGORITHMS,
        "person": {
            "user_name": "ada", "password": PASSWORD, "formatted_name": "Ada Lovelace",
            "display_name": "ada", "family_name": "Lovelace", "emails": ["ada@example.org"],
            "phone_numbers": ["5"],
        },
        "clients": [
            {"client_id": "notebooks", **client},
            *(
                {"client_id": f"notebooks-{name}", "id_token_signed_response_alg": name, **client}
                for name in ALGORITHMS
            ),
        ],
    }  # fmt: skip
    starter = str(Path(__file__).with_name("start_canaille.py"))
    with running(
        [python, "-P", starter, json.dumps(told)], front, directory / "canaille.log", cwd=directory
    ):
        yield Foreign(
            name="canaille",
            front=front,
            issuer=front.url,
            ca_file=str(certificates.ca_file),
            subject="ada",
            username="ada",
            first="phone",
            second="groups",
            token_path="/oauth/token",
            revocation_path="/oauth/revoke",
            redirect_uri=redirect_uri,
            fills=_fills,
            clicks=_clicks,
            cannot={
                "device": "has no device grant",
                "revoke": "requires a client secret, so public clients cannot revoke",
            },
        )


def _fills(fields: Mapping[str, str], user_code: str) -> dict[str, str] | None:
    if "login" in fields:
        return {**fields, "login": "ada"}
    if "password" in fields:
        return {**fields, "password": PASSWORD}
    if "answer" in fields:
        return {**fields, "answer": "accept"}
    return None


def _clicks(page: Page, user_code: str) -> None:
    for name, typed in (("login", "ada"), ("password", PASSWORD)):
        box = page.locator(f"input[name={name}]")
        if box.is_visible():
            box.fill(typed)
            box.press("Enter")
            return
    accept = page.locator("button[name=answer][value=accept]")
    if accept.is_visible():
        accept.click()

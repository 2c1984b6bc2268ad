"""nanoidp (PyPI): device codes, rotation and revocation for public clients, ``iss`` in responses.

A refresh with fewer scopes reduces the grant to them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.harness.certificates import Certificates
from tests.interop.foreign.front import Front
from tests.interop.foreign.provider import Foreign, own_python, running, two_ports

if TYPE_CHECKING:
    from playwright.sync_api import Page

PASSWORD = "a-password"
CLIENT_SECRET = "a-client-secret-of-nanoidp"
SCOPES = ["openid", "profile", "email", "offline_access", "api.read", "api.write"]


@contextmanager
def running_nanoidp(certificates: Certificates, directory: Path) -> Iterator[Foreign]:
    python = own_python("nanoidp")
    port, behind = two_ports()
    front = Front(port, behind, certificates)
    settings = {
        "config_version": 1,
        "device_flow": {"polling_interval": 1},
        "oauth": {
            "issuer": front.url,
            "audience": "the-apis",
            "token_expiry_minutes": 1,
            "scopes_supported": SCOPES,
            "clients": [
                {
                    "client_id": "notebooks",
                    "token_endpoint_auth_method": "none",
                    "redirect_uris": ["http://127.0.0.1:1", "http://127.0.0.1:1/"],
                },
                {
                    "client_id": "web",
                    "client_secret": CLIENT_SECRET,
                    "redirect_uris": ["http://127.0.0.1:1", "http://127.0.0.1:1/"],
                },
                {
                    "client_id": "web-post",
                    "client_secret": CLIENT_SECRET,
                    "token_endpoint_auth_method": "client_secret_post",
                    "redirect_uris": ["http://127.0.0.1:1", "http://127.0.0.1:1/"],
                },
            ],
        },
    }
    people = {"ada": {"password": PASSWORD, "email": "ada@example.org"}}
    (directory / "keys").mkdir()
    for name, content in (
        ("settings", settings),
        ("users", {"config_version": 1, "users": people}),
    ):
        (directory / f"{name}.yaml").write_text(json.dumps(content))  # JSON is valid YAML
    command = [
        python, "-m", "nanoidp", "--config", str(directory), "--port", str(behind),
        "--strict-config",
    ]  # fmt: skip
    env = {**os.environ, "PYTHONUNBUFFERED": "1"}
    log = directory / "nanoidp.log"
    with running(command, front, log, env=env, cwd=directory):
        yield Foreign(
            name="nanoidp",
            front=front,
            issuer=front.url,
            ca_file=str(certificates.ca_file),
            subject="ada",
            username="ada",
            first="api.read",
            second="api.write",
            token_path="/token",
            revocation_path="/revoke",
            fills=_fills,
            clicks=_clicks,
        )


def _fills(fields: Mapping[str, str], user_code: str) -> dict[str, str] | None:
    filled = dict(fields)
    if "username" not in fields:
        return None
    filled |= {"username": "ada", "password": PASSWORD}
    if "user_code" in fields:
        filled |= {"user_code": user_code, "action": "authorize"}
    return filled


def _clicks(page: Page, user_code: str) -> None:
    if page.locator("input[name=user_code]").is_visible():
        page.locator("input[name=user_code]").fill(user_code)
    if page.locator("input[name=username]").is_visible():
        page.locator("input[name=username]").fill("ada")
        page.locator("input[name=password]").fill(PASSWORD)
        page.locator("button[type=submit]").first.click()

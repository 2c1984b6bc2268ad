"""A person at the provider's pages (with form posts), and a client at its token endpoint."""

from __future__ import annotations

import base64
import hashlib
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msal
import requests

from nbauth.demo.servers import Demo
from nbauth.demo.tour import interaction_in

REDIRECT = "http://localhost:49152/any/path"
VERIFIER = "v" * 50
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=")


def public_client(demo: Demo, **options: Any) -> msal.PublicClientApplication:
    settings: dict[str, Any] = {
        "authority": demo.authority,
        "instance_discovery": False,
        "verify": demo.ca_file,
        **options,
    }
    return msal.PublicClientApplication(settings.pop("client_id", demo.client_id), **settings)


def press(
    demo: Demo, browser: requests.Session, page: requests.Response, action: str, **fields: str
) -> requests.Response:
    form = {"interaction": interaction_in(page.text), "action": action, **fields}
    return browser.post(
        f"{demo.provider.page_origin}/interaction", data=form, allow_redirects=False, timeout=5
    )


def sign_in(
    demo: Demo, browser: requests.Session, page: requests.Response, **fields: str
) -> requests.Response:
    person = {"username": demo.user, "password": demo.password, **fields}
    return press(demo, browser, page, "sign-in", **person)


def authorize(demo: Demo, browser: requests.Session, **parameters: str | None) -> requests.Response:
    query = {
        "client_id": demo.client_id,
        "response_type": "code",
        "redirect_uri": REDIRECT,
        "scope": "User.Read openid profile offline_access",
        "code_challenge": CHALLENGE.decode(),
        "code_challenge_method": "S256",
        "state": "s-1",
        **parameters,
    }
    address = f"{demo.provider.page_origin}/{demo.provider.tenant_id}/oauth2/v2.0/authorize"
    return browser.get(
        address,
        params={k: v for k, v in query.items() if v is not None},
        allow_redirects=False,
        timeout=5,
    )


def answer_of(response: requests.Response) -> dict[str, str]:
    assert response.status_code == 303, response.text
    return dict(parse_qsl(urlsplit(response.headers["Location"]).query))


def post_token(
    demo: Demo, http: requests.Session, tenant: str | None = None, **fields: str
) -> requests.Response:
    address = f"{demo.provider.origin}/{tenant or demo.provider.tenant_id}/oauth2/v2.0/token"
    return http.post(address, data={"client_id": demo.client_id, **fields}, timeout=5)


def tokens(
    demo: Demo, http: requests.Session, scope: str = "User.Read", **more: str
) -> dict[str, Any]:
    """Get tokens with user name and password."""
    fields = {"username": demo.user, "password": demo.password, **more}
    response = post_token(
        demo, http, grant_type="password", scope=f"{scope} openid offline_access", **fields
    )
    body: dict[str, Any] = response.json()
    assert response.status_code == 200, body
    return body

"""Authentication of a client with a secret (RFC 6749 §2.3.1)."""

from __future__ import annotations

import base64
from typing import Any
from urllib.parse import parse_qsl, quote_plus, urlencode

from nbauth.core.secret import SecretStr
from nbauth.oauth.metadata import Metadata

NONE, BASIC, POST = "none", "client_secret_basic", "client_secret_post"


def method_of(metadata: Metadata) -> str:
    """The authentication method to use with this provider.

    The default in metadata is Basic (RFC 8414 §2). Providers without metadata, such as GitHub,
    expect the secret as a parameter.
    """
    if not metadata.published:
        return POST
    offered = metadata.words("token_endpoint_auth_methods_supported") or (BASIC,)
    return POST if POST in offered and BASIC not in offered else BASIC


class ClientAuthentication:
    """``auth=`` of a request to the token, device or revocation endpoint.

    Without a secret it only adds ``client_id``. Parameters that the body already has are kept.
    """

    def __init__(self, client_id: str, secret: SecretStr | None = None, method: str = NONE) -> None:
        self._client_id = client_id
        self._secret = secret
        self._method = method

    def __call__(self, request: Any) -> Any:
        if self._secret is not None and self._method == BASIC:
            pair = f"{quote_plus(self._client_id)}:{quote_plus(self._secret)}"
            request.headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
            return request
        sent = parse_qsl(_text(request.body), keep_blank_values=True)
        more = {"client_id": self._client_id}
        if self._secret is not None:
            more["client_secret"] = str(self._secret)
        names = {name for name, _ in sent}
        sent += [(name, value) for name, value in more.items() if name not in names]
        request.prepare_body(urlencode(sent), None)
        return request


def _text(body: str | bytes | None) -> str:
    return body.decode() if isinstance(body, bytes) else body or ""

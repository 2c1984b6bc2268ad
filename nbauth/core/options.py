"""The options of the public functions, for type checkers and editors; not loaded otherwise.

Every setting is an option of a call too: it then holds for that call only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, TypedDict


class CallOptions(TypedDict, total=False):
    """Settings that any call takes; see docs/reference/settings.md."""

    profile: str | None
    client_id: str | None
    tenant: str | None
    authority: str | None
    metadata_url: str | None
    authorization_endpoint: str | None
    token_endpoint: str | None
    device_authorization_endpoint: str | None
    userinfo_endpoint: str | None
    revocation_endpoint: str | None
    client_secret_from: Literal["environment", "keyring"] | None
    cloud: str | None
    exact_scopes: bool | None
    flow: str | None
    persist: str | None
    extra_parameters: Mapping[str, str] | None
    redirect_uri: str | None
    open_browser: bool | str | Callable[[str], object] | None
    success_page: str | None
    error_page: str | None
    timeout: float | None
    refresh_ahead: bool | None
    verify: bool | str | None
    proxies: Mapping[str, str] | None


class SettingOptions(CallOptions, total=False):
    """All settings."""

    scopes: Sequence[str] | str | None
    hosts: Mapping[str, Sequence[str]] | None
    redact: bool | None
    debug: bool | None


class SignInOptions(CallOptions, total=False):
    """What a sign-in can be told besides (OpenID Connect Core §3.1.2.1).

    ``max_age`` in seconds; ``claims`` a JSON object as text; ``consent_also`` scopes that are
    agreed to now and used later.
    """

    prompt: str | None
    login_hint: str | None
    domain_hint: str | None
    max_age: int | None
    claims: str | None
    consent_also: Sequence[str] | str | None

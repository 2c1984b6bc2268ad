"""The options of the public functions, for type checkers and editors; not imported at run time.

The settings of :class:`CallOptions` are also options of each call, and then apply to it only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, TypedDict


class CallOptions(TypedDict, total=False):
    """Settings that any call accepts; see docs/reference/settings.md."""

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
    token_endpoint_auth_method: Literal["client_secret_basic", "client_secret_post"] | None
    client_certificate: str | None
    client_certificate_chain: bool | None
    client_assertion_file: str | None
    cloud: str | None
    exact_scopes: bool | None
    flow: str | None
    persist: str | None
    graph_url: str | None
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
    attended: bool | Literal["auto"] | None
    credential: object | None


class SignInOptions(CallOptions, total=False):
    """Additional options of a sign-in (OpenID Connect Core §3.1.2.1).

    ``max_age`` is in seconds; ``claims`` is a JSON object as a string; ``consent_also`` are extra
    scopes to consent to in the same sign-in; the token does not contain them.
    """

    prompt: str | None
    login_hint: str | None
    domain_hint: str | None
    max_age: int | None
    claims: str | None
    consent_also: Sequence[str] | str | None

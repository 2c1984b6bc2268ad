"""Which host gets which token: the one object that requests and httpx take as ``auth``.

The decision is made on the prepared URL, at every hop: https, an exact host that is listed, its
listed port, no user name in the address. Any other request goes out as it came, without a token.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

from requests.auth import AuthBase
from urllib3.exceptions import LocationParseError
from urllib3.util import parse_url

from nbauth.core.errors import ConfigurationError
from nbauth.core.scopes import Scopes
from nbauth.core.secret import refuse_pickling
from nbauth.kernel.client import Client
from nbauth.oauth.http import VerifiedSession

Fetch = Callable[[Iterable[str], bool], str]
"""``fetch(scopes, anew)`` gives an access token."""

_httpx_auth: Any = object
if find_spec("httpx") is not None:
    import httpx

    _httpx_auth = httpx.Auth


def listed_hosts(
    client: Client, scopes: Scopes | None, only: Iterable[str] | None = None
) -> dict[str, tuple[str, ...]]:
    """The hosts that may get a token, each with the scopes of its token.

    The settings' ``hosts`` and the cloud's own; with ``scopes``, only hosts of their resource;
    with ``only``, a subset. Raises ``ConfigurationError`` for a host that is not listed.
    """
    resource = scopes.resource if scopes is not None and client.authority.microsoft else None
    hosts: dict[str, tuple[str, ...]] = {}
    for host, its_scopes in client.settings.hosts.items():
        wanted = client.scopes(its_scopes)
        if resource is None or wanted.resource == resource:
            hosts[host] = tuple(scopes) if scopes is not None else tuple(wanted)
    for host, its_resource in client.authority.hosts.items():
        if resource is None:
            hosts.setdefault(host, _default_scopes(client, its_resource))
        elif resource.rstrip("/") == its_resource.rstrip("/"):
            hosts.setdefault(host, tuple(scopes or ()))
    if only is None:
        return hosts
    chosen = {}
    for name in only:
        entry = _entry(name.lower(), hosts)
        if entry is None:
            raise ConfigurationError(
                f"{name} is not a listed host.",
                code="unlisted_host",
                hint="List it in the setting hosts with its scopes: "
                f"nbauth.configure(hosts={{'{name}': [...]}}).",
            )
        chosen[name.lower()] = entry
    return chosen


def _default_scopes(client: Client, resource: str) -> tuple[str, ...]:
    default = client.scopes(())
    if default.resource and default.resource.rstrip("/") == resource.rstrip("/"):
        return tuple(default)
    return (f"{resource}/.default",)


def _entry(host: str, hosts: Mapping[str, tuple[str, ...]]) -> tuple[str, ...] | None:
    """The scopes of a host; an entry ``.suffix`` stands for exactly one label before it."""
    if host in hosts:
        return hosts[host]
    label, dot, suffix = host.partition(".")
    return hosts.get(dot + suffix) if label else None


class Auth(AuthBase, _httpx_auth):  # type: ignore[misc]
    """Adds ``Authorization: Bearer`` (RFC 6750 §2.1) to requests for listed hosts only.

    A 401 is answered once, with a token fetched anew.
    """

    def __init__(self, hosts: Mapping[str, tuple[str, ...]], fetch: Fetch) -> None:
        self._hosts = dict(hosts)
        self._fetch = fetch

    def __repr__(self) -> str:
        return f"<nbauth.auth for {', '.join(self._hosts)}>"

    def __reduce_ex__(self, protocol: object) -> Any:
        refuse_pickling(self, "call nbauth.auth() where it is needed.")

    def scopes_for(self, url: str) -> tuple[str, ...] | None:
        """The scopes of the token that a prepared URL gets, or ``None`` for none."""
        try:
            split, dialled = urlsplit(url), parse_url(url)
            port = split.port
        except (ValueError, LocationParseError):
            return None
        host = (split.hostname or "").lower()
        if split.scheme != "https" or "@" in split.netloc or "\\" in url:
            return None
        if not host.isascii() or (dialled.host or "").lower().strip("[]") != host:
            return None  # two readings of one address: whoever wrote it wants one of them misread
        if host.startswith("."):
            return None
        if ":" in host:
            host = f"[{host}]"
        if port not in (None, 443):
            return self._hosts.get(f"{host}:{port}")
        return _entry(host, self._hosts)

    def __call__(self, request: Any) -> Any:
        scopes = self.scopes_for(request.url or "")
        if scopes is not None:
            request.headers["Authorization"] = f"Bearer {self._fetch(scopes, False)}"
            body = getattr(request, "body", None)
            # A redirect shares the hooks of the request before it: once is enough.
            once = self._retry not in request.hooks.get("response", ())
            if once and (body is None or isinstance(body, (bytes, str))):
                request.register_hook("response", self._retry)
        return request

    def _retry(self, response: Any, **options: Any) -> Any:
        """Once after a 401; the hook is gone from the second request."""
        request = response.request
        scopes = self.scopes_for(request.url or "")
        if response.status_code != 401 or scopes is None or "Authorization" not in request.headers:
            return response
        again = request.copy()
        again.hooks = {
            event: [hook for hook in hooks if hook != self._retry]
            for event, hooks in again.hooks.items()
        }
        _ = response.content  # gives the connection back, even if there is no other token
        response.close()
        again.headers["Authorization"] = f"Bearer {self._fetch(scopes, True)}"
        second = response.connection.send(again, **options)
        second.history.append(response)
        second.request = again
        return second

    def auth_flow(self, request: Any) -> Generator[Any, Any, None]:
        """The same for httpx."""
        scopes = self.scopes_for(str(request.url))
        if scopes is None:
            yield request
            return
        request.headers["Authorization"] = f"Bearer {self._fetch(scopes, False)}"
        response = yield request
        if response.status_code == 401 and _can_be_repeated(request):
            request.headers["Authorization"] = f"Bearer {self._fetch(scopes, True)}"
            yield request


def _can_be_repeated(request: Any) -> bool:
    """Whether an httpx request has its body in memory; a stream is used up."""
    try:
        return request.content is not None
    except httpx.RequestNotRead:
        return False


class AuthorisedSession(VerifiedSession):
    """A ``requests.Session`` whose calls to listed hosts authorise themselves, redirects included.

    ``verify`` and ``proxies`` are the settings'; a setting beats the environment's bundles.
    """

    def __init__(
        self, auth: Auth, verify: bool | str | None, proxies: Mapping[str, str] | None
    ) -> None:
        super().__init__(verify, proxies)
        self.auth = auth

    def rebuild_auth(self, prepared_request: Any, response: Any) -> None:
        assert isinstance(self.auth, Auth)
        prepared_request.headers.pop("Authorization", None)
        self.auth(prepared_request)

    def __reduce_ex__(self, protocol: object) -> Any:
        refuse_pickling(self, "call nbauth.session() where it is needed.")

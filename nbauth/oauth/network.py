"""A ``requests`` session that uses nbauth's settings for proxies and certificates."""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

import requests
from requests.adapters import HTTPAdapter
from requests.utils import get_environ_proxies, select_proxy

from nbauth.core.value_readers import SYSTEM
from nbauth.oauth.trust import Trust


def own_class(package: str, found: Any) -> Any:
    """The class of a package itself, if other code has put a subclass in its place.

    Packages that cache or trace calls do that, such as requests-cache. nbauth's own requests
    contain secrets, and their responses must not be stored.
    """
    classes = getattr(found, "__mro__", ())
    return next((one for one in classes if one.__module__.partition(".")[0] == package), found)


if TYPE_CHECKING:
    OwnSession = requests.Session
else:
    OwnSession = own_class("requests", requests.Session)


@cache
def system_context() -> ssl.SSLContext:
    """A context that uses the system's certificate store, by the package truststore."""
    import truststore

    return truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


class TrustingAdapter(HTTPAdapter):
    """An adapter that can use the system's certificate store."""

    def __init__(self, setting: bool | str | None = None, **options: Any) -> None:
        self._context = system_context() if setting == SYSTEM else None
        super().__init__(**options)

    def __reduce__(self) -> Any:
        setting = SYSTEM if self._context is not None else None
        return type(self), (setting,), self.__getstate__()

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, ssl_context=self._context, **options)

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        if self._context is not None:
            options["ssl_context"] = self._context
            if not proxy.lower().startswith("socks"):
                options["proxy_ssl_context"] = self._context
        return super().proxy_manager_for(proxy, **options)

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        super().cert_verify(conn, url, verify, cert)  # type: ignore[no-untyped-call]
        if self._context is not None and verify is True:
            conn.ca_certs = conn.ca_cert_dir = None  # otherwise certifi would be trusted too


class VerifiedSession(OwnSession):
    """A ``requests.Session`` whose ``verify`` and ``proxies`` come from the settings.

    requests lets ``~/.netrc`` replace a request's Authorization header, and the environment
    override a session's proxies and certificates. This class uses the environment only for proxies
    and certificates that no setting names.

    Args:
        verify: ``None`` uses the environment variables (``trust.VARIABLES``); ``True``, a CA file
            or ``"system"`` overrides them.
        proxies: as in requests; ``None`` uses the environment, an empty mapping uses no proxy.
    """

    def __init__(
        self, verify: bool | str | None = None, proxies: Mapping[str, str] | None = None
    ) -> None:
        super().__init__()
        self.trust_env = False
        self._setting = verify
        self._own_proxies = proxies is not None
        self._process = os.getpid()
        self.proxies.update(proxies or {})
        if verify == SYSTEM:
            self.mount("https://", TrustingAdapter(SYSTEM))

    def get_adapter(self, url: Any) -> Any:
        if self._process != os.getpid():  # forked: the processes cannot share a TLS connection
            for adapter in self.adapters.values():
                if isinstance(adapter, HTTPAdapter):  # new pools, as after unpickling
                    adapter.__setstate__(adapter.__getstate__())  # type: ignore[attr-defined]
            self._process = os.getpid()  # now: another thread must not use the old pools
        return super().get_adapter(url)

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        """Apply the settings to a request that was prepared by other code, too."""
        if "proxies" not in options:
            options["proxies"] = self._proxies_to(request.url)
        options.setdefault("verify", self._trusted(None))
        return super().send(request, **options)

    def merge_environment_settings(
        self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any
    ) -> Any:
        settings = super().merge_environment_settings(url, {}, stream, verify, cert)
        settings["proxies"] = {**self._proxies_to(url), **(proxies or {})}
        settings["verify"] = self._trusted(verify)
        return settings

    def rebuild_proxies(self, prepared_request: Any, proxies: Any) -> Any:
        """Called at a redirect: the environment may set another proxy for the new host."""
        before = {} if self._own_proxies else _environment()
        kept = {scheme: at for scheme, at in (proxies or {}).items() if before.get(scheme) != at}
        anew = {**self._proxies_to(prepared_request.url), **kept}
        return super().rebuild_proxies(prepared_request, anew)  # type: ignore[no-untyped-call]

    def proxy_for(self, url: str) -> tuple[str, str]:
        """The proxy of requests to a URL, and where it was set; empty texts without one."""
        proxies = self._proxies_to(url)
        proxy = "" if url.startswith("http:") else proxy_to(url, proxies)
        if not proxy:
            return "", ""
        return proxy, "the setting proxies" if self._own_proxies else source_of(proxy)

    @property
    def trust_source(self) -> str:
        """Where the trusted certificates were set."""
        return Trust.of(self._setting).source

    def _proxies_to(self, url: str | None) -> dict[str, str]:
        if self._own_proxies:
            return dict(self.proxies)
        return {**get_environ_proxies(url or ""), **self.proxies}

    def _trusted(self, verify: Any) -> Any:
        """The precedence is setting, call, session, environment."""
        if self._setting is not None:
            return Trust.of(self._setting).verify
        if verify not in (None, True):
            return verify
        return Trust.of(None).verify if self.verify is True else self.verify


def proxy_to(url: str, proxies: Mapping[str, str]) -> str:
    """The proxy that requests selects for an address, or ``""``."""
    return select_proxy(url, dict(proxies)) or ""


def _environment() -> dict[str, str]:
    from urllib.request import getproxies

    return getproxies()


def source_of(proxy: str) -> str:
    """Where a proxy was set: an environment variable, else the system or the setting."""
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        if os.environ.get(name) == proxy:
            return name
    return "the system's settings" if proxy in _environment().values() else "the setting proxies"

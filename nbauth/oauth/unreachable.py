"""Explains a failed request (DNS, route, proxy, TLS, time-out, lost connection), with a remedy."""

from __future__ import annotations

import errno
import http.client
import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import requests
import urllib3.exceptions as urllib3

from nbauth.core.errors import AuthorityUnreachable
from nbauth.core.text import plain
from nbauth.oauth.answered import host_of
from nbauth.oauth.network import VerifiedSession
from nbauth.oauth.sockets import BrokenOff, Late
from nbauth.oauth.tls_faults import LOST, Told, has, of_certificate, of_tls

_NO_WAY = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EADDRNOTAVAIL)
_NOT_HTTP = (
    "not_http",
    "did not send an HTTP response",
    "Check the address, its port, and the proxy.",
)
_TUNNEL = re.compile(r"Tunnel connection failed: (\d{3})")


@dataclass(frozen=True)
class Way:
    """The route of a request: ``source`` is where the proxy was set, ``trust`` the certificates."""

    host: str
    proxy: str = ""
    source: str = ""
    trust: str = ""

    @property
    def proxy_host(self) -> str:
        """The proxy's host and port, without user name and password."""
        address = self.proxy if "//" in self.proxy else f"//{self.proxy}"
        try:
            return plain(urlsplit(address).netloc.rpartition("@")[2])
        except ValueError:
            return "an invalid address"

    @property
    def named_proxy(self) -> str:
        return f"The proxy {self.proxy_host} ({self.source})"

    @property
    def check_proxy(self) -> str:
        return f"Check {self.source}, or ask the proxy's administrator."


def explain(error: BaseException, way: Way) -> AuthorityUnreachable:
    """The error for the exception of a failed request."""
    if isinstance(error, BrokenOff):
        return _error("broken_off", f"The request to {way.host} was aborted", "Try again.")
    chain: list[BaseException] = [error] if isinstance(error, Late) else list(_chain(error))
    at_proxy = bool(way.proxy) and has(chain, urllib3.ProxyError)
    if way.proxy.startswith(("socks5h:", "socks4a:")):  # the proxy resolves host names
        at_proxy = at_proxy or has(chain, socket.gaierror)
    for read in (_of_address, _of_proxy, _of_socks):
        if found := read(chain, way):
            return found
    tls = of_certificate(chain) or of_tls(chain)
    told = _of_name(chain) or tls or _of_time(chain) or _of_connection(chain)
    code, what, hint = told or ("no_connection", "cannot be reached", "")
    if at_proxy:
        hint = hint if told and told is tls else way.check_proxy
        return _error(f"proxy_{code}", f"{way.named_proxy} {what}", hint)
    if code == "certificate" and way.trust:
        hint = f"The trusted certificates are set by {way.trust}. {hint}"
    if way.proxy:
        what += f" (through the proxy {way.proxy_host})"
    return _error(code, f"{way.host} {what}", hint)


def explained(error: BaseException, session: VerifiedSession, url: object) -> AuthorityUnreachable:
    """The error for the exception of a failed request of a session."""
    proxy, source = session.proxy_for(str(url))
    return explain(error, Way(host_of(url), proxy, source, session.trust_source))


def _error(code: str, sentence: str, hint: str = "") -> AuthorityUnreachable:
    return AuthorityUnreachable(f"{sentence}.", code=code, hint=hint or None)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An exception and all exceptions in its arguments, cause and context."""
    waiting, seen = [error], set[int]()
    while waiting:
        one = waiting.pop(0)
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        inside = [*one.args, one.__cause__, one.__context__]
        inside += [getattr(one, name, None) for name in ("reason", "original_error", "socket_err")]
        waiting += [other for other in inside if isinstance(other, BaseException)]


def _of_address(chain: list[BaseException], way: Way) -> AuthorityUnreachable | None:
    for one in chain:
        if isinstance(one, requests.exceptions.InvalidSchema) and "SOCKS" in str(one):
            return _error(
                "socks_missing",
                f"{way.named_proxy} is a SOCKS proxy, which needs the package PySocks",
                "Install it, then restart the kernel: pip install pysocks.",
            )
        if isinstance(one, (requests.exceptions.InvalidProxyURL, urllib3.ProxySchemeUnknown)):
            return _bad_proxy(way)
        if isinstance(one, (requests.exceptions.InvalidURL, urllib3.LocationParseError)):
            return _bad_proxy(way) if way.proxy else _bad_address(way)
    if has(chain, UnicodeEncodeError, requests.exceptions.InvalidHeader):
        return _error(
            "unsendable",
            f"Nothing was sent to {way.host}: a token or name contains characters that are not"
            " allowed in an HTTP header",
            "Sign in again: %login. If it happens again, tell the provider's administrator.",
        )
    # ValueError: urllib3 and the IDNA codec raise it for an invalid host name.
    if isinstance(chain[0], ValueError) and not isinstance(chain[0], requests.RequestException):
        return _bad_proxy(way) if way.proxy else _bad_address(way)
    return None


def _bad_proxy(way: Way) -> AuthorityUnreachable:
    return _error(
        "bad_proxy",
        f"{way.named_proxy} cannot be used: its address is invalid",
        f"Set {way.source} to an address such as http://proxy.example:3128.",
    )


def _bad_address(way: Way) -> AuthorityUnreachable:
    return _error(
        "bad_address",
        f"{way.host} cannot be reached: the address is invalid",
        "Check the authority's address.",
    )


def _of_proxy(chain: list[BaseException], way: Way) -> AuthorityUnreachable | None:
    status = next((found[1] for one in chain if (found := _TUNNEL.search(str(one)))), "")
    if status == "407":
        return _error(
            "proxy_authentication",
            f"{way.named_proxy} requires authentication (HTTP 407)",
            f"Add user name and password to {way.source}: http://user:password@host:port."
            " For NTLM or Kerberos, run a local proxy such as px or cntlm, and set its address.",
        )
    if status:
        return _refused_by_proxy(way, f" (HTTP {status})")
    return None


def _refused_by_proxy(way: Way, status: str = "") -> AuthorityUnreachable:
    return _error(
        "proxy_refused_host",
        f"{way.named_proxy} did not connect to {way.host}{status}",
        "Ask the proxy's administrator to allow that host, or set proxies.",
    )


def _of_socks(chain: list[BaseException], way: Way) -> AuthorityUnreachable | None:
    """PySocks has its own exceptions, which may wrap one of the socket."""
    own = [one for one in chain if type(one).__module__.partition(".")[0] == "socks"]
    names = {type(one).__name__ for one in own}
    if names & {"SOCKS5AuthError", "SOCKS4Error"}:
        return _error(
            "proxy_authentication",
            f"{way.named_proxy} did not accept the user name and password",
            f"Set them in {way.source}: socks5h://user:password@host:port.",
        )
    if "ProxyConnectionError" in names:
        told = _of_name(chain) or _of_time(chain) or _of_connection(chain)
        code, what, _ = told or ("no_connection", "cannot be reached", "")
        return _error(
            f"proxy_{code}",
            f"{way.named_proxy} {what}",
            way.check_proxy,
        )
    if names & {"SOCKS5Error", "GeneralProxyError"}:
        return _refused_by_proxy(way)
    return None


def _of_name(chain: list[BaseException]) -> Told:
    if has(chain, socket.gaierror, urllib3.NameResolutionError):
        return (
            "dns",
            "cannot be reached: its name cannot be resolved",
            "Check its spelling, the network and the VPN. Behind a proxy, set proxies.",
        )
    return None


def _of_time(chain: list[BaseException]) -> Told:
    if has(chain, urllib3.NewConnectionError):
        return None
    if has(chain, requests.ConnectTimeout, urllib3.ConnectTimeoutError):
        return (
            "connect_timeout",
            "cannot be reached: the connection timed out",
            "A firewall may block it. Check the network and the VPN, or set proxies.",
        )
    if has(chain, requests.Timeout, urllib3.TimeoutError, TimeoutError):
        return "timeout", "did not respond in time", "Try again; check the network and the proxy."
    return None


def _of_connection(chain: list[BaseException]) -> Told:
    if has(chain, ConnectionRefusedError):
        return (
            "refused",
            "cannot be reached: it refused the connection",
            "Check the address and its port. Behind a firewall, set proxies.",
        )
    if any(isinstance(one, OSError) and one.errno in _NO_WAY for one in chain):
        return (
            "no_route",
            "cannot be reached: this machine has no route to it",
            "Check the network and the VPN. Behind a proxy, set proxies.",
        )
    if has(chain, urllib3.InvalidChunkLength):
        return _NOT_HTTP
    lost = (ConnectionResetError, BrokenPipeError, http.client.IncompleteRead)
    if has(chain, *lost, http.client.RemoteDisconnected, urllib3.IncompleteRead):
        return LOST
    if has(chain, http.client.HTTPException):
        return _NOT_HTTP
    text = " ".join(str(one) for one in chain)
    if "maximum allowed length" in text:
        return _NOT_HTTP
    return LOST if "ended prematurely" in text else None

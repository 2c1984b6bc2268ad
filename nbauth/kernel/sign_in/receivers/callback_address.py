"""The redirect address of the callback flow: derived from what is known here, or checked by it.

A wrong address is refused before the browser is sent to the provider. The provider would accept
any address that is registered, and the authorization code would then go to another server.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol
from urllib.parse import quote, unquote, urlsplit

from nbauth.core.addresses import origin_of
from nbauth.core.errors import FlowUnavailable
from nbauth.core.flow_names import DEVICE
from nbauth.kernel.sign_in.redirect_uri import bad_redirect_uri

CALLBACK = "nbauth/callback"
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class _Page(Protocol):
    """What a front end says of its own address; see ``nbauth.jupyter.panel.page.Page``."""

    @property
    def origin(self) -> str: ...
    @property
    def base_url(self) -> str: ...
    @property
    def hub_host(self) -> str: ...
    @property
    def hub_prefix(self) -> str: ...
    @property
    def server_name(self) -> str: ...


def callback_address(
    page: _Page | None, environ: Mapping[str, str], configured: str | None
) -> tuple[str, str]:
    """The redirect address that reaches this kernel, and the name of its server on JupyterHub.

    On a hub it is one address for all users and servers, behind ``/hub/user-redirect/``, so that
    the registration can name it exactly (RFC 9700 §2.1).

    Args:
        page: what the front end says of its address, ``None`` if there is none that knows.
        environ: of this process.
        configured: the ``redirect_uri`` setting. A loopback address belongs to the browser flow,
            unless it ends in ``/nbauth/callback``: a server behind a tunnel has a loopback address
            too.

    Raises ``ConfigurationError`` for a configured address that does not lead to this server,
    ``FlowUnavailable`` if no address is configured and none can be derived.
    """
    server_name = page.server_name if page else environ.get("JUPYTERHUB_SERVER_NAME", "")
    if configured and _is_callback(configured):
        _check(configured, page, environ, server_name)
        return configured, server_name
    if derived := next(_addresses(page, environ), ""):
        return derived, server_name
    raise FlowUnavailable(
        "The address of this notebook's server is not known here.",
        hint="Set redirect_uri to its registered …/nbauth/callback, or use"
        f" %login --flow {DEVICE}.",
        suggested_flow=DEVICE,
    )


def _is_callback(address: str) -> bool:
    parts = urlsplit(address)
    return parts.hostname not in LOOPBACK or parts.path.endswith(f"/{CALLBACK}")


def _addresses(page: _Page | None, environ: Mapping[str, str]) -> Iterator[str]:
    """This server's callback addresses, the best first: as the page and the environment say."""
    if page is not None and page.origin:
        if page.hub_prefix:
            home = _joined(page.hub_host or page.origin, page.hub_prefix)
            yield _joined(home, "user-redirect", CALLBACK)
        yield _joined(page.origin, page.base_url, CALLBACK)
    if public_hub := environ.get("JUPYTERHUB_PUBLIC_HUB_URL"):
        yield _joined(public_hub, "user-redirect", CALLBACK)
    if public_server := environ.get("JUPYTERHUB_PUBLIC_URL"):
        yield _joined(public_server, CALLBACK)


def placeholder(environ: Mapping[str, str]) -> str:
    """The form of the callback address, for texts, where its host is not known."""
    if "JUPYTERHUB_SERVICE_PREFIX" in environ:
        prefix = environ.get("JUPYTERHUB_BASE_URL", "/")
        return f"https://<your hub>{prefix}hub/user-redirect/{CALLBACK}"
    return f"<your Jupyter server's address>/{CALLBACK}"


def _check(
    configured: str, page: _Page | None, environ: Mapping[str, str], server_name: str
) -> None:
    """Raise ``ConfigurationError`` for an address at which this server's page is not."""
    parts = urlsplit(configured)
    origins = {origin_of(one): one for one in _origins(page, environ)}
    paths = {_segments(one) for one in _paths(page, environ, server_name)}
    path, also = _segments(parts.path), ""
    if parts.scheme not in {"http", "https"}:
        fault = "which is not an http or https address"
    elif "@" in parts.netloc or "?" in configured or "#" in configured:
        fault = "which must have no user name, query or fragment"
    elif origins and origin_of(configured) not in origins:
        here = page.origin if page is not None and page.origin else next(iter(origins.values()))
        fault = f"but this notebook's server is at {_bare(here)}"
        also = f" Or open the notebook at {_bare(configured)}, if that is the same server."
    elif path[-2:] != _segments(CALLBACK):
        fault = f"which does not end in /{CALLBACK}"
    elif paths and path not in paths:
        fault = "which is not the callback page of this notebook's server"
    else:
        return
    usual = next(_addresses(page, environ), placeholder(environ))
    raise bad_redirect_uri(
        configured, fault, f"Set it to {usual}, as registered with the provider, or unset it.{also}"
    )


def _origins(page: _Page | None, environ: Mapping[str, str]) -> Iterator[str]:
    yield from _addresses(page, environ)
    if page is not None and page.hub_host:
        yield page.hub_host
    if environ.get("JUPYTERHUB_HOST"):
        yield environ["JUPYTERHUB_HOST"]


def _paths(page: _Page | None, environ: Mapping[str, str], server_name: str) -> Iterator[str]:
    """The paths of this server's callback page: its own, and those that the hub redirects."""
    for address in _addresses(page, environ):
        yield urlsplit(address).path
    hubs = [page.hub_prefix] if page is not None and page.hub_prefix else []
    if prefix := environ.get("JUPYTERHUB_SERVICE_PREFIX"):
        yield "/" + _joined(prefix, CALLBACK)
        hubs.append(_joined(environ.get("JUPYTERHUB_BASE_URL", "/"), "hub"))
    for hub in hubs:
        yield "/" + _joined(hub, "user-redirect", CALLBACK)
        if server_name:
            yield "/" + _joined(hub, "user-redirect", quote(server_name), CALLBACK)


def _segments(path: str) -> tuple[str, ...]:
    """The parts of a path, unescaped: an escaped slash separates nothing."""
    return tuple(unquote(part) for part in path.split("/"))


def _bare(address: str) -> str:
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc}"


def _joined(*parts: str) -> str:
    stripped = [part.strip("/") for part in parts]
    return "/".join(part for part in stripped if part)

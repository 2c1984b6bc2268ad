"""Decides which host gets which token.

A host gets a token over https only, by exact name and listed port, at a URL without a user name.
The decision uses the URL that is actually requested.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from operator import itemgetter

from nbauth.core.errors import ConfigurationError
from nbauth.core.scopes import RESERVED, Scopes
from nbauth.core.value_readers import exact_host
from nbauth.oauth.client import Client

_ADDRESS = re.compile(
    r"https://([a-z0-9_][a-z0-9._-]*|\[[0-9a-f:.]+\])(?::([0-9]{0,5}))?(?:[/?#]|\Z)", re.I | re.A
)
"""URLs that can be read in one way only: a host in ASCII, a port, and an end of both."""


MOST_REPEATED = 3
"""With more entries of the setting, a hint contains no call."""
Hosts = dict[str, Scopes | None]
"""The scopes of each host's token; ``None`` if the host is listed, but not for these scopes."""


def scopes_at(url: str, hosts: Hosts) -> Scopes | None:
    """The scopes of the token that a prepared URL gets, or ``None`` for none."""
    address = _host_and_port(url)
    if address is None:
        return None
    host, port = address
    return _entry(host, hosts) if port == 443 else hosts.get(f"{host}:{port}")


def place_of(url: str) -> str:
    """Host and port of a prepared URL, in one form for all spellings; ``""`` if unreadable."""
    host, port = _host_and_port(url) or ("", 443)
    return host if port == 443 else f"{host}:{port}"


def _host_and_port(url: str) -> tuple[str, int] | None:
    address = None if "\\" in url else _ADDRESS.match(url)
    return None if address is None else (address[1].lower(), int(address[2] or 443))


def listed_hosts(client: Client, scopes: Scopes | None, only: Iterable[str] | None = None) -> Hosts:
    """The hosts that may get a token, each with the scopes of its token.

    They are the hosts of the setting and the cloud's own. With ``scopes``: those whose entry covers
    them. With ``only``: a subset. For a host in both lists, the setting's entry is used.

    Raises ``ConfigurationError`` for a host that is not listed, and for scopes that no entry
    covers.
    """
    hosts: Hosts = {}
    for host, words in client.settings.hosts.items():
        listed = client.scopes(words)
        within = scopes is None or covers(listed, scopes, microsoft=client.authority.microsoft)
        hosts[host] = (scopes or listed) if within else None
    for host, resource in client.authority.hosts.items():
        if scopes is None:
            hosts.setdefault(host, _default_scopes(client, resource))
        elif scopes.resource is not None and same_resource(scopes.resource, resource):
            hosts.setdefault(host, scopes)
    if scopes is not None and not any(hosts.values()):
        raise ConfigurationError(
            f"No host is listed for a token with the scopes {scopes}.",
            code="unlisted_host",
            hint="Correct the scopes, or add the host of your API with them to the setting hosts"
            f"{_call_that_adds(client, 'api.example.com', scopes)}.",
        )
    return hosts if only is None else _subset(client, hosts, only, scopes)


def named(hosts: Hosts) -> list[tuple[str, list[str] | None]]:
    """Hosts and scopes as plain values, in an order that is the same in each process."""
    return [
        (host, sorted(of.key) if of else None)
        for host, of in sorted(hosts.items(), key=itemgetter(0))
    ]


def entry_at(url: str, client: Client, given: Hosts | None = None) -> Scopes | None:
    """The scopes that the entry of a host covers: that of the setting, else the built-in one, which
    covers all scopes of its resource, else that of ``given``. ``None`` for a host without one."""
    resources = client.authority.hosts.items()
    entries = {host: client.just((f"{resource}/.default",)) for host, resource in resources}
    settings = {host: client.scopes(words) for host, words in client.settings.hosts.items()}
    return scopes_at(url, {**(given or {}), **entries, **settings})


def tokens_of_calls(client: Client, hosts: Hosts) -> Hosts:
    """The same hosts, with the scopes of tokens that only nbauth's own calls use."""
    return {host: scopes and client.for_calls(scopes) for host, scopes in hosts.items()}


def narrowed(client: Client, own: Scopes, asked: tuple[str, ...]) -> Scopes:
    """The scopes of a token for a library that requests ``asked``, if only ``own`` may be given.

    A library that requests all permissions of the resource gets ``own``. At issuers other than
    Microsoft's authorities, the scopes that libraries request have no meaning, so it gets ``own``.

    Raises ``ConfigurationError`` if ``own`` does not cover them.
    """
    if not asked or not client.authority.microsoft:
        return own
    wanted = client.scopes(asked)
    if covers(own, wanted, microsoft=True):
        return wanted
    resource = wanted.resource or ""
    if same_resource(own.resource or "", resource) and all(
        scope.lower().endswith("/.default") for scope in wanted.resource_scopes
    ):
        return own
    raise ConfigurationError(
        f"This credential is for {own}; the library requested a token for {wanted}.",
        code="other_scopes",
        hint=f"Make one for that API: nbauth.credential({', '.join(map(repr, asked))}).",
    )


def covers(listed: Scopes, asked: Scopes, *, microsoft: bool) -> bool:
    """Whether a host that is listed for some scopes may get a token for the requested ones."""
    if not asked.resource_scopes:
        return asked.key <= listed.key
    if not microsoft:  # elsewhere a scope names no resource, and one token may be for several
        return asked.key <= listed.key | RESERVED
    same = listed.resource and asked.resource and same_resource(listed.resource, asked.resource)
    if same and any(scope.lower().endswith("/.default") for scope in listed.resource_scopes):
        return True  # /.default covers all scopes of the resource
    return asked.key <= listed.key | RESERVED


def same_resource(one: str, other: str) -> bool:
    """Whether two names of a resource mean the same one."""
    return one.rstrip("/").lower() == other.rstrip("/").lower()


def _subset(client: Client, hosts: Hosts, only: Iterable[str], scopes: Scopes | None) -> Hosts:
    chosen: Hosts = {}
    for name in _names(only):
        host = _exact(name)
        entry = _entry(host, hosts)
        if entry is None:
            raise _no_entry(client, str(name), host, scopes or ())
        chosen[host] = entry
    return chosen


def _no_entry(client: Client, name: str, host: str, scopes: Iterable[str]) -> ConfigurationError:
    known = entry_at(f"https://{host}/", client)
    where = f"the setting hosts{_call_that_adds(client, host, scopes)}"
    if known is None:
        hint = f"Add it with its scopes to {where}."
    elif host in client.settings.hosts:
        hint = f"Add them to its entry in {where}."
    else:
        hint = f"Correct the scopes. Tokens for this host have scopes of {known.resource}."
    return ConfigurationError(
        f"{name} is not a listed host."
        if known is None
        else f"{name} is listed, but not for these scopes.",
        code="unlisted_host",
        hint=hint,
    )


def _call_that_adds(client: Client, host: str, scopes: Iterable[str]) -> str:
    """The call for a hint. It sets the whole setting, so it repeats the entries that are there."""
    if len(client.settings.hosts) > MOST_REPEATED:
        return ""
    listed = {**client.settings.hosts, host: (*client.settings.hosts.get(host, ()), *scopes)}
    entries = ((name, ", ".join(map(repr, words)) or "...") for name, words in listed.items())
    words = ", ".join(f"{name!r}: [{words}]" for name, words in entries)
    return f": nbauth.configure(hosts={{{words}}})"


def _names(only: object) -> list[object]:
    if isinstance(only, str):
        return [only]
    if isinstance(only, Iterable):
        return [*only]
    raise ConfigurationError("hosts has to be a list of host names.", code="bad_setting")


def _exact(name: object) -> str:
    try:
        return exact_host(name)
    except ValueError as error:
        raise ConfigurationError(
            f"The option hosts {error}.",
            code="unlisted_host",
            hint="It must name hosts of the setting hosts, or built-in hosts of the authority.",
        ) from None


def _default_scopes(client: Client, resource: str) -> Scopes:
    default = client.scopes(())
    if default.resource and same_resource(default.resource, resource):
        return default
    return client.scopes((f"{resource}/.default",))


def _entry(host: str, hosts: Hosts) -> Scopes | None:
    """The scopes of a host; a cloud's ``.suffix`` stands for exactly one label before it."""
    if host in hosts:
        return hosts[host]
    label, dot, suffix = host.partition(".")
    return hosts.get(dot + suffix) if label else None

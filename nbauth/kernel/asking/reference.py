"""What a pickled object names: a client and an account of a session in another process."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple, Protocol

from nbauth.core.account import Asked, ClientKey
from nbauth.core.errors import NbAuthError
from nbauth.core.settings import Settings
from nbauth.core.settings_values import ENDPOINTS
from nbauth.oauth.client import TARGETS, Client

TRAVEL = (
    "tenant", "authority", "metadata_url", *ENDPOINTS, "cloud", "scopes", "exact_scopes", "hosts",
    "graph_url", "refresh_ahead",
)  # fmt: skip
"""Settings that say what a call means. A worker uses those of the notebook."""
NETWORK = ("verify", "proxies")
"""Settings of the network. A worker uses those of the notebook, unless it has its own."""
_EXTRA = "extra_parameters"


class Reference(NamedTuple):
    """Names a client and an account of a session. It contains no secret.

    Attributes:
        session: names the session.
        name: of the client and account in this session.
        pipe: the address at which the session answers processes of its machine; ``""`` for none.
        family: what only the session's process and its worker processes can compute, see
            :func:`family`.
    """

    session: str
    name: str
    pipe: str
    family: str

    @property
    def of_this_family(self) -> bool:
        """Whether this process was started by the session's process, by multiprocessing."""
        return bool(self.pipe) and self.family == family(self.session)


class Names(NamedTuple):
    """What is pickled of a client and an account. It contains no secret and no token.

    Attributes:
        reference: to them.
        client: the client's key.
        profile: the client's profile.
        persist: names the store that has the account.
        asked: the account.
        interactive: whether the person may be asked.
        travelled: the settings that a worker uses, by name.
    """

    reference: Reference
    client: ClientKey
    profile: str
    persist: str
    asked: Asked | None
    interactive: bool
    travelled: tuple[tuple[str, Any], ...]


class ReferencesTo(Protocol):
    """Names clients and accounts for other processes.

    Attributes:
        find_session: returns the session of any process that calls it.
    """

    find_session: Callable[[], Any]

    def to(self, bound: Any) -> Names:
        """What is pickled of the client and account of a ``Bound``."""

    def passed(self, names: Names) -> bool:
        """Whether an object of these names is only passed on in this process."""


def family(session: str) -> str:
    """A digest of the session's name with multiprocessing's key.

    multiprocessing, concurrent.futures and joblib give this random key to the processes that they
    start, and to nobody else. The digest does not reveal it.
    """
    import hmac
    from multiprocessing import process

    key = bytes(process.current_process().authkey)
    return hmac.new(key, f"nbauth {session}".encode(), "sha256").hexdigest()[:16]


def settings_that_travel(client: Client) -> tuple[tuple[str, Any], ...]:
    """The settings of a client that its pickled objects contain, by name; no secret is in them."""
    settings, default = client.settings, Settings()
    found: dict[str, Any] = {name: getattr(settings, name) for name in (*TRAVEL, *NETWORK)}
    extra = settings.extra_parameters
    found[_EXTRA] = {name: extra[name] for name in TARGETS if name in extra}
    if any("@" in address for address in (settings.proxies or {}).values()):
        del found["proxies"]  # they contain a password
    return tuple(
        (name, dict(value) if isinstance(value, Mapping) else value)
        for name, value in found.items()
        if value != getattr(default, name)
    )


def client_from(names: Names, own: Callable[[], Settings]) -> Client:
    """The client of a reference, in a worker. ``own``: returns the settings of this process."""
    key, profile = names.client, names.profile
    # another version of nbauth may have more settings
    values = {name: value for name, value in names.travelled if name in (*TRAVEL, *NETWORK, _EXTRA)}
    with contextlib.suppress(NbAuthError):  # invalid settings of the worker are not the notebook's
        settings = own()
        there = {name: getattr(settings, name) for name in NETWORK}
        values |= {name: value for name, value in there.items() if value is not None}
    settings = Settings(profile=profile, client_id=key.client_id or None, **values)
    with contextlib.suppress(NbAuthError):
        client = Client.from_settings(settings, need_id=False)
        if client.key == key:
            return client
    client = Client.from_key(key, profile)
    kept = {name: value for name, value in values.items() if name not in ("authority", "tenant")}
    return replace(client, settings=replace(client.settings, **kept))

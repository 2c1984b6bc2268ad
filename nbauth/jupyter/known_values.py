"""The values of arguments of magics that this process knows, for completion."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from nbauth.core.errors import NbAuthError
from nbauth.core.flow_names import added

GRAPH_SCOPES = (
    "User.Read", "User.ReadBasic.All", "User.Read.All", "Mail.Read", "Mail.Send", "Files.Read",
    "Files.ReadWrite", "Sites.Read.All", "Calendars.Read", "Group.Read.All", "Directory.Read.All",
)  # fmt: skip
OPENID_SCOPES = ("openid", "profile", "email", "offline_access")
PROMPTS = ("select_account", "consent", "login", "create", "none")
TENANTS = ("common", "organizations", "consumers")


@dataclass(frozen=True)
class KnownValues:
    """The values that this process knows. Nothing is requested from a provider."""

    the_session: Callable[[], Any]

    def of(self, name: str, choices: Iterable[str] | None = None) -> list[str]:
        """The known values of an argument."""
        if choices:
            return [*choices, *(added() if name == "flow" else ())]
        found = getattr(self, f"_{name}", None)
        return [] if found is None else [value for value in dict.fromkeys(found()) if value]

    def _accounts(self) -> list[Any]:
        return list(self.the_session().cache.accounts())

    def _account(self) -> list[str]:
        return [account.username for account in self._accounts()]

    _user = _login_hint = _account

    def _domain_hint(self) -> list[str]:
        return [name.partition("@")[2] for name in self._account()]

    def _tenant(self) -> list[str]:
        return [*(account.tenant_id for account in self._accounts()), *TENANTS]

    def _client_id(self) -> list[str]:
        return [account.client_id for account in self._accounts()]

    def _authority(self) -> list[str]:
        return [account.authority for account in self._accounts()]

    def _profile(self) -> list[str]:
        return list(self.the_session().reader.profiles())

    def _persist(self) -> list[str]:
        from nbauth.core.settings_values import PERSISTENCES

        return list(PERSISTENCES)

    def _host(self) -> list[str]:
        client = self.the_session().client()
        hosts = [*client.settings.hosts, *client.authority.hosts]
        return [host for host in hosts if not host.startswith(".")]

    def _prompt(self) -> list[str]:
        return list(PROMPTS)

    def _scopes(self) -> list[str]:
        session = self.the_session()
        try:
            microsoft = session.client().authority.microsoft
        except NbAuthError:  # there is no client_id yet
            microsoft = True
        used = [
            scope
            for token in list(session.cache.tokens.values())
            for scope in token.response.scopes
        ]
        return [*(GRAPH_SCOPES if microsoft else OPENID_SCOPES), *used]

    _consent_also = _scopes

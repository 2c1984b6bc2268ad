"""A local Graph that serves a path only for tokens with a scope, at Entra or at another issuer."""

from __future__ import annotations

from collections.abc import Callable

from nbauth.core.account import Account
from nbauth.msgraph.client import Graph, _where
from nbauth.oauth.authorities import parse
from nbauth.testing.engine import FakeEngine
from tests.harness.certificates import Certificates
from tests.harness.faulty_graph import FaultyGraph
from tests.harness.graph.listener import Recorded
from tests.harness.graph.replies import Reply, refusal
from tests.kernel.conftest import Bench

ENTRA = "https://login.microsoftonline.com/contoso.com"
GRAPH = "https://graph.microsoft.com/"
DENIED = refusal(403, "ErrorAccessDenied", "Access is denied. Check credentials and try again.")


class Permitting:
    """The local Graph, a fake engine, and what was sent with which scopes.

    Args:
        microsoft: whether the authority is Entra.
    """

    def __init__(
        self,
        bench: Bench,
        local: FaultyGraph,
        certificates: Certificates,
        *,
        microsoft: bool = True,
    ) -> None:
        self.bench, self.local = bench, local
        self.prefix = GRAPH if microsoft else ""
        if microsoft:
            bench.engine = FakeEngine(parse(ENTRA), "notebooks", clock=bench.clock.time)
            bench.engines[ENTRA, "notebooks"] = bench.engine
            bench.session.configure(authority=ENTRA)
        bench.session.configure(verify=str(certificates.ca_file), refresh_ahead=False)
        self.sign_in()
        self.graph = self.client("User.Read")

    def sign_in(self, user: str = "ada") -> Account:
        return self.bench.sign_in("User.Read", user=user)

    def client(self, *scopes: str) -> Graph:
        """As ``nbauth.Graph(base_url=...)``."""
        bound = self.bench.session.bind()
        wanted = bound.client.scopes(scopes) if scopes else None
        where = _where(bound, wanted, self.local.root, "v1.0")
        return Graph.of(self.bench.session, bound, *where)

    def needs(
        self,
        scope: str,
        path: str,
        answer: Reply = DENIED,
        method: str = "GET",
        when: Callable[[Recorded], bool] = lambda _: True,
    ) -> None:
        """Refuse requests to a path whose token lacks a scope; it has no consent yet."""
        self.bench.engine.ungranted.add(self.prefix + scope)
        self.local.fail(
            method,
            path,
            answer=answer,
            when=lambda request: when(request) and scope not in self.scopes_of(request.token or ""),
        )

    def scopes_of(self, text: str) -> set[str]:
        for token in list(self.bench.session.cache.tokens.values()):
            if token.response.access_token == text:
                return {scope.removeprefix(GRAPH) for scope in token.response.scopes}
        return set()

    @property
    def asked(self) -> list[set[str]]:
        """The scopes of each sign-in that was shown."""
        shown = dict.fromkeys(self.bench.screen.shown)
        return [
            {scope.removeprefix(GRAPH) for scope in one.request.authorization.scopes}  # type: ignore[attr-defined]
            for one in shown
        ]

"""``nbauth doctor --live``: tries the ways to sign in at a real provider, and reports on them.

The report is for a public issue. It has no names of people, tenants, applications or hosts, and no
secret. What the provider says is shown with these replaced.
"""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from nbauth.core.errors import InteractionRequired, NbAuthError, NotSignedIn
from nbauth.core.flow_names import AUTO
from nbauth.core.text import plain
from nbauth.jupyter.places.environment import place
from nbauth.jupyter.places.live_report import Check, Report, hide_client
from nbauth.kernel.unattended import is_service, named_flow

if TYPE_CHECKING:
    from nbauth.core.account import Account
    from nbauth.core.tokens import AuthenticationResult
    from nbauth.kernel.session import Session
    from nbauth.oauth.client import Client

SKIP, QUIT = "s", "q"
_OF_NOBODY = frozenset(
    {"ver", "acr", "amr", "typ", "locale", "zoneinfo", "email_verified", "xms_st"}
)
"""Claims of an ID token that name nobody."""


def live(
    session: Session,
    options: Mapping[str, Any],
    ask: Callable[[str], str],
    say: Callable[[str], None],
) -> Report:
    """Try each way to sign in that works here, or the one that the options name.

    Args:
        session: whose settings and screen are used. The accounts of the trial are in memory only,
            and are signed out after each way; stored sign-ins stay as they are.
        options: settings of the call, by name.
        ask: asks the person, in one line.
        say: shows a line.
    """
    trial = session.apart()
    try:
        return _tried(trial, options, ask, say)
    finally:
        trial.rest()


def _tried(
    session: Session,
    options: Mapping[str, Any],
    ask: Callable[[str], str],
    say: Callable[[str], None],
) -> Report:
    call = {**options, "persist": "memory"}
    client = session.client(**call)
    report = Report(_header(client))
    hide_client(report, client)
    for flow in _flows(session, client):
        if not is_service(flow):
            try:
                answer = ask(f"Next: {flow}. Enter begins it, {SKIP} skips it, {QUIT} ends: ")
            except EOFError:
                if not report.flows:
                    raise
                break  # what was tried is reported
            answer = answer.strip()
            if answer.lower() == QUIT:
                break
            if answer.lower() == SKIP:
                continue
        say(f"{flow} …")
        report.flows[flow] = []
        for check in _Trial(session, {**call, "flow": flow}, flow, report).checks():
            report.flows[flow].append(check)
            say(report.without_names(f"  {check.what}: {check.line().split('|')[2].strip()}"))
    return report


def _header(client: Client) -> list[str]:
    from importlib import metadata

    engine = "msal" if client.authority.microsoft else "authlib"
    return [
        f"nbauth {metadata.version('nbauth')}, {engine} {metadata.version(engine)},"
        f" Python {platform.python_version()}, {platform.system()}",
        f"place: {place().name}; authority: {client.authority.kind},"
        f" cloud {client.authority.cloud}",
    ]


def _flows(session: Session, client: Client) -> Iterable[str]:
    if client.settings.flow != AUTO:
        return (client.settings.flow,)
    people = place().ways if session.screen.attended() else ()
    service = named_flow(client)
    return (*people, *([service] if service else []))


class _Trial:
    """The checks of one flow."""

    def __init__(
        self, session: Session, call: Mapping[str, Any], flow: str, report: Report
    ) -> None:
        self._session = session
        self._call = dict(call)
        self._flow = flow
        self._report = report
        self._of_tokens = {name: value for name, value in call.items() if name != "timeout"}

    def checks(self) -> Iterator[Check]:
        """Sign in, get tokens in each way, call, sign out."""
        signed_in = self._timed("signs in", self._sign_in)
        yield signed_in
        if not signed_in.ok:
            return
        try:
            yield self._timed("the token comes from the cache", self._from_the_cache)
            yield self._timed("the token is refreshed", self._refresh)
            yield self._timed("a token for another API", self._another_api)
            yield self._timed("a claims request is answered", self._claims)
            yield self._timed("the API accepts the token", self._api)
        finally:
            ended = self._timed("signs out", self._sign_out)
        yield ended

    def _timed(self, what: str, act: Callable[[], tuple[bool | None, str]]) -> Check:
        began = time.monotonic()
        try:
            ok, detail = act()
        except NbAuthError as error:
            ok, detail = False, _in_words(error)
        except Exception as error:  # a fault of nbauth belongs into the report too
            ok, detail = False, f"{type(error).__name__}, which is no error of nbauth"
        return Check(what, ok, detail, time.monotonic() - began)

    def _sign_in(self) -> tuple[bool, str]:
        self._account: Account = self._session.login(force=True, **self._call)  # type: ignore[assignment]
        hide = self._report.hide
        for text, name in (
            (self._account.username, "user"),
            (self._account.name, "name"),
            (self._account.tenant_id, "tenant"),
            (self._account.home_account_id, "account id"),
        ):
            hide(text, name)
        result = self._token()
        for claim, value in result.id_token_claims.items():
            if isinstance(value, str) and claim not in _OF_NOBODY:
                hide(value, "claim")
        minutes = round((result.expires_on - time.time()) / 60)
        who = "an application" if self._account.application else "a person"
        claims = " ".join(sorted(result.id_token_claims)) or "none"
        return True, (
            f"{who}; {result.token_type}, {minutes} min; scopes {' '.join(result.scopes)};"
            f" claims of the ID token: {claims}"
        )

    def _token(self, *scopes: str, **options: Any) -> AuthenticationResult:
        return self._session.acquire(
            *scopes, account=self._account.key, interactive=False, **{**self._of_tokens, **options}
        )

    def _from_the_cache(self) -> tuple[bool, str]:
        source = self._token().source
        return source == "cache", source

    def _refresh(self) -> tuple[bool, str]:
        before = self._token().access_token
        result = self._token(force_refresh=True)
        same = "the same text again" if result.access_token == before else "a new text"
        return result.source == "refresh", f"{result.source}; {same}"

    def _another_api(self) -> tuple[bool | None, str]:
        client = self._session.client(**self._of_tokens)
        if client.authority.kind != "entra":
            return None, "only at Entra ID"
        other = "https://management.azure.com/user_impersonation"
        try:
            self._token(other)
        except InteractionRequired as error:
            return None, f"not without a person: {_in_words(error)}"
        return True, ""

    def _claims(self) -> tuple[bool | None, str]:
        now = str(int(time.time()) - 60)
        asked = {"access_token": {"nbf": {"essential": True, "value": now}}}
        try:
            result = self._token(claims=json.dumps(asked))
        except InteractionRequired as error:
            return None, f"not without a person: {_in_words(error)}"
        return True, result.source

    def _api(self) -> tuple[bool | None, str]:
        client = self._session.client(**self._of_tokens)
        graph = client.authority.graph
        if graph.partition("://")[2] not in client.authority.hosts:
            return None, "no API of this authority is known"
        wanted = client.scopes(())
        if (wanted.resource or "").lower() != graph:
            return None, "the scopes of the profile are not Graph's"
        path = "/v1.0/organization" if self._account.application else "/v1.0/me"
        import requests

        try:
            with self._session.authorised_session(account=self._account, **self._of_tokens) as web:
                response = web.get(graph + path, timeout=30)
        except requests.RequestException as error:
            return False, f"Graph cannot be reached ({type(error).__name__})"
        return response.status_code < 400, f"HTTP {response.status_code} of {path}"

    def _sign_out(self) -> tuple[bool, str]:
        records = self._session.logout(self._account, revoke=True)
        try:
            self._token()
        except NotSignedIn:
            return bool(records), ""
        return False, "a token is still there"


def _in_words(error: NbAuthError) -> str:
    word = type(error).__name__
    trail = f" (correlation id {error.correlation_id})" if error.correlation_id else ""
    return plain(f"{word} {error.code}: {error}").replace("|", "/") + trail

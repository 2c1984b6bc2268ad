"""The broker: MSAL's own code against the interface that the package pymsalruntime publishes.

No broker of an operating system runs here. Where a fake replaces the package, the tokens are
real ones of the provider.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from types import ModuleType
from typing import Any

import pytest

from nbauth.core.errors import (
    FlowUnavailable,
    InteractionRequired,
    NbAuthError,
    SignInCancelled,
)
from nbauth.core.scopes import Scopes
from nbauth.core.settings_reader import SettingsReader
from nbauth.core.steps import ReceiverKind
from nbauth.core.tokens import TokenResponse
from nbauth.kernel.session import Session
from nbauth.oauth.authorities import parse
from nbauth.oauth.engines import engine_for
from nbauth.oauth.engines.protocol import AuthorizationRequest
from nbauth.oauth.engines.token_requests import Broker
from nbauth.oauth.flows import flows_for
from nbauth.testing.screen import RecordingScreen
from tests.harness.panva import Panva
from tests.interop.scripted_browser import ScriptedBrowser

REQUEST = AuthorizationRequest(Scopes.parse(["User.Read"], microsoft=True))


class Response_Status(Enum):
    """The statuses that MSAL knows by name."""

    Status_InteractionRequired = 2
    Status_AccountUnusable = 12
    Status_UserCanceled = 7


class LogLevel(Enum):
    TRACE, DEBUG, INFO, WARNING, ERROR, FATAL = range(6)


class CallbackData:
    """What MSAL waits for."""

    def __init__(self, is_interactive: bool = False) -> None:
        self.signal = threading.Event()
        self.result: Any = None

    def complete(self, result: Any) -> None:
        self.result = result
        self.signal.set()


class Parameters:
    """``MSALRuntimeAuthParameters``: remembers what MSAL sets."""

    def __init__(self, client_id: str, authority: str) -> None:
        self.seen: dict[str, Any] = {"client_id": client_id, "authority": authority}

    def __getattr__(self, name: str) -> Callable[..., None]:
        if not name.startswith("set_"):
            raise AttributeError(name)
        return lambda *values: self.seen.update({name: values})


@dataclass
class Error:
    """``MSALRuntimeError``."""

    status: Any
    context: str

    def get_context(self) -> str:
        return self.context

    def get_status(self) -> Any:
        return self.status

    def get_error_code(self) -> int:
        return 3399614467

    def get_tag(self) -> int:
        return 508170374


@dataclass
class Result:
    """``MSALRuntimeAuthResult`` with the tokens of a response, or with an error."""

    response: TokenResponse | None = None
    error: Error | None = None

    def get_telemetry_data(self) -> dict[str, str]:
        return {}

    def get_error(self) -> Error | None:
        return self.error

    def get_id_token(self) -> str:
        return json.dumps(dict(self._got.id_token_claims))

    def get_raw_id_token(self) -> str:
        return str(self._got.id_token)

    def get_access_token(self) -> str:
        return str(self._got.access_token)

    def get_access_token_expiry_time(self) -> int:
        return int(time.time() + self._got.expires_in)

    def get_granted_scopes(self) -> list[str]:
        return list(self._got.scopes)

    def is_pop_authorization(self) -> bool:
        return False

    def get_account(self) -> Result:
        return self

    def get_account_id(self) -> str:
        return "an id of the operating system"

    def get_client_info(self) -> str:
        return ""

    @property
    def _got(self) -> TokenResponse:
        assert self.response is not None
        return self.response


@dataclass
class OperatingSystem:
    """Answers as the broker would; ``asked`` has the name and the parameters of each call."""

    silent: list[Result] = field(default_factory=list)
    window: list[Result] = field(default_factory=list)
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def signin_silently(self, params: Parameters, correlation_id: str, done: Any) -> None:
        self.asked.append(("silently", params.seen))
        done(self.silent.pop(0))

    def signin_interactively(
        self, window: int, params: Parameters, correlation_id: str, hint: str | None, done: Any
    ) -> None:
        self.asked.append(("window", {**params.seen, "window": window, "hint": hint}))
        done(self.window.pop(0))


INTERACTION = Result(error=Error(Response_Status.Status_InteractionRequired, "needs the person"))


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch) -> OperatingSystem:
    """Put the interface of pymsalruntime 0.20 (its file PyMsalRuntime.pyi) in place of it."""
    played = OperatingSystem()
    module = ModuleType("pymsalruntime")
    vars(module).update(
        Response_Status=Response_Status,
        LogLevel=LogLevel,
        CallbackData=CallbackData,
        MSALRuntimeAuthParameters=Parameters,
        register_logging_callback=lambda callback: None,
        set_is_pii_enabled=lambda enabled: None,
        get_console_window=lambda: 0,
        get_desktop_window=lambda: 65552,
        signin_silently=played.signin_silently,
        signin_interactively=played.signin_interactively,
    )
    monkeypatch.setitem(sys.modules, "pymsalruntime", module)
    monkeypatch.delitem(sys.modules, "msal.broker", raising=False)
    return played


@pytest.fixture(autouse=True)
def msal_forgets_it() -> Iterator[None]:
    yield
    sys.modules.pop("msal.broker", None)


@pytest.fixture
def tokens(panva: Panva) -> Callable[[], TokenResponse]:
    """Sign Ada in at the provider."""

    def sign_in(user: str = "ada") -> TokenResponse:
        engine = engine_for(parse(panva.ms_authority), panva.client_id, verify=panva.ca_file)
        device = engine.start_device(REQUEST)
        ScriptedBrowser(panva.ca_file, user).approve(device.verification_uri, device.user_code)
        response = engine.poll_device(device)
        engine.close()
        return response

    return sign_in


@pytest.fixture
def session(panva: Panva) -> Iterator[Session]:
    environ = {
        "NBAUTH_AUTHORITY": panva.ms_authority,
        "NBAUTH_CLIENT_ID": panva.client_id,
        "NBAUTH_VERIFY": panva.ca_file,
        "NBAUTH_REFRESH_AHEAD": "false",
    }
    made = Session(SettingsReader(environ), RecordingScreen())
    yield made
    made.rest()


def test_it_signs_in_with_the_account_of_the_system_and_renews(
    session: Session, system: OperatingSystem, tokens: Callable[..., TokenResponse]
) -> None:
    system.silent = [INTERACTION, Result(tokens()), INTERACTION]
    system.window = [Result(tokens())]
    account = session.login("User.Read", flow="broker")
    assert account.username == "ada@example.org"  # type: ignore[union-attr]
    assert [kind for kind, _ in system.asked] == ["silently", "window"]
    window = system.asked[1][1]
    assert window["window"] == 65552, "the desktop, because the kernel has no console"
    assert window["set_requested_scopes"] == (["https://graph.microsoft.com/User.Read"],)

    for flow in ("broker", "browser"):
        assert session.login("User.Read", flow=flow, timeout=5) == account
    assert len(system.asked) == 2, "the person is signed in already"

    renewed = session.acquire("User.Read", force_refresh=True)
    assert (renewed.source, renewed.account) == ("refresh", account)
    assert system.asked[2][0] == "silently"

    with pytest.raises(NbAuthError, match="requires you to sign in again"):
        session.acquire("User.Read", force_refresh=True)
    assert session.cache.signed_in[account.key].kept == "memory"  # type: ignore[union-attr]


def test_another_account_of_the_system_is_not_used_for_a_renewal(
    session: Session, system: OperatingSystem, tokens: Callable[..., TokenResponse]
) -> None:
    system.silent = [Result(tokens()), Result(tokens("bob"))]
    session.login("User.Read", flow="broker")
    text = str(session.acquire("User.Read").access_token)
    with pytest.raises(NbAuthError):
        session.acquire("User.Read", force_refresh=True)
    assert str(session.acquire("User.Read").access_token) == text


def test_an_id_token_of_another_client_is_refused(
    session: Session, system: OperatingSystem, tokens: Callable[..., TokenResponse]
) -> None:
    system.silent = [Result(tokens())]
    with pytest.raises(NbAuthError, match=r"audience|ID token"):
        session.login("User.Read", flow="broker", client_id="another-client")
    assert session.accounts() == []


@pytest.mark.parametrize(
    ("result", "kind", "words"),
    [
        (
            Result(error=Error(Response_Status.Status_UserCanceled, "cancelled by the user")),
            SignInCancelled,
            "cancelled in the window",
        ),
        (
            Result(error=Error("Status_RequiredBrokerMissing", "no broker")),
            FlowUnavailable,
            "no broker. Status",
        ),
        (
            Result(error=Error("Status_Unexpected", "(pii) AADSTS53003: Blocked by policy")),
            FlowUnavailable,
            "A policy of the organisation",
        ),
        (
            Result(error=Error("Status_Unexpected", "AADSTS50011: no reply address")),
            FlowUnavailable,
            "not registered for it",
        ),
    ],
    ids=["cancelled", "missing", "policy", "redirect"],
)
def test_errors_of_the_broker(
    panva: Panva, system: OperatingSystem, result: Result, kind: type[NbAuthError], words: str
) -> None:
    engine = engine_for(parse(panva.ms_authority), panva.client_id, verify=panva.ca_file)
    system.silent = [result]
    with pytest.raises(kind, match=words) as caught:
        engine.obtain(Broker(), REQUEST)
    assert caught.value.hint
    if words == "not registered for it":
        assert "ms-appx-web://Microsoft.AAD.BrokerPlugin/" in caught.value.hint
    engine.close()


def test_a_silent_renewal_never_opens_a_window(panva: Panva, system: OperatingSystem) -> None:
    engine = engine_for(parse(panva.ms_authority), panva.client_id, verify=panva.ca_file)
    system.silent = [INTERACTION]
    with pytest.raises(InteractionRequired):
        engine.obtain(Broker("ada@example.org", silent=True), REQUEST)
    assert [kind for kind, _ in system.asked] == ["silently"]
    engine.close()


def test_without_a_broker_no_browser_is_opened_on_the_kernels_machine(panva: Panva) -> None:
    """With the real package, which finds no broker on this machine or is not installed."""
    engine = engine_for(parse(panva.ms_authority), panva.client_id, verify=panva.ca_file)
    with pytest.raises(FlowUnavailable, match="No broker of the operating system") as caught:
        engine.obtain(Broker(), REQUEST)
    assert "cannot be initialized" in str(caught.value)
    assert caught.value.suggested_flow == "browser"
    engine.close()


@pytest.mark.parametrize("error", [OSError("libwebkit2gtk-4.1.so.0: not found"), RuntimeError("x")])
def test_a_package_that_does_not_load_is_a_reason(
    panva: Panva, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    class Finder:
        def find_spec(self, name: str, *_: Any) -> None:
            if name == "pymsalruntime":
                raise error

    monkeypatch.delitem(sys.modules, "pymsalruntime", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Finder(), *sys.meta_path])
    engine = engine_for(parse(panva.ms_authority), panva.client_id, verify=panva.ca_file)
    with pytest.raises(FlowUnavailable, match=str(error)):
        engine.obtain(Broker(), REQUEST)
    engine.close()


def test_it_is_never_chosen_automatically(session: Session, system: OperatingSystem) -> None:
    assert "broker" not in flows_for(set(ReceiverKind))
    assert system.asked == []


@pytest.mark.parametrize("authority", ["https://sts.contoso.com/adfs", "https://id.example"])
def test_only_entra_has_a_broker(authority: str, system: OperatingSystem) -> None:
    engine = engine_for(parse(authority), "notebooks")
    with pytest.raises(FlowUnavailable):
        engine.obtain(Broker(), REQUEST)
    assert system.asked == []

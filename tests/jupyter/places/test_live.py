"""``nbauth doctor --live`` at an engine without a provider: its checks, and what it may not say."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from nbauth.core.settings_reader import SettingsReader
from nbauth.jupyter.places.live import live
from nbauth.jupyter.places.live_report import Check, Report
from nbauth.kernel.session import Session
from nbauth.testing.engine import FakeEngine, refusal, unreachable
from nbauth.testing.screen import RecordingScreen

TENANT = "7d3e1c58-0000-4000-8000-0000000000aa"
APPLICATION = "11111111-2222-3333-4444-555555555555"
AUTHORITY = f"https://login.microsoftonline.com/{TENANT}"


class Here:
    """A session at a fake engine, and the person at its terminal."""

    def __init__(self, authority: str = AUTHORITY) -> None:
        environ = {
            "NBAUTH_AUTHORITY": authority,
            "NBAUTH_CLIENT_ID": APPLICATION,
            "NBAUTH_REFRESH_AHEAD": "false",
        }
        self.screen = RecordingScreen()
        self.engine: Any = None
        self.session = Session(SettingsReader(environ), self.screen, self._make)
        self.asked: list[str] = []
        self.said: list[str] = []

    def _make(self, *arguments: Any, **options: Any) -> FakeEngine:
        if self.engine is None:
            self.engine = FakeEngine(*arguments, **options)
        return self.engine  # type: ignore[no-any-return]

    def run(self, *answers: str, **options: Any) -> Report:
        replies = iter(answers)

        def ask(prompt: str) -> str:
            self.asked.append(prompt)
            return next(replies, "")

        return live(self.session, options, ask, self.said.append)


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Iterator[Here]:
    monkeypatch.setattr("nbauth.oauth.flows.device_code.SHORTEST_INTERVAL", 0.005)
    monkeypatch.setattr("nbauth.kernel.calls.authorised_session.AuthorisedSession.get", Graph.get)
    made = Here()
    yield made
    made.session.rest()


class Graph:
    """Accepts each token."""

    status_code = 200

    def get(self, url: str, timeout: float) -> Any:
        assert urlsplit(url).hostname == "graph.microsoft.com"
        return Graph


def results(report: Report, flow: str = "device") -> dict[str, bool | None]:
    return {check.what: check.ok for check in report.flows[flow]}


def test_each_check_is_made_and_the_account_is_signed_out(here: Here) -> None:
    report = here.run(flow="device")
    assert results(report) == {
        "signs in": True,
        "the token comes from the cache": True,
        "the token is refreshed": True,
        "a token for another API": True,
        "a claims request is answered": True,
        "the API accepts the token": True,
        "signs out": True,
    }
    assert here.session.accounts() == []
    assert here.engine.count("revoke") >= 1
    assert [call.arguments["claims"] for call in here.engine.calls if call.method == "refresh"][-1]


def test_the_report_names_nobody_and_has_no_secret(here: Here) -> None:
    mean = (
        f"AADSTS50105: ada@example.com ({TENANT}) is not assigned to {APPLICATION} at"
        " https://intern.contoso.com/app. eyJhbGciOiJub25lIn0" + "a" * 80
    )

    def refused() -> Exception:
        return refusal(
            "invalid_request", mean, correlation_id="6b2d4f00-aaaa-4bbb-8ccc-000000000001"
        )

    gone: list[Callable[[], Exception]] = [refused] * 9
    here.run(flow="device")  # makes the engine
    here.engine.will("refresh", *gone)
    report = here.run(flow="device")
    text = report.markdown() + "\n".join(here.said)
    for known in ("ada", TENANT, APPLICATION, "contoso", "intern", "access-", "refresh-ada", "eyJ"):
        assert known not in text, known
    assert "AADSTS50105" in text
    assert "<user>" in text
    assert report.failed


def test_a_flow_that_fails_is_one_line_and_the_next_begins(here: Here) -> None:
    here.engine = FakeEngine()
    here.engine.will("start_device", refusal("invalid_client", "AADSTS7000218: needs a secret"))
    report = here.run(flow="device")
    assert results(report) == {"signs in": False}
    assert "AADSTS7000218" in report.markdown()
    assert report.failed


def test_the_person_may_skip_and_end(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    class Nowhere:
        name, ways = "a test", ("device", "paste", "browser")

    monkeypatch.setattr("nbauth.jupyter.places.live.place", lambda: Nowhere)
    report = here.run("s", "S", "q")
    assert report.flows == {}
    assert [prompt.split(":")[1].split(".")[0].strip() for prompt in here.asked] == [
        "device",
        "paste",
        "browser",
    ]
    assert not report.failed


def test_what_was_tried_is_reported_although_the_input_ends(
    here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Nowhere:
        name, ways = "a test", ("device", "paste")

    monkeypatch.setattr("nbauth.jupyter.places.live.place", lambda: Nowhere)
    answers = iter([""])

    def ask(_: str) -> str:
        try:
            return next(answers)
        except StopIteration:
            raise EOFError from None

    report = live(here.session, {}, ask, here.said.append)
    assert results(report)["signs in"]
    assert list(report.flows) == ["device"]
    with pytest.raises(EOFError):  # nobody has answered at all
        live(here.session, {}, ask, here.said.append)


def test_a_service_identity_is_tried_without_a_question(
    here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_TENANT_ID", TENANT)
    monkeypatch.setenv("AZURE_CLIENT_ID", "job-of-contoso")
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "canary")
    here.screen.is_attended = False
    report = here.run()
    assert here.asked == []
    assert results(report, "app")["signs in"]
    assert results(report, "app")["signs out"]
    assert "an application" in report.markdown()
    assert "job-of-contoso" not in report.markdown()


def test_an_outage_is_told(here: Here) -> None:
    here.engine = FakeEngine()
    here.engine.will("start_device", unreachable())
    assert "AuthorityUnreachable no_connection" in here.run(flow="device").markdown()


def test_a_line_of_the_table_cannot_be_broken() -> None:
    report = Report(flows={"x": [Check("a", False, "b | c\nd")]})
    assert "| a | NO | " in report.markdown()


HOSTS = ("adfs.contoso.example", "10.20.30.40:8443", "proxy.intern:3128", "[fd00::17]:443",
         "sts.contoso.co.uk", "CONTOSO.COM", "contoso.onmicrosoft.com")  # fmt: skip
TEXTS = (
    *(f"{host} returned HTTP 503." for host in HOSTS),
    *(f"The request to {host}/adfs/services/trust failed" for host in HOSTS),
    "The client certificate in /home/ada/contoso-job.pem cannot be used: it is a folder.",
    "The assertion in C:\\Users\\ada\\contoso.jwt (client_assertion_file) cannot be read",
    "The CA file ~ada/contoso.pem (the setting verify) does not exist",
    "The scope api://contoso-payroll/read does not exist; urn:contoso:app, contoso-app:/read",
    "User 'contoso\\ada' is locked; ada@contoso is too",
    "Signed in as ada%40contoso.example",
    "See https://login.microsoftonline.com/contoso.com/oauth2/authorize?login_hint=ada and"
    " https://graph.microsoft.com/v1.0/users/ada",
)
"""Texts of errors with names of people (ada) and of organisations (contoso, intern)."""


@pytest.mark.parametrize("told", TEXTS)
def test_no_text_of_an_error_names_a_host_a_file_or_a_person(told: str) -> None:
    report = Report(flows={"x": [Check("signs in", False, told)]})
    shown = report.markdown()
    for known in ("ada", "contoso", "intern", "10.20", "fd00"):
        assert known not in shown.lower(), shown


@pytest.mark.parametrize(
    "kept",
    ["HTTP 200 of /v1.0/me", "AADSTS50105", "scopes User.Read openid https://graph.microsoft.com",
     "SignInError wrong_password: The user name or password is wrong.", "Bearer, 60 min",
     "login.microsoftonline.com returned HTTP 503.", "nbauth 0.1.0, msal 1.39.0, Python 3.11.7"],
)  # fmt: skip
def test_what_names_nobody_is_kept(kept: str) -> None:
    assert kept in Report(flows={"x": [Check("signs in", False, kept)]}).markdown()

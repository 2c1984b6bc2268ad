"""The panel: its messages on a comm without a front end, and itself in a real JupyterLab."""

from __future__ import annotations

import inspect
import json
import re
import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import comm
import pytest
import requests
from playwright.sync_api import Locator, expect

from nbauth.core.errors import ConfigurationError, SignInDeclined
from nbauth.core.scopes import Scopes
from nbauth.core.secret import SecretStr
from nbauth.core.settings import Settings
from nbauth.core.tokens import TokenResponse
from nbauth.kernel.session import Session
from nbauth.kernel.sign_in import SignIn
from nbauth.oauth.authorities import Authority
from nbauth.oauth.engines import AuthorizationPending, AuthorizationRequest, DeviceCode
from tests.harness.jupyter import LabFactory, OpenNotebook
from tests.harness.lab_page import LabPage

CODE = "WDJB-MJHT"
PAGE = "https://id.example/device"
NAME = "Ada Lovelace"
USERNAME = "ada@example.com"


class ScriptedEngine:
    """A provider that answers what the test says, without a network."""

    authority = Authority("oidc", "https://id.example")
    client_id = "notebooks"
    issuer = "https://id.example"

    def __init__(self, **device: Any) -> None:
        facts = {"user_code": CODE, "verification_uri": PAGE, "expires_in": 900.0, **device}
        self.device = DeviceCode(interval=1.0, **facts)
        self.answer: Any = AuthorizationPending()
        self.may_start = threading.Event()
        self.may_start.set()

    def start_device(self, request: AuthorizationRequest) -> DeviceCode:
        self.may_start.wait(20)
        return self.device

    def poll_device(self, device: DeviceCode) -> TokenResponse:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def authorize(self, request: AuthorizationRequest, *, redirect_uri: str, state: str) -> Any:
        url = f"https://id.example/authorize?state={state}"
        return SimpleNamespace(authorize_url=url, state=state, issuer=self.issuer)

    def abort(self) -> None:
        self.may_start.set()


def tokens(name: str = NAME, username: str = USERNAME, expires_in: float = 3600) -> TokenResponse:
    claims = {"sub": username, "preferred_username": username, "name": name}
    return TokenResponse(
        SecretStr("an-access-token"),
        expires_in,
        ("openid",),
        refresh_token=SecretStr("a-refresh-token"),
        id_token_claims=claims,
    )


def session_with(engine: Any) -> Session:
    settings = Settings(authority=engine.issuer, client_id=engine.client_id)
    return Session(lambda call, configured: settings, make_engine=lambda *a, **k: engine)


def new_sign_in(session: Session, flow: str = "device") -> SignIn:
    """As the session would make it, without asking whether somebody is there."""
    client = session.client()
    scopes = Scopes.parse(["openid", "profile"], microsoft=False)
    return SignIn(
        engine=session._engines.of(client),
        request=AuthorizationRequest(scopes),
        flow=flow,
        choose=lambda sign_in: flow,
        accept=lambda response: session._accept(client, scopes, response),
        wait=lambda sign_in, timeout: sign_in.ended.wait(timeout),
        again=lambda: new_sign_in(session, flow).start(),
    )


# ── messages ────────────────────────────────────────────────────────────────────────────────


class RecordingComm(comm.base_comm.BaseComm):
    """A comm whose messages stay here."""

    sent: list[tuple[str, dict[str, Any]]]

    def publish_msg(self, msg_type: str, data: Any = None, **rest: Any) -> None:
        self.sent = [*getattr(self, "sent", []), (msg_type, data or {})]

    def states(self) -> list[dict[str, Any]]:
        messages = [data["content"] for _, data in self.sent if data.get("method") == "custom"]
        return [message for message in messages if message["kind"] == "state"]


class Front:
    """A panel with a script in place of its front end."""

    def __init__(self, flow: str = "device", *, begun: bool = True, **device: Any) -> None:
        from nbauth.jupyter.panel import SignInPanel

        self.engine = ScriptedEngine(**device)
        self.session = session_with(self.engine)
        self.sign_in = new_sign_in(self.session, flow) if begun else None
        self.panel = SignInPanel(
            self.session, lambda: new_sign_in(self.session, flow).start(), self.sign_in
        )
        if self.sign_in:
            self.sign_in.start()

    def say(self, kind: str, **content: Any) -> None:
        self.panel._handle_custom_msg({"kind": kind, **content}, [])

    @property
    def state(self) -> dict[str, Any]:
        return self.panel.comm.states()[-1]

    def until(self, state: str, **facts: Any) -> dict[str, Any]:
        end = time.monotonic() + 5
        while time.monotonic() < end:
            if self.panel.comm.states():
                latest = self.state
                if latest["state"] == state and facts.items() <= latest.items():
                    json.dumps(latest)
                    return latest
            time.sleep(0.01)
        raise AssertionError(f"not {state} {facts}: {self.panel.comm.states()[-1:]}")


@pytest.fixture
def front(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setattr(comm, "create_comm", RecordingComm)
    made: list[Front] = []

    def make(*args: Any, **options: Any) -> Front:
        made.append(Front(*args, **options))
        return made[-1]

    yield make
    for one in made:
        if one.panel.sign_in is not None:
            one.panel.sign_in.cancel()
        one.panel.close_quietly()
        one.panel.close_quietly()


def test_a_view_is_told_the_state_when_it_is_ready(front: Any) -> None:
    shown = front()
    assert not shown.panel.ready.is_set()
    shown.until("waiting", user_code=CODE)
    shown.say("ready")
    assert shown.panel.ready.is_set()
    state = shown.state
    assert state["verification_uri"] == PAGE
    assert 890 < state["expires_in"] <= 900
    asked = {"client_id": "notebooks", "authority": "https://id.example"}
    assert state["asks"] == {**asked, "scopes": ["openid", "profile"]}
    assert shown.panel.comm_id == shown.panel.model_id


def test_from_waiting_to_signed_in_to_signed_out(front: Any) -> None:
    shown = front()
    shown.until("waiting", user_code=CODE)
    shown.engine.answer = tokens()
    account = shown.until("done")["account"]
    assert (account["name"], account["username"]) == (NAME, USERNAME)
    assert 3590 < account["expires_in"] <= 3600
    shown.say("sign-out")
    assert shown.session.accounts() == []
    assert shown.until("signed-out")["account"] is None
    shown.say("sign-out")  # of a second view
    shown.engine.answer = AuthorizationPending()
    shown.say("sign-in")
    shown.until("waiting", user_code=CODE)


def test_cancel_and_try_again(front: Any) -> None:
    shown = front()
    shown.until("waiting", user_code=CODE)
    shown.say("cancel")
    assert shown.until("cancelled")["error"][0] == "The sign-in was cancelled."
    shown.say("cancel")
    first = shown.panel.sign_in
    shown.say("sign-in")
    shown.say("sign-in")  # a double click begins one
    second = shown.panel.sign_in
    shown.until("waiting", user_code=CODE)
    assert first is not second
    assert not first._observers
    assert shown.panel.sign_in is second


def test_failed_and_expired(front: Any) -> None:
    shown = front()
    shown.until("waiting", user_code=CODE)
    shown.engine.answer = SignInDeclined("You said no.", hint="Say yes.", correlation_id="c-1")
    error = shown.until("failed")["error"]
    assert error == ["You said no. (correlation id c-1)", "Say yes."]
    late = front(expires_in=0.2)
    assert "in time" in late.until("expired")["error"][0]


def test_begins_only_when_asked_and_says_why_it_cannot(front: Any) -> None:
    shown = front(begun=False)
    shown.say("ready")
    assert shown.state["state"] == "signed-out"
    shown.say("cancel")
    errors: list[Exception] = [ConfigurationError("No client_id.", hint="Set it."), KeyError("x")]

    def start() -> SignIn:
        raise errors.pop(0)

    shown.panel._start = start
    shown.say("sign-in")
    assert shown.until("failed")["error"] == ["No client_id.", "Set it."]
    shown.say("sign-in")
    assert shown.state["error"][0] == "The sign-in could not begin: KeyError."


def test_an_account_that_is_there_already_is_shown(front: Any) -> None:
    shown = front(begun=False)
    other = new_sign_in(shown.session)
    shown.engine.answer = tokens()
    other.start()
    assert shown.until("done")["account"]["username"] == USERNAME
    shown.session.logout()
    shown.until("signed-out")


def test_browser_flow(front: Any) -> None:
    shown = front("browser")
    state = shown.until("waiting", flow="browser", user_code=None)
    message = "Sign in with your browser; the notebook goes on by itself."
    url = shown.until("waiting", message=message)["authorize_url"]
    assert url.startswith("https://id.example/authorize?state=")
    assert state["verification_uri"] is None


@pytest.mark.parametrize("address", ["javascript:alert(1)//", "file:///x", "https://x/\u202e"])
def test_what_is_no_web_address_is_not_sent_as_one(front: Any, address: str) -> None:
    shown = front(verification_uri=address, verification_uri_complete=address, user_code="A\u202eB")
    state = shown.until("waiting", user_code="A B")
    assert state["verification_uri"] is None
    assert state["verification_uri_complete"] is None


def test_the_complete_address_is_sent_for_the_same_origin_only(front: Any) -> None:
    same = front(verification_uri_complete=f"{PAGE}?c=1").until("waiting", user_code=CODE)
    assert same["verification_uri_complete"] == f"{PAGE}?c=1"
    away = front(verification_uri_complete="https://x.example/").until("waiting", user_code=CODE)
    assert away["verification_uri_complete"] is None


def answer_probe(shown: Front, read: Any, nonce: str | None = None) -> bool:
    """What same_machine() says to a browser that gives ``read(url)``."""

    def browse() -> None:
        while not (probes := [d["content"] for _, d in shown.panel.comm.sent
                              if d.get("content", {}).get("kind") == "probe"]):  # fmt: skip
            time.sleep(0.01)
        shown.say("probe", nonce=nonce or probes[-1]["nonce"], text=read(probes[-1]["url"]))

    shown.say("ready")
    browser = threading.Thread(target=browse)
    browser.start()
    verdict = bool(shown.panel.same_machine(1.0))
    browser.join()
    return verdict


def read(url: str) -> str:
    return requests.get(url, headers={"Origin": "http://localhost:8888"}, timeout=2).text


def test_same_machine(front: Any) -> None:
    assert answer_probe(front(), read)
    assert not answer_probe(front(), lambda url: None)
    assert not answer_probe(front(), lambda url: "a guess")
    assert not answer_probe(front(), lambda url: ["not", "a text"])
    assert not answer_probe(front(), read, nonce="of another question")


def test_same_machine_without_a_front_end_takes_no_longer_than_allowed(front: Any) -> None:
    shown, begun = front(), time.monotonic()
    assert not shown.panel.same_machine(0.3)
    assert 0.25 < time.monotonic() - begun < 1
    threading.Timer(0.1, shown.sign_in.cancel).start()
    begun = time.monotonic()
    assert not shown.panel.same_machine(10)
    assert time.monotonic() - begun < 1


def test_nonsense_from_the_front_end_changes_nothing(front: Any) -> None:
    shown = front()
    shown.until("waiting", user_code=CODE)
    for content in (None, [], "cancel", {}, {"kind": None}, {"kind": "probe"}, {"kind": "x"}):
        shown.panel._handle_custom_msg(content, [])
    assert shown.sign_in.state == "waiting"


def test_a_front_end_that_is_gone_ends_no_sign_in(front: Any) -> None:
    shown = front()

    def broken(*args: Any, **options: Any) -> None:
        raise RuntimeError("gone")

    shown.panel.comm.publish_msg = broken
    shown.engine.answer = tokens()
    assert shown.sign_in.wait(5)
    assert shown.sign_in.state == "done"


def test_nothing_private_is_synced_or_in_the_bundle(front: Any) -> None:
    shown = front()
    shown.until("waiting", user_code=CODE)
    shown.engine.answer = tokens()
    shown.until("done")
    data, _ = shown.panel._repr_mimebundle_()
    assert set(data) == {
        "text/plain", "text/html", "application/vnd.jupyter.widget-view+json",
    }  # fmt: skip
    assert "run the cell to use it" in data["text/plain"]
    saved = json.dumps([data, shown.panel.get_state(), repr(shown.panel)], default=repr)
    for private in (CODE, PAGE, NAME, USERNAME, "notebooks", "id.example"):
        assert private not in saved


# ── in JupyterLab ───────────────────────────────────────────────────────────────────────────

SETUP = f"""
import threading, time
from types import SimpleNamespace
from typing import Any
from nbauth.core.errors import *
from nbauth.core.scopes import Scopes
from nbauth.core.secret import SecretStr
from nbauth.core.settings import Settings
from nbauth.core.tokens import TokenResponse
from nbauth.jupyter.panel import SignInPanel
from nbauth.kernel.session import Session
from nbauth.kernel.sign_in import SignIn
from nbauth.oauth.authorities import Authority
from nbauth.oauth.engines import AuthorizationPending, AuthorizationRequest, DeviceCode

NAME, USERNAME = "".join({list(NAME)}), "".join({list(USERNAME)})
CODE, PAGE = "".join({list(CODE)}), "".join({list(PAGE)})
{inspect.getsource(ScriptedEngine)}
{inspect.getsource(tokens)}
{inspect.getsource(session_with)}
{inspect.getsource(new_sign_in)}
engine = ScriptedEngine()
session = session_with(engine)
"""
SHOW = """
panel = SignInPanel(session, lambda: new_sign_in(session).start(), new_sign_in(session))
panel.sign_in.start()
panel
"""
ACCOUNTS = "print(len(session.accounts()), panel.sign_in and panel.sign_in.state)"


def panel_under(page: LabPage, index: int) -> Locator:
    return page.output(index).get_by_role("group", name="Sign in with nbauth")


def all_but_the_sources(notebook: dict[str, Any]) -> str:
    outputs = [cell.get("outputs") for cell in notebook["cells"]]
    return json.dumps([outputs, notebook["metadata"]])


def seconds_left(where: Locator) -> int:
    minutes, seconds = where.get_by_role("timer").inner_text().split()[0].split(":")
    return int(minutes) * 60 + int(seconds)


def use_dark_theme(page: LabPage) -> None:
    page._js("app.commands.execute('apputils:change-theme', {theme: 'JupyterLab Dark'}) && null")
    expect(page.page.locator("body")).to_have_attribute("data-jp-theme-light", "false")


def picture(page: LabPage, name: str) -> None:
    page.page.mouse.move(0, 0)
    page.page.wait_for_timeout(150)
    page.screenshot(f"panel-{name}")


@pytest.mark.browser
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_through_all_its_states(
    theme: str, open_notebook: OpenNotebook, lab_factory: LabFactory
) -> None:
    lab = lab_factory(kernel="7.4", save_widget_state=True)
    cells = [SETUP, "engine.may_start.clear()\n" + SHOW, "engine.may_start.set()", ACCOUNTS,
             "engine.answer = SignInDeclined('You said no at the provider.', hint='Say yes.')",
             "engine.answer = AuthorizationPending()", "engine.answer = tokens()",
             "# %% md\nA text."]  # fmt: skip
    page = open_notebook(cells, lab=lab)
    if theme == "dark":
        use_dark_theme(page)
    page.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.run(0)
    page.run(1)
    panel = panel_under(page, 1)
    expect(panel).to_contain_text("Asking the provider…")
    picture(page, f"{theme}-1-starting")

    page.run(2)
    expect(panel.locator("code")).to_have_text(CODE)
    link = panel.get_by_role("link", name="Open sign-in page")
    expect(link).to_have_attribute("href", PAGE)
    expect(link).to_have_attribute("target", "_blank")
    expect(link).to_have_attribute("rel", "noopener noreferrer")
    expect(panel.get_by_role("status")).to_contain_text("Your code is ready")
    before = seconds_left(panel)
    assert 880 < before <= 900
    picture(page, f"{theme}-2-code")
    panel.get_by_role("button", name="Copy").click()
    expect(panel.get_by_role("button", name="Copied")).to_be_visible()
    assert page.page.evaluate("navigator.clipboard.readText()") == CODE
    panel.get_by_text("What this asks for").click()
    expect(panel.locator("dl")).to_contain_text("openid profile")
    picture(page, f"{theme}-3-copied")
    expect(panel.get_by_role("button", name="Copy", exact=True)).to_be_visible()
    assert seconds_left(panel) < before
    assert CODE not in panel.get_by_role("status").inner_text()

    page.save()
    waiting = all_but_the_sources(lab.read_notebook(page.path))

    panel.get_by_role("button", name="Cancel").click()
    expect(panel).to_contain_text("Sign-in cancelled")
    assert page.run(3) == "0 cancelled"
    picture(page, f"{theme}-4-cancelled")
    panel.get_by_role("button", name="Try again").click()
    expect(panel.locator("code")).to_have_text(CODE)

    page.run(4)
    expect(panel).to_contain_text("You said no at the provider.")
    expect(panel).to_contain_text("Say yes.")
    picture(page, f"{theme}-5-failed")
    page.run(5)
    panel.get_by_role("button", name="Try again").focus()
    page.page.keyboard.press("Enter")
    expect(panel.locator("code")).to_have_text(CODE)

    page.run(6)
    expect(panel).to_contain_text(NAME)
    expect(panel).to_contain_text(USERNAME)
    expect(panel.locator(".nbauth-avatar")).to_have_text("AL")
    expect(panel.get_by_role("timer")).to_contain_text(re.compile(r"Token: (59:\d\d|1 h 0 min)"))
    expect(panel.get_by_role("status")).to_have_text(f"Signed in as {NAME}")
    assert page.run(3) == "1 done"
    picture(page, f"{theme}-6-done")

    page.save()
    done = all_but_the_sources(lab.read_notebook(page.path))
    for saved in (waiting, done):
        assert "nbauth sign-in panel" in saved
        assert (
            "_anywidget_id" in saved
        )  # the widget state is there, so the next lines mean something
        for private in (CODE, PAGE, NAME, USERNAME, "an-access-token-", "id.example/"):
            assert private not in saved

    panel.get_by_role("button", name="Sign out").click()
    expect(panel).to_contain_text("You are not signed in.")
    assert page.run(3) == "0 done"
    picture(page, f"{theme}-7-signed-out")
    assert [line for line in page.console if "nbauth" in line or "anywidget" in line] == []

    lab.shut_down_kernels()
    page.open(page.path)
    expect(panel).to_contain_text("Run the cell again to sign in.")


@pytest.mark.browser
def test_browser_flow_probe_and_two_views(open_notebook: OpenNotebook) -> None:
    flow = SHOW.replace("new_sign_in(session)", "new_sign_in(session, 'browser')")
    hostile = """
from nbauth.core.accounts import Account
bad = '<img src=x onerror="document.title=1">' + chr(0x202e) + 'x' * 200
engine.answer = tokens(bad, bad)
other = SignInPanel(session, lambda: new_sign_in(session).start())
panel.sign_in.cancel()
new_sign_in(session).start().wait(5)
other
"""
    probe = (
        "import time; t = time.monotonic(); v = None\nthreading.Thread(target=lambda:"
        " globals().update(v=panel.same_machine(5), took=time.monotonic() - t)).start()"
    )
    page = open_notebook([SETUP, flow, "panel", probe, "print(v, took < 1)", hostile], kernel="7.4")
    page.run(0)
    page.run(1)
    page.run(2)
    first, second = (panel_under(page, n) for n in (1, 2))
    for view in (first, second):
        link = view.get_by_role("link", name="Continue in the browser")
        expect(link).to_have_attribute("href", re.compile("^https://id.example/authorize"))
    picture(page, "light-8-browser")
    page.run(3)
    page.page.wait_for_timeout(500)
    assert page.run(4) == "True True"
    page.run(5)
    expect(second).to_contain_text("Sign-in cancelled")
    other = panel_under(page, 5)
    expect(other).to_contain_text("<img src=x")
    assert other.locator("img").count() == 0
    other.scroll_into_view_if_needed()
    picture(page, "light-9-hostile")
    box, cell = other.bounding_box(), page.output(5).bounding_box()
    assert box is not None
    assert cell is not None
    assert box["width"] <= cell["width"]


@pytest.mark.browser
@pytest.mark.parametrize("version", ["7.4", "7.3"])
def test_answers_while_the_next_cell_runs(version: str, open_notebook: OpenNotebook) -> None:
    page = open_notebook([SETUP, SHOW, "time.sleep(6)", ACCOUNTS], kernel=version)
    page.run(0)
    page.run(1)
    panel = panel_under(page, 1)
    expect(panel.locator("code")).to_have_text(CODE)
    page.run_cell(2)
    page.wait_cell_running(2)
    panel.get_by_role("button", name="Cancel").click()
    expect(panel).to_contain_text("Sign-in cancelled", timeout=3000)
    assert page.cell_prompt(2) == "*"
    panel.get_by_role("button", name="Try again").click()
    expect(panel.locator("code")).to_have_text(CODE, timeout=3000)
    assert page.cell_prompt(2) == "*"
    page.wait_cell_done(2)


@pytest.mark.browser
def test_copy_without_a_clipboard(open_notebook: OpenNotebook) -> None:
    page = open_notebook([SETUP, SHOW], kernel="7.4")
    page.page.evaluate("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
    page.run(0)
    page.run(1)
    panel = panel_under(page, 1)
    copied: list[str] = []
    page.page.expose_function("copied", lambda text: copied.append(text))
    page.page.evaluate("document.addEventListener('copy', () => copied(getSelection() + ''))")
    panel.get_by_role("button", name="Copy").click()
    expect(panel.get_by_role("button", name="Copied")).to_be_visible()
    page.page.wait_for_timeout(100)
    assert copied == [CODE]

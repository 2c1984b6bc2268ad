"""The password field of the panel: typed by keyboard in JupyterLab, and found nowhere else."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pytest
from playwright.sync_api import expect

from nbauth.core.errors import SignInError
from nbauth.testing.canary import find, make_canary
from tests.harness.jupyter import LabFactory, OpenNotebook
from tests.harness.lab_page import LabPage
from tests.jupyter.panel.front import MakeFront
from tests.jupyter.panel.gallery import SETUP, panel_under
from tests.jupyter.panel.scripted import USERNAME, tokens
from tests.jupyter.panel.waiting_cells import WAITING, approve

WRONG = SignInError("It is wrong.", code="AADSTS50126", hint="Try again.")


# ── its messages ────────────────────────────────────────────────────────────────────────────


def asked(front: MakeFront, **options: Any) -> Any:
    """A panel that asks for a password."""
    shown = front(begun=False)
    shown.start.options = {"flow": "password", **options}
    shown.say("sign-in")
    shown.until("waiting", flow="password")
    return shown


def question(shown: Any, attempt: int = 1) -> dict[str, Any]:
    """Wait for the question in the state, and return it."""
    shown.until("waiting")
    for _ in range(500):
        found = shown.state.get("password")
        if found and found["attempt"] == attempt:
            return dict(found)
        shown.sign_in.ended.wait(0.01)
    raise AssertionError(shown.state)


def test_the_state_has_the_question_and_never_the_answer(front: MakeFront) -> None:
    secret = make_canary("password")
    shown = asked(front, login_hint=USERNAME)
    first = question(shown)
    assert (first["username"], first["refusal"]) == (USERNAME, None)
    assert "multi-factor" in first["note"]
    shown.engine.answer = WRONG
    shown.say("password", typed=secret, username="eve", question=first["id"])
    again = question(shown, 2)
    assert (again["username"], again["refusal"]) == ("eve", ["It is wrong.", "Try again."])
    shown.say("password", typed="of another view", username="eve", question=first["id"])
    assert question(shown, 2) == again
    shown.engine.answer = tokens()
    shown.say("password", typed=secret, username=USERNAME, question=again["id"])
    shown.until("done")
    assert shown.engine.sent == [("eve", secret), (USERNAME, secret)]
    everything = json.dumps([sent for _, sent in shown.panel.comm.sent], default=repr)
    state = repr(shown.panel.get_state()) + repr(vars(shown.panel)) + repr(shown.panel)
    assert find(secret, everything + state) == []
    with pytest.raises(Exception, match="pickle"):
        pickle.dumps(shown.sign_in)


def test_an_incomplete_answer_is_shown_and_malformed_ones_are_ignored(front: MakeFront) -> None:
    shown = asked(front)
    asks = question(shown)["id"]
    shown.say("password", typed="", username="ada", question=asks)
    assert shown.messages("input-refused")[-1]["error"][0] == "The password is missing."
    shown.say("password", username="ada", question=asks)
    for odd in ({}, {"username": 7, "question": asks}, {"username": "ada", "question": ""}):
        shown.say("password", typed="x", **odd)
    assert len(shown.messages("input-refused")) == 1
    assert question(shown)["attempt"] == 1
    assert shown.engine.sent == []


def test_a_password_for_the_question_of_another_sign_in_is_ignored(front: MakeFront) -> None:
    """Its message may arrive when the panel already shows a sign-in at another provider."""
    shown = asked(front)
    earlier = question(shown)
    shown.sign_in.cancel()
    shown.until("cancelled")
    shown.say("sign-in")
    later = question(shown)
    assert earlier["attempt"] == later["attempt"]
    for asks in (earlier["id"], "", None, later["attempt"]):
        shown.say("password", typed="of the earlier one", username="ada", question=asks)
    assert shown.engine.sent == []
    assert question(shown) == later
    shown.engine.answer = tokens()
    shown.say("password", typed="of this one", username="ada", question=later["id"])
    shown.until("done")
    assert shown.engine.sent == [("ada", "of this one")]


# ── in JupyterLab ───────────────────────────────────────────────────────────────────────────


CELLS = [
    f"{SETUP}\nimport logging, io\nlog = io.StringIO()\n"
    "logging.basicConfig(level=logging.DEBUG, stream=log, force=True)",
    "show(options={'flow': 'password', 'login_hint': 'eve'}, answer=SignInError('It is wrong.',"
    " code='AADSTS50126', hint='Try again.'))",
    "shown[-1].engine.answer = tokens()",
    "import hashlib, json\nfrom nbauth.testing.canary import find\n"
    "held = [repr(shown[-1].sign_in), repr(vars(shown[-1])), json.dumps(shown[-1].get_state(),"
    " default=repr), repr(list(get_ipython().history_manager.get_range(raw=True)))]\n"
    "words = [word for _, word in shown[-1].engine.sent]\n"
    "print([hashlib.sha256(word.encode()).hexdigest()[:8] for word in words],"
    " [user for user, _ in shown[-1].engine.sent], log.getvalue().count('handle_msg') > 2,"
    " [find(word, log.getvalue() + ''.join(held)) for word in words])",
]


def fill(page: LabPage, text: str) -> None:
    page.page.keyboard.insert_text(text)


@pytest.mark.browser
def test_by_keyboard_alone_and_nowhere_saved(
    open_notebook: OpenNotebook, lab_factory: LabFactory
) -> None:
    import hashlib

    one, two = make_canary("one"), make_canary("two")
    lab = lab_factory(kernel="7.4", save_widget_state=True)
    page = open_notebook(CELLS, lab=lab, own_page=True)
    keys = page.page.keyboard
    page.run(0)
    page.run(1)
    panel = panel_under(page, 1)
    name, password = panel.get_by_label("User name"), panel.get_by_label("Password")
    expect(name).to_have_value("eve")
    expect(password).to_have_attribute("type", "password")
    expect(password).to_have_attribute("autocomplete", "current-password")
    expect(password).to_have_attribute("spellcheck", "false")
    expect(panel.get_by_role("status")).to_contain_text("Enter your user name and your password")
    expect(panel).to_contain_text("multi-factor")
    name.focus()
    keys.press("Control+a")
    keys.type("ddaabb")  # in command mode these keys delete and add cells
    expect(name).to_have_value("ddaabb")
    keys.press("Tab")
    expect(password).to_be_focused()
    keys.press("Enter")
    expect(panel.get_by_role("alert")).to_contain_text("Enter the user name and the password.")
    expect(password).to_be_focused()
    expect(name).to_have_value("ddaabb")
    fill(page, one)
    page.save()
    assert find(one, json.dumps(lab.read_notebook(page.path))) == []
    password.focus()
    keys.press("Enter")
    expect(panel.get_by_role("alert")).to_contain_text("It is wrong.")
    expect(panel.get_by_role("status")).to_contain_text("It is wrong.")
    expect(name).to_have_value("ddaabb")
    expect(password).to_have_value("")
    expect(password).to_be_focused()
    page.screenshot("password-wrong")
    page.run(2)
    password.focus()
    fill(page, two)
    keys.press("Tab")
    expect(panel.get_by_role("button", name="Sign in", exact=True)).to_be_focused()
    keys.press("Enter")
    expect(panel).to_contain_text(USERNAME)
    expect(page.cells).to_have_count(4)
    hashes = [hashlib.sha256(word.encode()).hexdigest()[:8] for word in (one, two)]
    assert page.run(3) == f"{hashes} ['ddaabb', 'ddaabb'] True [[], []]"
    page.save()
    saved = json.dumps(lab.read_notebook(page.path))
    assert "_anywidget_id" in saved, "without saved widget state, the next line tests nothing"
    places = {"notebook": saved, "page": page.page.content(), "server": lab.log}
    places["console"] = "\n".join(page.console)
    found = [(where, word[:3]) for where, text in places.items() for word in (one, two)
             if find(word, text)]  # fmt: skip
    assert found == []


@pytest.mark.browser
def test_the_field_is_emptied_when_the_flow_changes_at_a_reload_and_in_the_other_view(
    open_notebook: OpenNotebook,
) -> None:
    cells = [SETUP, "show(options={'flow': 'password'})", "shown[-1]",
             "shown[-1].sign_in.switch('device')", "shown[-1].sign_in.switch('password')",
             "shown[-1]._send_state()"]  # fmt: skip
    page = open_notebook(cells, kernel="7.4")
    for cell in (0, 1, 2):
        page.run(cell)
    first, second = panel_under(page, 1), panel_under(page, 2)
    for panel in (first, second):
        panel.get_by_label("Password").fill("half a passw")
        panel.get_by_label("User name").fill("ada")
    page.run(5)
    expect(first.get_by_label("Password")).to_have_value("half a passw")
    page.run(3)
    expect(first.locator("code")).to_be_visible()
    page.run(4)
    for panel in (first, second):
        expect(panel.get_by_label("Password")).to_have_value("")
    first.get_by_label("Password").fill("half a passw")
    page.save()
    page.open(page.path)  # loads the page again
    first, second = panel_under(page, 1), panel_under(page, 2)  # of the new page
    for panel in (first, second):
        expect(panel.get_by_label("Password")).to_have_value("")
    second.get_by_label("User name").fill("ada")
    second.get_by_label("Password").fill("right")
    second.get_by_role("button", name="Sign in", exact=True).click()
    for panel in (first, second):
        expect(panel.get_by_label("Password")).to_have_count(0)
        expect(panel).to_contain_text("Sign-in failed")


@pytest.mark.browser
@pytest.mark.parametrize("version", ["7.4", "7.3", "6.29"])
def test_while_a_cell_waits(
    version: str, open_notebook: OpenNotebook, lab_factory: LabFactory
) -> None:
    lab = lab_factory(kernel=version)
    approve(lab)
    cells = [WAITING, "account = %login --flow password", "print(account.username, engine.sent)",
             "%logout --quiet"]  # fmt: skip
    page = open_notebook(cells, lab=lab)
    page.run(0)
    page.run_cell(1)
    panel = panel_under(page, 1)
    panel.get_by_label("User name").fill("ada")
    panel.get_by_label("Password").fill("ri\u00dfght")
    panel.get_by_label("Password").press("Enter")
    expect(panel).to_contain_text(USERNAME)
    page.wait_cell_done(1)
    assert page.run(2) == f"{USERNAME} [('ada', 'ri\u00dfght')]"
    page.run(3)
    approve(lab, False)

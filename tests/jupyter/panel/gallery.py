"""One panel for each state, in a real JupyterLab, over the scripted provider."""

from __future__ import annotations

import inspect

from playwright.sync_api import Locator

from tests.harness.lab_page import LabPage
from tests.jupyter.panel import scripted

SETUP = f"""{inspect.getsource(scripted)}
import time
from nbauth.core.errors import *
from nbauth.jupyter.panel.panel import SignInPanel

shown = []

def show(flow="device", *, begun=True, ways=None, scopes=(), answer=None, refusal=None,
         engine=None, options=None, **device):
    engine = engine or ScriptedEngine(**device)
    engine.answer, engine.refusal = answer or engine.answer, refusal
    start = Starter(session_with(engine, ways or ways_from(flow)), *scopes, **(options or dict()))
    panel = SignInPanel(start.session, start, start() if begun else None)
    panel.engine = engine
    shown.append(panel)
    return panel
"""


def panel_under(page: LabPage, index: int) -> Locator:
    return page.output(index).get_by_role("group", name="Sign in with nbauth")


STATES: dict[str, tuple[str, str]] = {
    "signed-out": ("show(begun=False)", "You are not signed in."),
    "starting": (
        "engine = ScriptedEngine(); engine.may_start.clear(); show(engine=engine)",
        "Asking the provider…",
    ),
    "device": ("show(verification_uri_complete=PAGE + '?code=' + CODE)", "Your code"),
    "needed": (
        "from dataclasses import replace\npanel = show()\n"
        "panel.sign_in._request = replace(panel.sign_in.request, asked_by='graph.microsoft.com')\n"
        "panel",
        "graph.microsoft.com refused a request, because it needs more permissions.",
    ),
    "browser": ("show('browser')", "Continue in the browser"),
    "browser-unfolded": (
        "show('browser', ways=('browser', 'callback', 'device', 'paste'), scopes=['openid',"
        " 'profile', 'email', 'offline_access', 'api://notebooks/data.read'])",
        "Continue in the browser",
    ),
    "paste": ("show('paste')", "Open sign-in page"),
    "paste-refused": ("show('paste')", "Open sign-in page"),
    "password": (
        "show(options={'flow': 'password', 'login_hint': USERNAME})",
        "User name",
    ),
    "password-refused": (
        "panel = show(options={'flow': 'password'}, answer=SignInError("
        "'The user name or password is wrong. [AADSTS50126: Error validating credentials.]',"
        " hint='Try again, or sign in with a browser: %login --flow browser.',"
        " code='AADSTS50126'))\n"
        "while not hasattr(panel.sign_in.step, 'attempt'): time.sleep(0.01)\n"
        "panel.sign_in.enter(USERNAME, 'wrong')\npanel",
        "AADSTS50126",
    ),
    "password-wanted-more": (
        "panel = show(options={'flow': 'password'}, answer=InteractionRequired("
        "'The organisation requires multi-factor authentication. [AADSTS50076]',"
        " hint='Sign in with a browser: %login --flow browser.', code='AADSTS50076',"
        " suggested_flow='browser'))\n"
        "while not hasattr(panel.sign_in.step, 'attempt'): time.sleep(0.01)\n"
        "panel.sign_in.enter(USERNAME, 'right')\npanel",
        "This way to sign in did not work",
    ),
    "refused": (
        "show(refusal=FlowUnavailable("
        "'Your organisation does not let anybody sign in with a code.',"
        " hint='Sign in with the browser instead.', code='AADSTS53003',"
        " suggested_flow='browser'))",
        "This way to sign in did not work",
    ),
    "failed": (
        "show(answer=SignInDeclined('The provider refused: you may not use this application.',"
        " hint='Ask your administrator to assign it to you.', code='AADSTS50105',"
        " correlation_id='c0ffee00-aaaa-4bbb-8ccc-123456789abc'))",
        "Sign-in failed",
    ),
    "expired": ("show(expires_in=0.1)", "Sign-in expired"),
    "cancelled": ("panel = show(); panel.sign_in.cancel(); panel", "Sign-in cancelled"),
    "done": ("show(answer=tokens())", "Sign out"),
    "done-unfolded": (
        "panel = show(answer=tokens('Charles Babbage', OTHER))\n"
        "panel.sign_in.wait(9)\n"
        "panel.engine.answer = tokens("
        "expires_in=5400, scopes=('openid', 'profile', 'https://graph.example/Mail.Read'))\n"
        "panel._start().wait(9)\npanel",
        "Switch account",
    ),
    "done-after-the-cell": (
        "panel = show()\npanel.waited_for = True\npanel.sign_in.cancel()\n"
        "panel.engine.answer = tokens()\npanel._begin(None)\npanel",
        "This cell had already stopped",
    ),
    "done-long": (
        "show(answer=tokens('Wolfeschlegelsteinhausenbergerdorff ' * 4,"
        " 'w' * 90 + '@' + 'example.com'))",
        "Sign out",
    ),
    "done-right-to-left": (
        "rtl = 'עדה לאבלייס'\npanel = show(answer=tokens('علی' + chr(0x200c) + 'رضا (CEO)',"
        " 'رضا' + '@' + 'example.com'))\npanel.sign_in.wait(9)\n"
        "panel.engine.answer = tokens(rtl, rtl)\npanel._start().wait(9)\npanel",
        "Sign out",
    ),
    "done-emoji": (
        "show(answer=tokens('\\U0001f469\\u200d\\U0001f4bb Ada \\u2764\\ufe0f\\u200d\\U0001f525'))",
        "Ada",
    ),
    "device-graph": (
        "show(scopes=['https://graph.microsoft.com/User.Read',"
        " 'https://graph.microsoft.com/Mail.Read', 'https://vault.azure.net/user_impersonation'])",
        "User.Read",
    ),
    "hostile": (
        "bad = '<img src=x onerror=\"document.title=1\">' + chr(0x202e) + 'x' * 120\n"
        "show(answer=tokens(bad, bad, scopes=(bad,)))",
        "<img src=x",
    ),
}
"""For each state: the code of a cell that shows it, and a text that identifies it."""

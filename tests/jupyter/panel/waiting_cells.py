"""Cells that wait for sign-ins at the scripted provider, as the magics and functions do."""

from __future__ import annotations

from tests.harness.jupyter import Lab
from tests.jupyter.panel.gallery import SETUP

APPROVED = "approved"
"""A file in the notebook's folder. If it exists, the person has consented."""

WAITING = f"""{SETUP}
import dataclasses, os, nbauth, nbauth.process_session
from nbauth.oauth.flows import device_code

device_code.SHORTEST_INTERVAL = 0.1

class AsksTheFile(ScriptedEngine):
    def _answer(self):
        if not os.path.exists({APPROVED!r}):
            raise AuthorizationPending()
        return tokens()

engine = AsksTheFile()
engine.device = dataclasses.replace(engine.device, interval=0.1)
session = nbauth.process_session.new_session(make_engine=lambda *given, **options: engine)
nbauth.configure(authority=ISSUER, client_id="notebooks", refresh_ahead=False, flow="device")
get_ipython().run_line_magic("load_ext", "nbauth")
"""


def approve(lab: Lab, yes: bool = True) -> None:
    """Give the person's consent at the provider, or withdraw it."""
    file = lab.root / APPROVED
    if yes:
        file.touch()
    else:
        file.unlink(missing_ok=True)

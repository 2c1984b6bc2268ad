"""The Azure CLI of the tests: the real one, and scripts that print what az and azd print.

The outputs of ``az`` are those of azure-cli 2.91 (``tests/interop/test_azure_cli.py`` runs it);
those of ``azd`` are the ones that its source and azure-identity document.
"""

from __future__ import annotations

import json
import os
import stat
import sys
from pathlib import Path
from typing import Any

REAL = Path(__file__).parents[2] / ".providers" / "azure-cli" / "bin" / "az"
TENANT = "00000000-0000-0000-0000-000000000001"
TOKEN = "an.opaque.token-of-ada"
SIGNED_OUT = {
    "az": "ERROR: Please run 'az login' to setup account.\n",
    "azd": '{"error":"not logged in, run `azd auth login` to login"}\n',
}
MFA = (
    "ERROR: AADSTS50076: Due to a configuration change made by your administrator, or because you"
    " moved to a new location, you must use multi-factor authentication to access 'x'. Trace ID:"
    " 1 Correlation ID: 2 Timestamp: 3\n"
    "Run the command below to authenticate interactively; additional arguments may be added as"
    " needed:\naz logout\n"
    f'az login --tenant "{TENANT}" --scope "https://vault.azure.net/.default"\n'
)
SCRIPT = """#!/bin/sh
'''exec' "{python}" -IS "$0" "$@"
' '''
# The shell runs the second line, since the path of the first line must have no blank.
import datetime, json, os, pathlib, subprocess, sys, time
here = pathlib.Path({folder!r})
state = json.loads((here / "{tool}.json").read_text())
with open(here / "{tool}.calls", "a") as log:
    call = dict(argv=sys.argv[1:], cwd=os.getcwd(), stdin=sys.stdin.read(), env=dict(os.environ))
    log.write(json.dumps(call) + "\\n")
if state["child"]:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    (here / "child").write_text(str(child.pid))
time.sleep(state["sleep"])
sys.stderr.write(state["err"])
if state["status"] or state["out"] is not None:
    sys.stdout.write(state["out"] or "")
    sys.exit(state["status"])
words, ends = sys.argv[1:3], int(state["expires_on"])
if words == ["account", "show"]:
    answer = dict(environmentName="AzureCloud", id="s", isDefault=True, tenantId=state["tenant"],
                  user=dict(name=state["user"], type=state["type"]), state="Enabled")
elif words == ["account", "get-access-token"]:
    local = datetime.datetime.fromtimestamp(ends).strftime("%Y-%m-%d %H:%M:%S.%f")
    answer = dict(accessToken=state["token"], expiresOn=local, expires_on=ends,
                  subscription="s", tenant=state["tenant"], tokenType="Bearer")
    if state["old"]:
        del answer["expires_on"]
elif words == ["auth", "status"]:
    kind = dict(email=state["user"]) if state["type"] == "user" else dict(clientId=state["user"])
    answer = dict(status="authenticated", type=state["type"], **kind)
else:
    utc = datetime.datetime.fromtimestamp(ends, datetime.timezone.utc)
    answer = dict(token=state["token"], expiresOn=utc.strftime("%Y-%m-%dT%H:%M:%SZ"))
print(json.dumps(answer, indent=2))
"""


class StubTool:
    """A script with the name of a tool, in a folder for ``PATH``."""

    def __init__(self, folder: Path, tool: str) -> None:
        self._folder = folder
        self._tool = tool
        self._state: dict[str, Any] = {
            "user": "Ada@contoso.com", "type": "user", "tenant": TENANT, "token": TOKEN,
            "expires_on": 2_000_000_000, "old": False, "status": 0, "out": None, "err": "",
            "sleep": 0, "child": False,
        }  # fmt: skip
        script = folder / tool
        script.write_text(SCRIPT.format(python=sys.executable, folder=str(folder), tool=tool))
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
        self.set()

    def set(self, **state: Any) -> None:
        """Change what the next commands print."""
        self._state |= state
        (self._folder / f"{self._tool}.json").write_text(json.dumps(self._state))

    def fail(self, err: str, status: int = 1, out: str | None = None) -> None:
        """Let the next commands fail."""
        self.set(err=err, status=status, out=out)

    @property
    def calls(self) -> list[dict[str, Any]]:
        """The commands so far: arguments, folder, standard input, environment."""
        log = self._folder / f"{self._tool}.calls"
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []

    @property
    def argv(self) -> list[list[str]]:
        return [call["argv"] for call in self.calls]


def on_path(folder: Path) -> str:
    """A ``PATH`` with the folder first and without the other tools of this machine."""
    return os.pathsep.join([str(folder), "/usr/bin", "/bin"])

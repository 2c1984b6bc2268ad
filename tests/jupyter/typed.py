"""Runs typed cells in a real shell, with a provider that signs everybody in.

``python -m tests.jupyter.typed`` rewrites the output in ``typed_lines.txt``. Read the changes.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest import mock

from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from traitlets.config import Config

from nbauth import process_session
from nbauth.core.secret import SecretStr
from nbauth.core.steps import AskPassword
from nbauth.core.tokens import TokenResponse
from nbauth.oauth.engines.protocol import AuthorizationRequest, DeviceCode
from nbauth.oauth.engines.token_requests import Password, TokenRequest
from nbauth.testing.clock import FakeClock
from nbauth.testing.engine import FakeEngine
from tests.jupyter.graph_answers import ADDRESS, Answers, answered
from tests.kernel.conftest import Bench

NO_HISTORY = Config(HistoryManager={"enabled": False})
LINES = Path(__file__).with_name("typed_lines.txt")
SECRET = "hunter2-hunter2-hunter2"
NAMES = {
    "claims": {"id_token": {"auth_time": {"essential": True}}},
    "json_text": '{"userinfo": {"nickname": null}}',
    "tenant": "contoso.com",
    "user": "o'brien@example.com",
    "conf": {"id": "note books", "tenant": "contoso.com", "seconds": 90},
    "odd": "a b $tenant {conf} --force",
    "scopes": ["read", "write"],
    "nothing": None,
    "password": SecretStr(SECRET),
    "number": "one",
    "body": {"displayName": "Ada"},
    "ids": ["1", "2"],
    "path": "me/messages",
    "top": 5,
    "since": datetime(2026, 1, 31, tzinfo=UTC),
    "uid": "a/b?c#d",
    "dots": "..",
    "surname": "O'Brien",
}


class Obliging(FakeEngine):
    """Signs in the user of ``login_hint``."""

    def start_device(self, request: AuthorizationRequest) -> DeviceCode:
        if request.login_hint:
            self.user = request.login_hint.partition("@")[0]
        return super().start_device(request)

    def obtain(self, wanted: TokenRequest, request: AuthorizationRequest) -> TokenResponse:
        if isinstance(wanted, Password):
            self.user = wanted.username.partition("@")[0]
        return super().obtain(wanted, request)


def _enter_password(sign_in: Any) -> None:
    """The person who enters the password that a sign-in asks for."""

    def look(sign_in: Any) -> None:
        if isinstance(sign_in.step, AskPassword):
            sign_in.enter(sign_in.step.username or "ada", SECRET)

    sign_in.changed.connect(look)
    look(sign_in)


class Shell:
    """A shell with the extension loaded, and a session of its own.

    Args:
        answers: what Graph is asked.
        signed_in: the signed-in users, such as ``"ada"``.
    """

    def __init__(self, answers: Answers, *signed_in: str) -> None:
        self.answers = answers
        self.bench = Bench(FakeClock(time.time()))
        self.bench.engine = Obliging(clock=self.bench.clock.time)
        self.bench.engines = dict.fromkeys(self.bench.engines, self.bench.engine)
        self.bench._engine_for = self._engine_for  # type: ignore[method-assign]
        self.bench.session._engines.make = self._engine_for
        hosts = {"api.example": ["read"], "other.example:8443": ["write"]}
        self.bench.session.configure(refresh_ahead=False, hosts=hosts, graph_url=ADDRESS)
        self.bench.screen.person = _enter_password
        for user in signed_in:
            self.bench.sign_in("read", user=user, force=True)
        for engine in self.bench.engines.values():
            engine.calls.clear()
        self.shell = InteractiveShell.instance(config=NO_HISTORY)
        for name in list(self.shell.user_ns):
            if name not in self.shell.user_ns_hidden and name not in {"In", "Out"}:
                del self.shell.user_ns[name]
        self.shell.user_ns.update(NAMES)

    def _engine_for(self, authority: Any, client_id: str, **_: Any) -> FakeEngine:
        made = self.bench.engines.get((authority.url, client_id))
        if made is None:
            made = Obliging(authority, client_id, clock=self.bench.clock.time)
            self.bench.engines[authority.url, client_id] = made
        return made

    def type(self, cell: str) -> str:
        """Run a cell. Returns its output, messages, errors and requests to the provider."""
        self.bench.screen.said.clear()
        self.answers.lines.clear()
        with capture_output() as seen:
            self.shell.run_cell(cell, store_history=True)
        said = "".join(f"{line}\n" for line in self.bench.screen.said)
        out = re.sub(r"^Out\[\d+\]: ", "", seen.stdout, flags=re.MULTILINE)
        asked = "".join(f"[asks] {line}\n" for line in self._asked())
        asked += "".join(f"[sends] {line}\n" for line in self.answers.lines)
        text = asked + said + out + seen.stderr
        text = re.sub(r"\x1b\[[0-9;]*m", "", text)
        return re.sub(r"\d+ min \d+ s", "… min", text).strip()

    def _asked(self) -> Iterator[str]:
        """The requests of all clients to the provider."""
        for (issuer, client_id), engine in self.bench.engines.items():
            for call in engine.calls:
                if call.method == "refresh":
                    yield f"a refresh for {' '.join(call.arguments['scopes'])}"
                request = call.arguments.get("request")
                if request is not None:
                    words = [call.method, f"client_id={client_id}", f"at={issuer}"]
                    for name in ("prompt", "login_hint", "domain_hint", "max_age", "claims"):
                        given = getattr(request, name)
                        words += [] if given is None else [f"{name}={given}"]
                    also = request.consent_also
                    words += [f"consent_also={','.join(also)}"] if also else []
                    yield " ".join([*words, "scopes=" + ",".join(request.scopes)])


@contextmanager
def shell(*signed_in: str) -> Iterator[Shell]:
    """A shell in which lines can be typed."""
    environment = {name: value for name, value in os.environ.items() if "NBAUTH_" not in name}
    with (
        mock.patch.dict(os.environ, environment, clear=True),
        mock.patch("nbauth.oauth.flows.device_code.SHORTEST_INTERVAL", 0.005),
        answered() as answers,
    ):
        made = Shell(answers, *signed_in)
        with mock.patch.object(process_session, "_session", made.bench.session):
            made.shell.run_line_magic("load_ext", "nbauth")
            yield made
            made.shell.run_line_magic("unload_ext", "nbauth")
        made.bench.session.rest()


@dataclass(frozen=True)
class Typed:
    """A cell, the users who are signed in before it, and its output."""

    signed_in: tuple[str, ...]
    cell: str
    answer: str


def typed_lines() -> list[Typed]:
    """The cells of ``typed_lines.txt``."""
    found: list[Typed] = []
    signed_in: tuple[str, ...] = ()
    for block in LINES.read_text("utf-8").split("\n\n"):
        lines = block.strip("\n").split("\n")
        if lines[0].startswith("== signed in:"):
            signed_in = tuple(lines[0].partition(":")[2].split())
        elif lines[0].startswith(">>> "):
            cell = [line[4:] for line in lines if line.startswith((">>> ", "... "))]
            answer = [line[4:] for line in lines if line.startswith("    ")]
            found.append(Typed(signed_in, "\n".join(cell), "\n".join(answer)))
    return found


def rewritten() -> str:
    """The text of ``typed_lines.txt`` with the present output."""
    blocks = []
    signed_in: tuple[str, ...] = ()
    for block in LINES.read_text("utf-8").split("\n\n"):
        lines = block.strip("\n").split("\n")
        if lines[0].startswith("== signed in:"):
            signed_in = tuple(lines[0].partition(":")[2].split())
        elif lines[0].startswith(">>> "):
            lines = [line for line in lines if line.startswith((">>> ", "... "))]
            with shell(*signed_in) as here:
                answer = here.type("\n".join(line[4:] for line in lines))
            lines += [f"    {line}".rstrip() if line else "    " for line in answer.split("\n")]
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks).rstrip("\n") + "\n"


if __name__ == "__main__":
    LINES.write_text(rewritten(), "utf-8")

"""The ways in which a secret may leave a kernel, and a client that sees every message."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Mapping
from typing import Any

from nbauth.testing.canary import find, make_canary
from tests.harness.kernels import CellResult, Kernel

JWT = "eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiJ9." + "".join(
    base64.urlsafe_b64encode(f"{n * 7919:08x}".encode()).decode().rstrip("=") for n in range(140)
)
CANARY = make_canary()
SECRETS = {"JWT": JWT, "CANARY": CANARY}
IMPORTS = """
import base64, html, json, logging, multiprocessing, os, pprint, subprocess, sys, threading, time
import urllib.parse, warnings
import ipywidgets
from comm import create_comm
from IPython.display import HTML, JSON, Markdown, display, update_display
class Named:
    def __init__(self, **values):
        self.__dict__.update(values)
    def __repr__(self):
        return f"Named({self.__dict__})"
def in_a_thread(call):
    thread = threading.Thread(target=call)
    thread.start()
    thread.join()
comm = create_comm(target_name="nobody")
"""
SET_UP = f"""{IMPORTS}
JWT, CANARY = json.loads(os.environ["NBAUTH_TEST_SECRETS"])
BOTH = JWT + " " + CANARY
os.environ["S"] = JWT
from nbauth.api import the_session
the_session().issued.add(JWT, CANARY)
"""
CELLS: Mapping[str, str] = {
    "print": "print({s})",
    "stderr": "print({s}, file=sys.stderr)",
    "header": "print('Authorization: Bearer ' + {s})",
    "print of a dict": "print(dict(Authorization='Bearer ' + {s}))",
    "pprint": "pprint.pprint([{s}, {s}])",
    "a thread's print": "in_a_thread(lambda: print({s}))",
    "a thread's display": "in_a_thread(lambda: display({s}))",
    "logging": "logging.warning('sent %s', {s})",
    "warning": "warnings.warn({s})",
    "two messages of a stream": "print({s}[:40], end='', flush=True); print({s}[40:], flush=True)",
    "many messages": "for n in range(0, len({s}), 9): print({s}[n : n + 9], end='', flush=True)",
    "both streams": "print({s}, end='', flush=True); print({s}, file=sys.stderr, flush=True)",
    "! command": "!echo $S",
    "a subprocess's output": "_ = subprocess.run(['echo', {s}]); time.sleep(0.2)",
    "descriptor 1": "_ = os.write(1, {s}.encode() + b'\\n'); time.sleep(0.2)",
    "a forked child": "child = os.fork()\nif child == 0:\n    print({s}, flush=True); os._exit(0)\n"
    "_ = os.waitpid(child, 0); time.sleep(0.2)",
    "two messages of a forked child": "child = os.fork()\nif child == 0:\n"
    "    print({s}[:70], end='', flush=True); print({s}[70:], flush=True); os._exit(0)\n"
    "_ = os.waitpid(child, 0); time.sleep(0.2)",
    "result": "{s}",
    "result in a list": "[dict(token={s})]",
    "result in bytes": "{s}.encode()",
    "result of another type": "Named(token={s})",
    "displayhook": "sys.displayhook({s})",
    "display": "display({s})",
    "HTML": "display(HTML('<b title=' + json.dumps(html.escape({s})) + '></b>'))",
    "JSON": "display(JSON(dict(token={s})))",
    "Markdown": "display(Markdown('`' + {s} + '`'))",
    "metadata": "display(1, metadata=dict(token={s}))",
    "updated display": "handle = display(1, display_id=True)\nhandle.update({s})",
    "data address": "display(HTML('data:;base64,' + base64.b64encode({s}.encode()).decode()))",
    "basic header": "print(base64.b64encode(b'client:' + {s}.encode()))",
    "base64 in lines": "print(base64.encodebytes(b'client:' + {s}.encode()).decode())",
    "address": "print('https://api.example/?token=' + urllib.parse.quote({s}, safe=''))",
    "JSON in JSON": "print(json.dumps(json.dumps({s})))",
    "HTML escapes": "print(html.escape({s}))",
    "widget": "display(ipywidgets.Label({s}))",
    "widget's new value": "label = ipywidgets.Label('')\nlabel.value = {s}",
    "comm": "comm.send(dict(token={s}))",
    "comm's buffers": "comm.send({}, buffers=[b'..' + {s}.encode()])",
    "error": "raise ValueError('401 for Bearer ' + {s})",
    "error in a frame": "def call(header):\n    raise OSError(header)\ncall(dict(A={s}))",
    "cause": "try:\n    float({s})\nexcept ValueError as e:\n    raise OSError('no') from e",
    "note": "error = ValueError('no'); error.add_note({s}); raise error",
    "next input": "get_ipython().set_next_input('token = ' + repr({s}))",
    "pager": "get_ipython().run_line_magic('page', '-r {s}')",
    "%env": "os.environ['HELD'] = {s}\n%env HELD",
    "%history": "%history -n -o",
}
XMODES = ("Context", "Verbose", "Minimal", "Plain")


class Watched(Kernel):
    """A kernel whose messages are all kept."""

    def __init__(self, *args: Any, **options: Any) -> None:
        secrets = json.dumps(list(SECRETS.values()))
        super().__init__(*args, env={"NBAUTH_TEST_SECRETS": secrets}, **options)
        self.seen: list[dict[str, Any]] = []

    def _receive(self, message: dict[str, Any]) -> None:
        self.seen.append(message)
        super()._receive(message)

    def text(self) -> bytes:
        """All messages since the last call, as text."""
        seen, self.seen = self.seen, []
        texts = [json.dumps(one, default=str, ensure_ascii=False).encode() for one in seen]
        for name in ("stdout", "stderr"):  # a secret may be split over messages of one stream
            said = (one["content"] for one in seen if one["msg_type"] == "stream")
            texts.append("".join(one["text"] for one in said if one["name"] == name).encode())
        return b"\n".join([*texts, *(bytes(b) for one in seen for b in one.get("buffers", ()))])

    def leaks(self) -> list[str]:
        """The forms of secrets in all messages since the last call."""
        text = self.text()
        joined = text.replace(b"\\n", b"")
        return [form for secret in SECRETS.values() for form in (find(secret, text + joined))]

    def ask(self, kind: str, **content: Any) -> dict[str, Any]:
        """Send another request than for a cell, and return its reply."""
        request = self.client.session.msg(kind, content)
        self.client.shell_channel.send(request)
        ident = request["header"]["msg_id"]
        reply: dict[str, Any] = {}
        end, idle = time.monotonic() + 20, False
        while not (reply and idle) and time.monotonic() < end:
            for channel in (self.client.shell_channel, self.client.iopub_channel):
                if not channel.msg_ready():
                    continue
                message = channel.get_msg(timeout=1)
                self._receive(message)
                if message["parent_header"].get("msg_id") != ident:
                    continue
                if message["msg_type"] == "status":
                    idle = message["content"]["execution_state"] == "idle"
                elif message["msg_type"].endswith("_reply"):
                    reply = message["content"]
            time.sleep(0.002)
        return reply

    def after(self, cell: CellResult, seconds: float = 0.1) -> CellResult:
        """The same, after messages that come when the cell has ended."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.client.iopub_channel.msg_ready():
                self._receive(self.client.iopub_channel.get_msg(timeout=1))
            time.sleep(0.002)
        return cell

"""`nbauth demo --check`: runs the tour in a real kernel and signs in without a person."""

from __future__ import annotations

import json
import os
import queue
import re
import threading
import time
from html import unescape
from typing import Any

import nbformat
import requests
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager

from .grants import DeviceCode
from .launcher import find_tour
from .servers import Demo, start

_WHOLE_CHECK = 55.0
_ONE_CELL = 20.0
_KERNEL_START = 25.0
LATE = "not finished in time"


class Approver(threading.Thread):
    """Acts as the person: enters each pending user code on the provider's pages, over HTTP.

    The first code is approved by the first of the users, the second by the second, and so on; after
    the last user comes the first again.
    """

    def __init__(self, demo: Demo, *users: str) -> None:
        super().__init__(name="nbauth-demo-approver", daemon=True)
        self._demo = demo
        self._users = users or (demo.user,)
        self._ended = threading.Event()
        self.approved = 0
        self.error = ""

    def run(self) -> None:
        while not self._ended.wait(0.1):
            for device in self._demo.provider.store.pending_devices():
                try:
                    approve(self._demo, device, self._users[self.approved % len(self._users)])
                    self.approved += 1
                except Exception as error:  # told in the report; the cell then times out
                    self.error = str(error)
                    return

    def end(self) -> None:
        self._ended.set()
        self.join(timeout=5)


def approve(demo: Demo, device: DeviceCode, user: str | None = None) -> None:
    """The three steps of a person with a user code (RFC 8628 section 3.3), by form posts.

    The person is the first user, or the one that is named.
    """
    with requests.Session() as browser:
        browser.trust_env = False  # no proxy stands between this and 127.0.0.1
        origin = demo.provider.page_origin
        page = browser.post(f"{origin}/device", data={"user_code": device.user_code}, timeout=5)
        person = {"username": user or demo.user, "password": demo.password}
        for action, fields in (("sign-in", person), ("accept", {})):
            form = {"interaction": interaction_in(page.text), "action": action, **fields}
            page = browser.post(f"{origin}/interaction", data=form, timeout=5)
            page.raise_for_status()
        if device.state not in ("approved", "redeemed"):
            raise RuntimeError("the provider's pages did not lead to an approval")


def interaction_in(html: str) -> str:
    """The hidden field that ties a page's form to its request."""
    found = re.search(r'name="interaction" value="([^"]+)"', html)
    if found is None:
        raise RuntimeError("the provider's page has no sign-in form")
    return unescape(found[1])


def check(*, access_ttl: int = 3600) -> int:
    """Run every cell, print a line for each, give 0 if all went well and no token was shown."""
    deadline = time.monotonic() + _WHOLE_CHECK
    with start(access_ttl=access_ttl) as demo:
        notebooks = [nbformat.read(path, as_version=4) for path in find_tour()]
        cells = [
            cell.source for book in notebooks for cell in book.cells if cell.cell_type == "code"
        ]
        environment = {
            **os.environ,
            **demo.environment(),
            "NBAUTH_FLOW": "device",
            "IPYTHONDIR": str(demo.folder / "ipython"),
            "JUPYTER_RUNTIME_DIR": str(demo.folder / "runtime"),
        }
        manager = KernelManager(
            kernel_name="python3", connection_file=str(demo.folder / "kernel.json")
        )
        if os.name == "posix":
            manager.transport = "ipc"  # sockets in the demo's own folder, not ports
        manager.start_kernel(env=environment, cwd=str(demo.folder))
        client = manager.blocking_client()
        approver = Approver(demo, *[demo.user] * 4, demo.second_user)
        try:
            client.start_channels()
            client.wait_for_ready(timeout=_KERNEL_START)
            approver.start()
            steps = [_step(demo, client, cell, deadline) for cell in cells]
            good = all(steps)
        except RuntimeError as error:
            print(f"FAILED: {error}")
            good = False
        finally:
            if approver.is_alive():
                approver.end()
            client.stop_channels()
            manager.shutdown_kernel(now=True)
            manager.cleanup_resources()
        if approver.error:
            print(f"FAILED: the sign-in could not be approved: {approver.error}")
            good = False
        elif not approver.approved:
            print("FAILED: no cell started a sign-in")
            good = False
    print("The demo works." if good else "The demo does not work.")
    return 0 if good else 1


class Outputs:
    """What one cell published: text to report, and whether it failed."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.failure = ""
        self.everything = ""

    def hook(self, message: dict[str, Any]) -> None:
        content, kind = message["content"], message["msg_type"]
        self.everything += json.dumps(content, default=str)
        if kind == "stream":
            self.texts.append(content["text"])
        elif kind in ("display_data", "execute_result"):
            self.texts.append(str(content["data"].get("text/plain", "")))
        elif kind == "error":
            self.failure = f"{content['ename']}: {content['evalue']}"

    def summary(self) -> str:
        text = re.sub(r"\x1b\[[0-9;]*m", "", " ".join(" ".join(self.texts).split()))
        return text if len(text) <= 100 else text[:99] + "…"


def _step(demo: Demo, client: BlockingKernelClient, cell: str, deadline: float) -> bool:
    """Run one cell as a front-end would whose user can answer, and print what it gave."""
    began, outputs = time.monotonic(), Outputs()
    title = cell.splitlines()[0][:28] if cell else ""
    try:
        reply = client.execute_interactive(
            cell,
            allow_stdin=True,
            timeout=max(1.0, min(_ONE_CELL, deadline - began)),
            output_hook=outputs.hook,
            stdin_hook=_nobody_types,
        )
        # Some errors are only printed (a magic's UsageError): the reply reports them.
        if reply["content"]["status"] != "ok" and not outputs.failure:
            outputs.failure = f"{reply['content'].get('ename')}: {reply['content'].get('evalue')}"
    except (TimeoutError, queue.Empty):
        outputs.failure = LATE
    if secret := _shown_secret(demo, outputs.everything):
        outputs.failure = f"the output contains {secret}"
    verdict = f"FAILED {outputs.failure}" if outputs.failure else outputs.summary() or "ok"
    print(f"{title:<28} {time.monotonic() - began:5.1f} s  {verdict}", flush=True)
    if outputs.failure == LATE:
        raise RuntimeError(f"stopped at: {title}")
    return not outputs.failure


def _shown_secret(demo: Demo, text: str) -> str:
    store = demo.provider.store
    if any(token in text for token in list(store.access_tokens)):
        return "an access token"
    if any(token in text for token in list(store.refresh_tokens)):
        return "a refresh token"
    return "the password" if demo.password in text else ""


def _nobody_types(message: dict[str, Any]) -> None:
    raise RuntimeError(f"the kernel asked for input: {message['content'].get('prompt', '')}")

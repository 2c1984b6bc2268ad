"""One of our two listeners in its own process, to measure its memory, threads and stderr.

Run with ``receiver STATE`` or ``probe``. Prints one JSON object a line: where it listens, that the
answer has come, and after ``finish`` on stdin the seconds until port and thread were gone.
"""

from __future__ import annotations

import json
import socket
import sys
import threading
import time

from nbauth.jupyter.panel.same_machine import LocalityProbe
from nbauth.kernel.sign_in.receivers.loopback import Receiver


def tell(**facts: object) -> None:
    print(json.dumps(facts), flush=True)


def nobody_listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return True
    return False


def main(what: str, state: str = "") -> None:
    threads = threading.active_count()
    if what == "receiver":
        receiver = Receiver(state)
        receiver.answer.add_done_callback(lambda answer: tell(answer=answer.result()))
        port = receiver.port
        tell(port=port)
    else:
        probe = LocalityProbe()
        port = int(probe.url.split(":")[2].split("/")[0])
        tell(port=port, path=probe.url.partition(str(port))[2], text=probe.text)
    sys.stdin.readline()
    began = time.monotonic()
    if what == "receiver":
        receiver.finish("You are signed in", "Close this tab.")
    else:
        probe.close()
    while threading.active_count() > threads or not nobody_listens(port):
        time.sleep(0.005)
        if time.monotonic() - began > 30:
            break
    tell(gone=time.monotonic() - began)
    sys.stdin.readline()


if __name__ == "__main__":
    main(*sys.argv[1:])

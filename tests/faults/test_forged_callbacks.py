"""S1: forged or stray callbacks at our listener are rejected; the genuine one is accepted."""

from __future__ import annotations

import random
import socket
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import parse_qs, urlsplit

import requests

from nbauth.kernel.session import Session
from nbauth.kernel.sign_in.attempt import SignIn
from tests.faults.conftest import Figure
from tests.faults.forged import FORGERIES, forged
from tests.faults.sizes import size
from tests.harness.panva import Panva
from tests.interop.peers import Peer, address_shown, screen_of
from tests.interop.scripted_browser import ScriptedBrowser

SEED = 9_700
AT_ONCE = 8


def test_forged_callbacks_are_rejected_and_the_sign_in_succeeds(
    session: Session, peer: Peer, panva: Panva, scripted: ScriptedBrowser, figure: Figure
) -> None:
    many = size(1_000, 10_000)
    sign_in = session.login(peer.first, flow="browser", background=True)
    assert isinstance(sign_in, SignIn)
    address = address_shown(sign_in)
    asked = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
    redirect = urlsplit(asked["redirect_uri"])
    dice = random.Random(SEED)
    made = [forged(asked["state"], redirect.path or "/", dice) for _ in range(many)]
    with ThreadPoolExecutor(AT_ONCE) as senders:
        replies = senders.map(lambda one: said_to(one[1], redirect.port or 0), made)
    refused: Counter[str] = Counter()
    taken: list[str] = []
    for (what, request), reply in zip(made, replies, strict=True):
        if reply in (b"", b"404"):
            refused[what] += 1
        else:
            taken.append(f"{what}: {request[:300]!r} -> {reply!r}")
    assert taken == []
    assert sign_in.state == "waiting"
    assert panva.token_requests() == 0
    assert set(refused) == set(FORGERIES)
    assert refused.total() == many

    with requests.Session() as browser:
        browser.trust_env = False
        page = browser.get(scripted(address), timeout=10).text
    assert sign_in.wait(10).username == peer.account[0]
    assert "You are signed in" in page
    assert panva.token_requests() == 1
    assert screen_of(session).said == []
    given = f"{many:,} fuzzed requests: {', '.join(FORGERIES)}"
    figure("S1", f"forged callbacks ({peer.name})", given, "0 accepted; the genuine one succeeds")


def said_to(request: bytes, port: int) -> bytes:
    """The status of the response, or nothing if the connection is closed."""
    with socket.create_connection(("127.0.0.1", port), 10) as sock:
        sock.settimeout(10)
        reply = b""
        try:
            sock.sendall(request)
            sock.shutdown(socket.SHUT_WR)
            while chunk := sock.recv(65_536):
                reply += chunk
        except TimeoutError:
            return b"hangs"
        except OSError:  # it was cut off
            pass
    return reply.split(b" ")[1] if reply else b""

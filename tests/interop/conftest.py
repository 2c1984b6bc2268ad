"""Fixtures of the interop tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from nbauth.kernel.session import Session
from tests.harness.panva import Panva
from tests.interop.peers import PEERS, Peer, new_session, our_threads, peer_of, until
from tests.interop.scripted_browser import ScriptedBrowser


@pytest.fixture(params=PEERS)
def peer(request: pytest.FixtureRequest, panva: Panva) -> Peer:
    """Each of the two issuers."""
    return peer_of(panva, request.param)


@pytest.fixture
def session(peer: Peer) -> Iterator[Session]:
    """A kernel's session configured for the peer; it must stop with the test."""
    made = new_session(**peer.settings)
    yield made
    for pending in made.pending():
        pending.cancel()
    until(lambda: not our_threads(), 2)


@pytest.fixture
def scripted(panva: Panva) -> ScriptedBrowser:
    """A scripted browser without a signed-in user."""
    return ScriptedBrowser(panva.ca_file)

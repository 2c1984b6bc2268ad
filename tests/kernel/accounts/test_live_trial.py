"""``nbauth doctor --live`` on a machine with a stored sign-in."""

from __future__ import annotations

import pytest

from nbauth.jupyter.places.live import live as trial
from tests.kernel.accounts.machine import Machine, live, names
from tests.kernel.accounts.test_between_kernels import _kept_tokens


@pytest.mark.parametrize("persist", ["memory", "keyring"])
def test_a_trial_leaves_the_stored_sign_in_alone(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, persist: str
) -> None:
    monkeypatch.setattr("nbauth.oauth.flows.device_code.SHORTEST_INTERVAL", 0.005)
    first = machine.signed_in()
    kept, accepted = _kept_tokens(machine), live(machine)
    assert kept
    doctor = machine.kernel(attended=True, persist=persist)
    report = trial(doctor, {"flow": "device"}, lambda _: "", lambda _: None)
    assert not report.failed
    assert doctor.accounts() == ([] if persist == "memory" else first.accounts())
    assert _kept_tokens(machine) == kept
    assert accepted <= live(machine)
    assert names(first) == ["ada@example.com"]
    assert names(machine.kernel()) == ["ada@example.com"]

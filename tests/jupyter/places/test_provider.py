"""The provider's part of the doctor's report, with and without a response."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from nbauth.core.errors import AuthorityUnreachable
from nbauth.core.settings_reader import SettingsReader
from nbauth.jupyter.places import provider
from nbauth.jupyter.places.doctor import parts
from nbauth.jupyter.places.environment import Evidence
from nbauth.jupyter.places.in_words import INDENT
from nbauth.kernel.session import Session
from nbauth.kernel.sign_in.no_screen import NoScreen
from nbauth.oauth.offer import Offer
from nbauth.testing.engine import FakeEngine

LAB = Evidence.of("fact:kernel", "env:JPY_SESSION_NAME")
ISSUER = "https://id.example"
ENDPOINTS = {
    name: f"{ISSUER}/{name}"
    for name in ("authorization_endpoint", "token_endpoint", "device_authorization_endpoint")
}


def asked(
    engine: FakeEngine, *, evidence: Evidence = LAB, **settings: Any
) -> tuple[dict[str, list[str]], list[str]]:
    """The provider's part as label -> texts, and its faults."""
    session = Session(SettingsReader({}), NoScreen(), lambda *_, **__: engine)
    call = {"authority": ISSUER, "client_id": "c", **settings}
    here, there = parts(session, call, evidence=evidence, ask=True)
    assert not here.trouble
    said: dict[str, list[str]] = {}
    label = ""
    for line in filter(None, there.lines):
        label = line[:INDENT].strip() or label
        said.setdefault(label, []).append(line[INDENT:].strip())
    assert len(said.get("trouble", [])) == 2 * len(there.trouble)
    assert all(said["trouble"][n].startswith("→ ") for n in range(1, 2 * len(there.trouble), 2))
    return said, list(there.trouble)


def offering(**changes: Any) -> FakeEngine:
    offer = {"issuer": ISSUER, "read_at": f"{ISSUER}/meta", "endpoints": ENDPOINTS, **changes}
    return FakeEngine().will("offer", Offer(**offer))


def test_the_supported_features_are_shown() -> None:
    said, trouble = asked(
        offering(scopes=("openid", "read"), grants=("authorization_code",), ahead=0.4),
        scopes=["openid", "write"],
    )
    assert trouble == []
    assert said["provider"][0].startswith(f"{ISSUER}, in 0.")
    assert said["provider"][1] == f"metadata: {ISSUER}/meta"
    assert said["scopes offered"] == ["openid read"]
    assert {"openid", "write"} <= set(said["scopes sent"][0].split())
    assert "write" in said["scopes sent"][1]
    assert said["grants offered"] == ["authorization_code"]
    assert said["flows offered"] == ["browser, callback, paste, device"]
    assert "not supported" in said["revocation"][0]
    assert said["clock"] == ["the same time as the provider's"]


def test_missing_metadata_is_shown_as_not_stated() -> None:
    said, trouble = asked(offering(read_at=""))
    assert trouble == []
    assert said["scopes offered"] == said["grants offered"] == [provider.UNKNOWN]
    assert said["provider"][1] == "metadata: none; the endpoints are in the profile"
    assert "clock" not in said


@pytest.mark.parametrize(
    ("missing", "flow", "settings"),
    [
        ("device_authorization_endpoint", "device", "device_authorization_endpoint"),
        ("authorization_endpoint", "browser", "authorization_endpoint"),
        ("authorization_endpoint", "paste", "authorization_endpoint"),
        ("token_endpoint", "device", "device_authorization_endpoint"),
    ],
)
def test_a_configured_flow_that_is_not_offered_is_reported(
    missing: str, flow: str, settings: str
) -> None:
    left = {name: at for name, at in ENDPOINTS.items() if name != missing}
    said, (trouble,) = asked(offering(endpoints=left), flow=flow)
    assert trouble.startswith(f"The provider does not support the flow '{flow}'")
    assert "(this call)" in trouble
    assert settings in said["trouble"][1]


@pytest.mark.parametrize("evidence", [LAB, Evidence.of("fact:script")], ids=["lab", "script"])
def test_it_is_reported_if_no_offered_flow_works_here(evidence: Evidence) -> None:
    _, (trouble,) = asked(offering(endpoints={}), evidence=evidence)
    assert trouble.startswith("The provider supports none of the flows that work here")
    assert ("(browser, callback, device, paste)" in trouble) == (evidence is LAB)


@pytest.mark.parametrize(
    ("ahead", "words", "fault"),
    [
        (30.0, "30 s ahead of the provider's", False),
        (-299.0, "4 min behind the provider's", False),
        (301.0, "5 min ahead of the provider's", True),
        (-7200.0, "120 min behind the provider's", True),
    ],
)
def test_the_clock(ahead: float, words: str, fault: bool) -> None:
    said, trouble = asked(offering(ahead=ahead))
    assert said["clock"] == [words]
    assert [words in one for one in trouble] == [True] * fault


def test_an_endpoint_without_https_is_reported() -> None:
    fault = "The token_endpoint of https://id.example is not https (http://id.example)."
    _, trouble = asked(offering(faults=(fault,)))
    assert trouble == [fault]


def test_a_missing_response_is_reported_with_its_remedy() -> None:
    error = AuthorityUnreachable("id.example cannot be reached.", code="no_connection")
    said, trouble = asked(FakeEngine().will("offer", error))
    assert trouble == [str(error)]
    assert said["trouble"][1] == f"→ {error.hint}"


@pytest.mark.timing
def test_a_request_to_a_provider_that_hangs_is_aborted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provider, "SECONDS", 0.2)
    engine = FakeEngine()
    engine.hold("offer")
    began = time.monotonic()
    _, (trouble,) = asked(engine)
    assert "did not respond within" in trouble
    assert time.monotonic() - began < 5
    end = time.monotonic() + 5
    while any(one.name == "nbauth-doctor" for one in threading.enumerate()):
        assert time.monotonic() < end, "its request was not aborted"
        time.sleep(0.02)


@pytest.mark.parametrize("value", [None, "hunter2"])
def test_the_secret_is_read_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    monkeypatch.delenv("NBAUTH_CLIENT_SECRET", raising=False)
    if value:
        monkeypatch.setenv("NBAUTH_CLIENT_SECRET", value)
    said, trouble = asked(offering(), client_secret_from="environment")
    assert ["NBAUTH_CLIENT_SECRET" in one for one in trouble] == [True] * (value is None)
    assert "hunter2" not in repr(said)


def test_hostile_text_adds_no_line() -> None:
    said, _ = asked(offering(issuer="x\ntrouble \x1b[31m", scopes=("a\nb", "\u202ec")))
    assert not {"\x1b", "\u202e"} & set(repr(said).encode().decode("unicode_escape"))


def test_the_source_of_trusted_certificates_is_shown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    bundle = tmp_path / "ca.pem"
    bundle.write_text("x")
    said, _ = asked(offering(), verify=str(bundle))
    assert said["CA"] == [f"{bundle} (verify, this call)"]
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
    said, _ = asked(offering())
    assert said["CA"] == [f"{bundle} (REQUESTS_CA_BUNDLE)"]
    said, _ = asked(offering(), verify="system")
    assert said["CA"] == ["those that the operating system trusts (verify, this call)"]
    said, _ = asked(offering(), verify=True)
    assert said["CA"][0].startswith("the public CAs of certifi (")

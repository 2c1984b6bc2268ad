"""S12: a keyring that stores secrets unencrypted, or not at all, is not used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from keyring.backends import fail, null

from nbauth.core.errors import PersistenceError
from nbauth.persistence import persistence_named
from nbauth.testing.persistence import ADA
from tests.faults.conftest import Figure
from tests.harness.kernels import isolated_environment, library_folder
from tests.harness.secret_service import running_secret_service
from tests.persistence import keyrings
from tests.persistence.kernel import Refused, kernel
from tests.persistence.keyrings import Chain, IndexOnly, Working, in_use

OVERRIDE = "PYTHON_KEYRING_BACKEND"
ALT = "keyrings.alt-5"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "keyring"


FAKES = [
    ("null", "discards what it is given"),
    ("own null", "discards what it is given"),
    ("fail", "no keyring is installed on this system"),
    ("plaintext by name", "may store secrets unencrypted"),
    ("priority 0.9", "not recommended by its developers"),
    ("chain with plaintext", "includes an unsafe backend"),
    ("chain with null", "includes an unsafe backend"),
    ("chain within a chain", "includes an unsafe backend"),
    ("forgetful", "did not store nbauth's key"),
]


@pytest.mark.parametrize(("name", "words"), FAKES)
def test_each_unsafe_keyring_is_rejected(
    name: str, words: str, file: Path, tmp_path: Path, figure: Figure
) -> None:
    plaintext, working = keyrings.PlaintextKeyring(file), Working(file)
    backend = {
        "null": null.Keyring(),
        "own null": keyrings.OwnNull(),
        "fail": fail.Keyring(),
        "plaintext by name": plaintext,
        "priority 0.9": keyrings.Doubtful(file),
        "chain with plaintext": Chain(working, plaintext),
        "chain with null": Chain(working, null.Keyring()),
        "chain within a chain": Chain(working, Chain(IndexOnly(), plaintext)),
        "forgetful": keyrings.Forgetful(file),
    }[name]
    with in_use(backend):
        one = persistence_named("keyring", folder=tmp_path / "kept")
        with pytest.raises(PersistenceError) as raised:
            one.save(ADA, b"data")
        assert words in str(raised.value)
        assert raised.value.code in {"no_keyring", "plain_keyring"}
        assert "memory" in raised.value.hint
        assert not file.exists(), "nothing was put into it"
        one.forget()
    what = "plain, null, fail, doubtful, forgetful keyrings, chains with them"
    figure("S12", what, f"{len(FAKES)} backends", "refused, said why; nothing put into any")


def test_a_chain_of_safe_keyrings_is_accepted(file: Path, tmp_path: Path) -> None:
    working = Working(file)
    with in_use(Chain(IndexOnly(), Chain(working))):
        one = persistence_named("keyring", folder=tmp_path / "kept")
        one.save(ADA, b"data")
        assert len(working.entries) == 1
        assert persistence_named("keyring", folder=tmp_path / "kept").load(ADA) == b"data"
        one.forget()
        assert working.entries == {}


# ── the keyring package's own choice, in a new process ─────────────────────────────────────


@pytest.fixture(scope="module")
def environments(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Mapping[str, dict[str, str]]]:
    """With a real Secret Service and without, each without keyrings.alt and with it."""
    bare = tmp_path_factory.mktemp("home")
    alt = {"PYTHONPATH": str(library_folder(ALT))}
    with running_secret_service() as service:
        yield {
            "service": service.environment,
            "service and alt": {**service.environment, **alt},
            "bare": isolated_environment(bare),
            "bare and alt": {**isolated_environment(bare), **alt},
        }


BACKENDS = [
    ("service", "keyring.backends.null.Keyring", "discards what it is given"),
    ("service", "keyring.backends.fail.Keyring", "no keyring is installed"),
    ("service", "no.such.Keyring", "which cannot be used here (ModuleNotFoundError"),
    ("service", "keyring.backends.null.Typo", "which cannot be used here (AttributeError"),
    ("bare", "keyring.backends.SecretService.Keyring", "which cannot be used here (RuntimeError"),
    ("bare", "keyring.backends.chainer.ChainerBackend", "not recommended"),
    ("bare", "", "no keyring is installed"),
    ("service and alt", "", "includes an unsafe backend"),
    ("service and alt", "keyrings.alt.file.PlaintextKeyring", "may store secrets unencrypted"),
    ("bare and alt", "", "may store secrets unencrypted"),
]


@pytest.mark.timing
@pytest.mark.parametrize(("where", "named", "words"), BACKENDS)
def test_an_unsafe_choice_of_the_keyring_package_is_rejected(
    where: str,
    named: str,
    words: str,
    environments: Mapping[str, dict[str, str]],
    tmp_path: Path,
    figure: Figure,
) -> None:
    environment = {**environments[where], **({OVERRIDE: named} if named else {})}
    with (
        kernel("keyring", tmp_path / "kept", environment) as one,
        pytest.raises(Refused) as raised,
    ):
        one("save", ADA, "data")
    assert words in str(raised.value)
    assert raised.value.seconds < 4
    if named:
        assert OVERRIDE in str(raised.value)
    assert not (tmp_path / "kept").exists()
    what = f"keyring's own choice, keyrings.alt and a real Secret Service there or not, {OVERRIDE}"
    figure("S12", what, f"{len(BACKENDS)} combinations", "refused, said why")


def test_a_secret_service_is_preferred_to_keyrings_alt(
    environments: Mapping[str, dict[str, str]], tmp_path: Path
) -> None:
    """The advice in docs/persistence.md for users of both."""
    named = {OVERRIDE: "keyring.backends.SecretService.Keyring"}
    with kernel("keyring", tmp_path / "kept", {**environments["service and alt"], **named}) as one:
        one("save", ADA, "data")
        assert one("load", ADA) == "data"

"""If nothing is stored, reading needs no key, asks nobody and creates nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nbauth.persistence import Persistence, kinds_in_use, passphrase, persistence_named
from nbauth.testing.persistence import ADA, OTHERS
from tests.persistence.keyrings import Working, in_use
from tests.persistence.test_kinds import install

KINDS = ("file", "keyring")
BOB = OTHERS[0]


class Home:
    """A user's folder and keyring, and the number of questions asked."""

    def __init__(self, root: Path, kind: str) -> None:
        self.folder = root / "kept"
        self.kind = kind
        self.keyring = Working(root / "keyring")
        self.prompts: list[str] = []

    def ask(self, prompt: str) -> str:
        self.prompts.append(prompt)
        return "correct horse"

    def kernel(self) -> Persistence:
        return persistence_named(self.kind, folder=self.folder, ask=self.ask)

    def asked_for_nothing(self) -> bool:
        return not self.prompts and not self.keyring.asked


@pytest.fixture(params=KINDS)
def home(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Home]:
    monkeypatch.setattr(passphrase, "COSTS", {"n": 2, "r": 8, "p": 1})
    monkeypatch.delenv(passphrase.VARIABLE, raising=False)
    one = Home(tmp_path, request.param)
    with in_use(one.keyring):
        yield one


def refresh(kernel: Persistence) -> None:
    with kernel.refreshing(ADA):
        pass


LOOKS: dict[str, Callable[[Persistence], object]] = {
    "exists": lambda kernel: kernel.exists() is False,
    "load": lambda kernel: kernel.load(ADA) is None,
    "stamp": lambda kernel: kernel.stamp(ADA) is None,
    "entries": lambda kernel: kernel.entries() == [],
    "current": lambda kernel: kernel.current(ADA.issuer, ADA.client_id) is None,
    "clear": lambda kernel: kernel.clear(ADA) is None,  # type: ignore[func-returns-value]
    "use": lambda kernel: kernel.use(ADA) is None,  # type: ignore[func-returns-value]
    "refreshing": lambda kernel: refresh(kernel) is None,  # type: ignore[func-returns-value]
    "late save": lambda kernel: kernel.save(ADA, b"late", only_if_there=True) is False,
}


@pytest.mark.parametrize("look", LOOKS)
def test_before_anything_is_stored(look: str, home: Home) -> None:
    assert LOOKS[look](home.kernel())
    assert home.asked_for_nothing()
    assert not home.folder.exists()


@pytest.mark.parametrize("look", LOOKS)
def test_after_the_last_one_is_cleared(look: str, home: Home) -> None:
    for entry in (ADA, BOB):
        home.kernel().save(entry, b"data")
        home.kernel().use(entry)
    for entry in (ADA, BOB):
        assert home.kernel().exists()
        home.kernel().clear(entry)
    assert list(home.folder.rglob("*")), "folders, locks and the current account are left"
    home.prompts.clear()
    home.keyring.asked.clear()
    assert LOOKS[look](home.kernel())
    assert home.asked_for_nothing()


@pytest.mark.parametrize("look", LOOKS)
def test_after_forget(look: str, home: Home) -> None:
    kernel = home.kernel()
    kernel.save(ADA, b"data")
    kernel.forget()
    home.prompts.clear()
    home.keyring.asked.clear()
    for one in (kernel, home.kernel()):
        assert LOOKS[look](one)
    assert home.asked_for_nothing()
    assert not home.folder.exists()


@pytest.mark.parametrize("left", ["{key}", "{key}/{client}", "{key}/{client}/{entry}.unreadable"])
def test_leftover_files_are_no_accounts(left: str, home: Home) -> None:
    names = {"key": "0" * 16, "client": "1" * 32, "entry": "2" * 32}
    path = home.folder / home.kind / left.format(**names)
    path.mkdir(parents=True)
    assert not home.kernel().exists()
    path.with_name("3" * 32).touch()
    assert home.kernel().exists() is (path.parent.name == names["client"])


def test_reading_files_of_another_key_creates_no_key(home: Home) -> None:
    home.kernel().save(ADA, b"data")
    home.keyring.file.unlink(missing_ok=True)
    (home.folder / "file" / passphrase.FILE).unlink(missing_ok=True)
    home.prompts.clear()
    home.keyring.asked.clear()
    kernel = home.kernel()
    assert kernel.exists()
    for look in LOOKS:
        assert look == "exists" or LOOKS[look](kernel)
    assert home.prompts == []
    assert set(home.keyring.asked) <= {"get"}
    assert not home.keyring.file.exists()
    assert kernel.save(ADA, b"signed in anew") is True
    assert home.kernel().load(ADA) == b"signed in anew"


def test_reading_stored_sign_ins_asks_for_the_passphrase(home: Home) -> None:
    home.kernel().save(ADA, b"data")
    home.prompts.clear()
    assert home.kernel().entries() == [ADA]
    assert len(home.prompts) == (home.kind == "file")


# ── every kind of persistence ───────────────────────────────────────────────────────────────


def test_all_stores_in_use_are_found_whatever_the_settings(home: Home) -> None:
    assert kinds_in_use(folder=home.folder) == []
    home.kernel().save(ADA, b"data")
    home.prompts.clear()
    home.keyring.asked.clear()
    (found,) = kinds_in_use(folder=home.folder)
    assert found == home.kind
    assert home.asked_for_nothing()
    home.kernel().clear(ADA)
    assert kinds_in_use(folder=home.folder) == []


def test_plug_ins_are_searched_too(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that can't be loaded, or fails, does not hide the others."""
    points = "drawer = drawer:Drawer\nbroken = drawer:NoSuch\nfailing = drawer:Failing"
    install(tmp_path, points)
    monkeypatch.syspath_prepend(str(tmp_path))
    found = kinds_in_use(folder=home.folder)
    assert found == ["drawer"]

"""The key derived from a passphrase."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from nbauth.core.errors import PersistenceError
from nbauth.persistence import Persistence, passphrase, persistence_named
from nbauth.testing.persistence import ADA


class Person:
    """Types these texts, one after the other, and records the prompts."""

    def __init__(self, *typed: str) -> None:
        self._typed = list(typed)
        self.prompts: list[str] = []

    def __call__(self, prompt: str) -> str:
        self.prompts.append(prompt)
        return self._typed.pop(0)


Kept = Callable[..., Persistence]


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passphrase, "COSTS", {"n": 2, "r": 8, "p": 1})
    monkeypatch.delenv(passphrase.VARIABLE, raising=False)


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return lambda ask=None: persistence_named("file", folder=tmp_path, ask=ask)


def test_a_passphrase_need_not_be_utf_8(
    kept: Kept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In another locale, sign-ins stored with it were reported as damaged."""
    monkeypatch.setitem(os.environb, passphrase.VARIABLE.encode(), b"caf\xe9")
    kept().save(ADA, b"data")
    assert kept().load(ADA) == b"data"


def test_a_new_passphrase_is_typed_twice_and_later_once(kept: Kept, tmp_path: Path) -> None:
    person = Person("correct horse", "correct horse", "correct horse")
    first = kept(person)
    first.save(ADA, b"data")
    assert first.load(ADA) == b"data"
    assert len(person.prompts) == 2
    assert person.prompts[0].startswith("New passphrase")
    assert kept(person).load(ADA) == b"data"
    assert len(person.prompts) == 3
    assert str(tmp_path) in person.prompts[2]


def test_two_different_new_passphrases_create_nothing(kept: Kept, tmp_path: Path) -> None:
    with pytest.raises(PersistenceError, match="differ"):
        kept(Person("correct horse", "correct hose")).open()
    assert list(tmp_path.rglob("*")) == []


def test_a_wrong_passphrase_is_an_error_and_changes_nothing(kept: Kept, tmp_path: Path) -> None:
    person = Person("correct horse", "correct horse")
    kept(person).save(ADA, b"data")
    files = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    person = Person("wrong horse", "correct horse")
    second = kept(person)
    with pytest.raises(PersistenceError, match="Wrong passphrase") as raised:
        second.save(ADA, b"signed in anew")
    assert raised.value.code == "wrong_passphrase"
    assert "wrong horse" not in "".join(raised.value.lines())
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == files
    assert second.load(ADA) == b"data"
    assert second.notices == []


def test_with_the_variable_nobody_is_asked(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(passphrase.VARIABLE, "correct horse")
    kept(Person()).save(ADA, b"data")
    monkeypatch.setenv(passphrase.VARIABLE, "wrong horse")
    with pytest.raises(PersistenceError, match=passphrase.VARIABLE):
        kept(Person()).load(ADA)


@pytest.mark.parametrize("ask", [None, Person("")])
def test_a_missing_passphrase_is_an_error_with_a_remedy(
    ask: Person | None, kept: Kept, tmp_path: Path
) -> None:
    with pytest.raises(PersistenceError, match="needs a passphrase") as raised:
        kept(ask).open()
    assert passphrase.VARIABLE in raised.value.hint
    assert list(tmp_path.rglob("*")) == []


def test_two_unicode_forms_of_an_accent_are_the_same_passphrase(kept: Kept) -> None:
    kept(Person("caf\N{LATIN SMALL LETTER E WITH ACUTE}", "cafe\N{COMBINING ACUTE ACCENT}")).save(
        ADA, b"data"
    )
    assert kept(Person("cafe\N{COMBINING ACUTE ACCENT}")).load(ADA) == b"data"


def test_a_passphrase_file_of_a_newer_version_is_not_changed(kept: Kept, tmp_path: Path) -> None:
    kept(Person("correct horse", "correct horse")).save(ADA, b"data")
    path = tmp_path / "file" / passphrase.FILE
    newer = json.dumps({**json.loads(path.read_bytes()), "format": 2}).encode()
    path.write_bytes(newer)
    with pytest.raises(PersistenceError, match="newer version of nbauth"):
        kept(Person("correct horse")).open()
    assert path.read_bytes() == newer


@pytest.mark.parametrize("costs", [{"n": 2**40}, {"r": 2**30}, {"n": 3}, {"n": -2}, {"n": 1.5}])
def test_manipulated_costs_use_neither_memory_nor_time(
    costs: dict[str, int], kept: Kept, tmp_path: Path
) -> None:
    kept(Person("correct horse", "correct horse")).save(ADA, b"data")
    path = tmp_path / "file" / passphrase.FILE
    there = json.loads(path.read_bytes())
    path.write_text(json.dumps({**there, "costs": {**there["costs"], **costs}}))
    with pytest.raises(PersistenceError, match="is damaged"):
        kept(Person("correct horse")).open()


def test_the_real_costs(kept: Kept, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.undo()
    kept(Person("correct horse", "correct horse")).save(ADA, b"data")
    costs = json.loads((tmp_path / "file" / passphrase.FILE).read_bytes())["costs"]
    assert costs == {"n": 32768, "r": 8, "p": 3}
    assert kept(Person("correct horse")).load(ADA) == b"data"

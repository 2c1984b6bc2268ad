"""P6: a stored sign-in, opened in a new process and saved, among few others and among many.

nbauth's key is in a real Secret Service; the peer uses a plain file without a key.
"""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.table import Row
from tests.harness.kernels import ROOT
from tests.harness.secret_service import running_secret_service

PROCESSES = 5
NUMBERS = (1, 100, 10_000)
TENANT = "11111111-2222-3333-4444-555555555555"
ISSUER = f"https://login.microsoftonline.com/{TENANT}/v2.0"
SCOPE = "https://graph.microsoft.com/User.Read"
CLIENT = "notebooks"


def measure() -> list[Row]:
    """Medians of fresh processes, from after Python's start; imports are in it."""
    runs: dict[tuple[str, int], list[dict[str, float]]] = {}
    with running_secret_service() as service, tempfile.TemporaryDirectory() as root:
        asked = {
            (store, number): (store, f"{root}/{store}-{number}", str(number), service.environment)
            for store in STORES
            for number in NUMBERS
        }
        for one in asked.values():
            run("fill", *one)
        for _ in range(PROCESSES):  # alternating, so that a busy moment affects them all
            for key, one in asked.items():
                runs.setdefault(key, []).append(run("use", *one))

    def took(store: str, number: int, what: str) -> float:
        return median(one[what] for one in runs[store, number])

    whats = {
        "open": "open a stored sign-in in a new process",
        "load": "the same, without imports and key",
        "first": "open it and save it in a new process",
        "save": "save it once more",
    }
    few, many = NUMBERS[0], NUMBERS[-1]
    return [
        Row("P6", f"{said}, {number:,} kept", took("nbauth", number, what),
            "msal-extensions' plain file", took("msal-extensions", number, what),
            "≤ 1.5" if (what, number) == ("open", few) else "–")
        for what, said in whats.items()
        for number in NUMBERS
    ] + [
        Row("P6", f"{said}, {many:,} kept", took("nbauth", many, what),
            f"itself, {few} kept", took("nbauth", few, what), "flat")
        for what, said in whats.items()
    ]  # fmt: skip


def run(
    what: str, store: str, folder: str, number: str, environment: Mapping[str, str]
) -> dict[str, float]:
    """One process's seconds, by what it did."""
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-m", "benchmarks.persisted", what, store, folder, number],
        cwd=ROOT,
        env={**environment, "PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    shown: dict[str, float] = json.loads(done.stdout)
    return shown


class Ours:
    """As a kernel does it: find the last used account, load it; one write."""

    def __init__(self, folder: Path) -> None:
        from nbauth.persistence import Entry, persistence_named

        self._entry = Entry
        self._persistence = persistence_named("keyring", folder=folder)

    def fill(self, number: int) -> None:
        for one in range(number):
            entry = self._entry(ISSUER, CLIENT, f"o{one}.{TENANT}")
            self._persistence.save(entry, json.dumps(answer(one)).encode())
        self._persistence.use(entry)

    def open(self) -> None:
        self._persistence.open()

    def load(self, number: int) -> None:
        entry = self._persistence.current(ISSUER, CLIENT)
        assert entry is not None
        assert json.loads(self._persistence.load(entry) or b"")["refresh_token"]

    def save(self, number: int) -> None:
        entry = self._entry(ISSUER, CLIENT, f"o{number - 1}.{TENANT}")
        self._persistence.save(entry, json.dumps(answer(number)).encode(), only_if_there=True)


class Theirs:
    """As MSAL does it: find the account and its refresh token, and add a response."""

    def __init__(self, folder: Path) -> None:
        from msal_extensions import FilePersistence, PersistedTokenCache

        folder.mkdir(exist_ok=True)
        self._persistence = FilePersistence(str(folder / "cache.json"))
        self._cache = PersistedTokenCache(self._persistence)

    def fill(self, number: int) -> None:
        from msal import SerializableTokenCache

        cache = SerializableTokenCache()
        for one in range(number):
            cache.add(event(one))
        self._persistence.save(cache.serialize())

    def open(self) -> None:
        pass

    def load(self, number: int) -> None:
        accounts = list(self._cache.search("Account"))
        assert len(accounts) == number
        home = {"home_account_id": f"o{number - 1}.{TENANT}"}
        (found,) = self._cache.search("RefreshToken", query=home)
        assert found["secret"]

    def save(self, number: int) -> None:
        self._cache.add(event(number - 1))


STORES: dict[str, Any] = {"nbauth": Ours, "msal-extensions": Theirs}


def answer(number: int) -> dict[str, Any]:
    """A token response as Microsoft's are, in size."""
    info = json.dumps({"uid": f"o{number}", "utid": TENANT}).encode()
    claims = {"oid": f"o{number}", "tid": TENANT, "preferred_username": f"u{number}@x.example"}
    return {
        "access_token": "t" * 1500,
        "refresh_token": "r" * 1500,
        "expires_in": 3600,
        "client_info": base64.urlsafe_b64encode(info).decode(),
        "id_token_claims": {**claims, "iss": ISSUER, "aud": CLIENT, "sub": f"s{number}"},
    }


def event(number: int) -> dict[str, Any]:
    """The same, as MSAL's cache takes it."""
    endpoint = f"https://login.microsoftonline.com/{TENANT}/oauth2/v2.0/token"
    shown = {"client_id": CLIENT, "scope": [SCOPE], "token_endpoint": endpoint}
    return {**shown, "response": answer(number)}


def main(what: str, store: str, folder: str, number: str) -> None:
    """One process; see ``run``."""
    began = time.perf_counter()
    kept = STORES[store](Path(folder))
    if what == "fill":
        kept.fill(int(number))
        print("{}")
        return
    kept.open()
    opened = time.perf_counter()
    kept.load(int(number))
    loaded = time.perf_counter()
    kept.save(int(number))  # with what a first save loads: ours, the library of the locks
    saved = time.perf_counter()
    kept.save(int(number))
    again = time.perf_counter()
    took = {"open": loaded - began, "load": loaded - opened, "first": saved - began}
    print(json.dumps({**took, "save": again - saved}))


if __name__ == "__main__":
    main(*sys.argv[1:])

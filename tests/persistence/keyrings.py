"""keyring backends that behave as real ones do, working and failing."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import keyring.core
from keyring.backend import KeyringBackend
from keyring.backends import null
from keyring.errors import InitError, KeyringLocked, PasswordDeleteError

WINDOWS_LIMIT = 1280  # characters that a credential can hold


class Working(KeyringBackend):
    """Stores its entries in a file, shared with other processes, and records its calls."""

    priority = 5  # type: ignore[assignment]

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.file = file
        self.asked: list[str] = []
        self.persist = "enterprise"

    @property
    def entries(self) -> dict[str, str]:
        return json.loads(self.file.read_text()) if self.file.exists() else {}

    def get_password(self, service: str, username: str) -> str | None:
        self.asked.append("get")
        return self.entries.get(f"{username}@{service}")

    def set_password(self, service: str, username: str, password: str) -> None:
        self.asked.append("set")
        if len(password) > WINDOWS_LIMIT:
            raise OSError(1783, "The stub received bad data", "CredWrite")
        self.file.write_text(json.dumps({**self.entries, f"{username}@{service}": password}))

    def delete_password(self, service: str, username: str) -> None:
        self.asked.append("delete")
        entries = self.entries
        if entries.pop(f"{username}@{service}", None) is None:
            raise PasswordDeleteError(service)
        self.file.write_text(json.dumps(entries))


class Windows(Working):
    """One credential for each service: others, also older ones, move to a compound name."""

    persist = "enterprise"
    saved_as: list[str] = []  # noqa: RUF012  # of all copies

    def set_password(self, service: str, username: str, password: str) -> None:
        self.saved_as.append(self.persist)
        if old := self.entries.get(service):
            super().set_password(service, f"{username}@old", old)
        super().set_password(service, username, password)


class IndexOnly(KeyringBackend):
    """As package indexes provide them: a high priority, and no storage."""

    priority = 9.9  # type: ignore[assignment]

    def get_password(self, service: str, username: str) -> str | None:
        return None

    def set_password(self, service: str, username: str, password: str) -> None:
        raise NotImplementedError

    def delete_password(self, service: str, username: str) -> None:
        raise NotImplementedError


class _Broken(KeyringBackend):
    priority = 5  # type: ignore[assignment]

    def _fail(self) -> None:
        raise NotImplementedError

    def get_password(self, service: str, username: str) -> str | None:
        self._fail()
        return None

    def set_password(self, service: str, username: str, password: str) -> None:
        self._fail()

    def delete_password(self, service: str, username: str) -> None:
        self._fail()


class Locked(_Broken):
    def _fail(self) -> None:
        raise KeyringLocked("Failed to unlock the collection!")


class ServiceDied(_Broken):
    def _fail(self) -> None:
        raise InitError("Failed to create the collection")


class BusDied(_Broken):
    def _fail(self) -> None:
        raise FileNotFoundError(2, "No such file or directory")


class Hanging(_Broken):
    """Hangs until it is no longer in use, or for a minute."""

    def __init__(self) -> None:
        super().__init__()
        self.let_go = threading.Event()

    def _fail(self) -> None:
        self.let_go.wait(60)


class HangsAtSet(Hanging):
    def get_password(self, service: str, username: str) -> str | None:
        return None


class Forgetful(Working):
    """Accepts everything silently and stores nothing."""

    def set_password(self, service: str, username: str, password: str) -> None:
        self.asked.append("set")


class PlaintextKeyring(Working):
    """A backend with a name like those that store plain text."""

    priority = 6  # type: ignore[assignment]


class Doubtful(Working):
    priority = 0.9  # type: ignore[assignment]


class OwnNull(null.Keyring):
    priority = 8  # type: ignore[assignment]


class Chain(KeyringBackend):
    """Like keyring's chainer, with the given links."""

    priority = 10  # type: ignore[assignment]

    def __init__(self, *links: KeyringBackend) -> None:
        super().__init__()
        self.backends = list(links)

    def get_password(self, service: str, username: str) -> str | None:
        raise AssertionError("its links are asked one by one")

    set_password = get_password  # type: ignore[assignment]


@contextmanager
def in_use(backend: KeyringBackend | None) -> Iterator[None]:
    """Make it keyring's choice meanwhile; ``None`` lets keyring choose again."""
    before = keyring.core._keyring_backend
    keyring.core._keyring_backend = backend
    try:
        yield
    finally:
        keyring.core._keyring_backend = before
        if isinstance(backend, Hanging):
            backend.let_go.set()

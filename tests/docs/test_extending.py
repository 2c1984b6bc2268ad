"""The blocks of docs/extend.md that make packages with a store, a flow and an identity."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from nbauth.core.flow_names import GROUP, IDENTITY_GROUP
from nbauth.core.settings_values import PERSISTENCE_GROUP
from tests.docs.blocks import ROOT, of_kind

(CONTRACT,), (FLOW,), (IDENTITY,) = map(
    of_kind, ("test_my_store.py", "my_flow.py", "my_identity.py")
)
POINTS = {
    group: points
    for block in of_kind("pyproject.toml")
    for group, points in tomllib.loads(block.text)["project"]["entry-points"].items()
}
STORE = """
from nbauth.persistence.encrypted import EncryptedFolder
from nbauth.persistence.passphrase import PassphraseKey


class MyStore(EncryptedFolder):
    def __init__(self, folder, ask):
        super().__init__(folder, PassphraseKey(ask))
"""
SIGNS_IN = """
import sys
from nbauth.core.flow_names import names
from nbauth.core.scopes import Scopes
from nbauth.oauth.engines.protocol import AuthorizationRequest
from nbauth.oauth.flows import flow_named
from nbauth.testing.engine import FakeEngine

assert sys.argv[1] in names()
request = AuthorizationRequest(Scopes.parse(["read"], microsoft=False))
steps = flow_named(sys.argv[1]).run(FakeEngine(), request)
try:
    while True:
        next(steps)
except StopIteration as end:
    print(str(end.value.access_token), end.value.principal)
"""
NAMED = """
import sys
from nbauth.persistence import persistence_named
print(type(persistence_named(sys.argv[1])).__name__)
"""


def written(folder: Path) -> dict[str, str]:
    """An installed package of these blocks, and the environment in which it is found."""
    metadata = folder / "my_package-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: my-package\nVersion: 1\n")
    lines = [
        line
        for group, points in POINTS.items()
        for line in (f"[{group}]", *(f"{name} = {what}" for name, what in points.items()))
    ]
    (metadata / "entry_points.txt").write_text("\n".join(lines) + "\n")
    (folder / "my_flow.py").write_text(FLOW.text)
    (folder / "my_identity.py").write_text(IDENTITY.text)
    (folder / "my_package.py").write_text(STORE)
    (folder / "test_my_store.py").write_text(CONTRACT.text)
    (folder / "pytest.ini").write_text("[pytest]\n")
    return {**os.environ, "PYTHONPATH": str(folder), "NBAUTH_PASSPHRASE": "a passphrase"}


def test_the_contract_runs_on_the_store(tmp_path: Path) -> None:
    environment = written(tmp_path)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, "-k", "test_an_empty_store_returns_nothing", "test_my_store.py"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0 and " passed" in done.stdout, done.stdout + done.stderr


def test_the_entry_point_is_found(tmp_path: Path) -> None:
    (name,) = POINTS[PERSISTENCE_GROUP]
    done = subprocess.run(
        [sys.executable, "-c", NAMED, name],
        env=written(tmp_path),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.strip() == "MyStore", done.stderr


@pytest.mark.parametrize(
    ("group", "told"),
    [
        (GROUP, "access-ada-1 None"),
        (IDENTITY_GROUP, "secret Principal(id='vault:robot-7', username='Robot 7'"),
    ],
)
def test_a_flow_and_an_identity_of_a_package_sign_in(tmp_path: Path, group: str, told: str) -> None:
    (name,) = POINTS[group]
    done = subprocess.run(
        [sys.executable, "-c", SIGNS_IN, name],
        env={**written(tmp_path), "MY_VAULT_TOKEN": "secret"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.startswith(told), done.stdout + done.stderr


def test_the_added_lines_of_a_flow_are_those_of_the_repository() -> None:
    (diff,) = of_kind("diff")
    text = ""
    for line in diff.text.splitlines():
        if line.startswith("+++ "):
            text = (ROOT / line.removeprefix("+++ ")).read_text()
        else:
            assert line.removeprefix("+") + "\n" in text, line

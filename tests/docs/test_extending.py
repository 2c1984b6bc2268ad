"""The blocks of docs/extend.md that make a package with a store of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

from nbauth.core.settings_values import PERSISTENCE_GROUP
from tests.docs.blocks import of_kind

(CONTRACT,), (METADATA,) = of_kind("test_my_store.py"), of_kind("pyproject.toml")
STORE = """
from nbauth.persistence.encrypted import EncryptedFolder
from nbauth.persistence.passphrase import PassphraseKey


class MyStore(EncryptedFolder):
    def __init__(self, folder, ask):
        super().__init__(folder, PassphraseKey(ask))
"""
NAMED = """
import sys
from nbauth.persistence import persistence_named
print(type(persistence_named(sys.argv[1])).__name__)
"""


def written(folder: Path) -> dict[str, str]:
    """An installed package of these blocks, and the environment in which it is found."""
    (entry,) = tomllib.loads(METADATA.text)["project"]["entry-points"][PERSISTENCE_GROUP].items()
    metadata = folder / "my_package-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: my-package\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text(f"[{PERSISTENCE_GROUP}]\n{' = '.join(entry)}\n")
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
    (name,) = tomllib.loads(METADATA.text)["project"]["entry-points"][PERSISTENCE_GROUP]
    done = subprocess.run(
        [sys.executable, "-c", NAMED, name],
        env=written(tmp_path),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.strip() == "MyStore", done.stderr

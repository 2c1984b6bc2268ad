"""Which persistence a name selects, and what selecting one loads."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from nbauth.core.errors import ConfigurationError
from nbauth.persistence import persistence_named
from nbauth.testing.persistence import ADA

PLUGIN = '''
"""A store for sign-ins from another package."""

class Drawer:
    before_access = after_access = None

    def __init__(self, folder, ask):
        self.kept, self.notices, self.folder, self.ask = "drawer", [], folder, ask

    def exists(self):
        return True

    def load(self, entry):
        return b"from the drawer"


class Failing(Drawer):
    def exists(self):
        raise RuntimeError("the drawer is stuck")
'''


def install(site: Path, points: str) -> None:
    """Install a distribution there, as pip does."""
    (site / "drawer.py").write_text(PLUGIN)
    info = site / "nbauth_drawer-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: nbauth-drawer\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[nbauth.persistence]\n{points}\n")


def test_another_packages_persistence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, "drawer = drawer:Drawer\nbroken = drawer:NoSuch")
    monkeypatch.syspath_prepend(str(tmp_path))
    ask = input
    drawer = persistence_named("drawer", folder=tmp_path / "kept", ask=ask)
    assert drawer.kept == "drawer"
    assert drawer.load(ADA) == b"from the drawer"
    assert vars(drawer)["folder"] == tmp_path / "kept"
    assert vars(drawer)["ask"] is ask
    with pytest.raises(ConfigurationError, match="memory, keyring, file, broken, drawer"):
        persistence_named("cupboard")
    with pytest.raises(ConfigurationError, match="cannot be loaded") as raised:
        persistence_named("broken", folder=tmp_path)
    assert raised.value.code == "broken_persistence"
    assert isinstance(raised.value.__cause__, AttributeError)


@pytest.mark.parametrize("kind", ["memory", "plaintext", "", "Keyring"])
def test_an_unknown_persistence_is_an_error(kind: str) -> None:
    with pytest.raises(ConfigurationError, match="Unknown persistence"):
        persistence_named(kind)


NAMING = """
import json, sys
from nbauth.persistence import Entry, persistence_named
made = [persistence_named(kind) for kind in ("keyring", "file")]
heavy = {"keyring", "filelock", "cryptography", "secretstorage"}
print(json.dumps([[one.kept for one in made], [str(one._folder) for one in made],
                  sorted(heavy.intersection(sys.modules))]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the folder is Linux's")
def test_selecting_a_persistence_opens_and_loads_nothing(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", NAMING],
        env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    kept, folders, heavy = json.loads(done.stdout)
    assert kept == ["keyring", "file"]
    assert folders == [str(tmp_path / ".local/share/nbauth")] * 2
    assert heavy == []
    assert list(tmp_path.iterdir()) == []

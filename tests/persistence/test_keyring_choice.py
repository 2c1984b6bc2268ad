"""The backend that nbauth finds is the one that keyring chooses, in every combination."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.harness.kernels import ROOT, isolated_environment, library_folder
from tests.harness.secret_service import running_secret_service

ALT = "keyrings.alt-5"
COMPARE = """
import json, sys
{before}
from nbauth.persistence.keyring_choice import chosen

def told(give, parts):
    def one(choice):
        backend, priority, links = parts(choice)
        kind = type(backend)
        mark = getattr(backend, "mark", "")
        name = f"{{kind.__module__}}.{{kind.__qualname__}} {{priority}} {{mark}}"
        return [name, links and [one(link) for link in links]]
    try:
        return one(give())
    except Exception as error:
        return [type(error).__name__, str(error)]

def of_keyring(backend):
    links = getattr(backend, "backends", None)
    return backend, backend.priority, None if links is None else list(links)

ours = told(chosen, lambda choice: choice)
loaded = sorted(name for name in sys.modules if name.startswith("keyring.backends."))
import keyring
given = getattr(keyring.core, "_keyring_backend", None)
if {searches}:
    keyring.core._keyring_backend = None
theirs = told(keyring.get_keyring, of_keyring)
print(json.dumps({{"ours": ours, "theirs": theirs, "loaded": loaded,
                  "left": type(given).__module__}}))
"""

PLUGIN = """
from keyring.backend import KeyringBackend
from keyring.compat import properties

class _Backend(KeyringBackend):
    def get_password(self, service, username): return None
    def set_password(self, service, username, password): raise NotImplementedError
    def delete_password(self, service, username): raise NotImplementedError

class Index(_Backend):
    priority = {priority}

class NeedsArguments(_Backend):
    priority = 20
    def __init__(self, where): super().__init__()

class NotHere(_Backend):
    @properties.classproperty
    def priority(cls):
        return 1 / 0

class False_(_Backend):
    priority = 30
    def __bool__(self): return False

def start():
    class Started(_Backend):
        priority = {started}
    globals()["Started"] = Started
"""


def compared(
    environment: Mapping[str, str], before: str = "", searches: bool = True
) -> dict[str, Any]:
    """The choices of both; without ``searches``, keyring reports its earlier choice."""
    done = subprocess.run(
        [sys.executable, "-c", COMPARE.format(before=before, searches=searches)],
        cwd=ROOT,
        env=dict(environment),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    shown: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return shown


@pytest.fixture(scope="module")
def environments(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, dict[str, str]]]:
    """With a real Secret Service and without, each without keyrings.alt and with it."""
    bare = isolated_environment(tmp_path_factory.mktemp("home"))
    alt = str(library_folder(ALT))
    with running_secret_service() as service:
        both = {"service": service.environment, "bare": bare}
        yield {
            **both,
            **{f"{name} and alt": {**one, "PYTHONPATH": alt} for name, one in both.items()},
        }


WHERE = ["service", "bare", "service and alt", "bare and alt"]
NAMED = [
    "",
    "keyring.backends.null.Keyring",
    "keyring.backends.fail.Keyring",
    "keyring.backends.SecretService.Keyring",
    "keyring.backends.chainer.ChainerBackend",
    "keyring.backends.macOS.Keyring",
    "keyrings.alt.file.PlaintextKeyring",
    "no.such.Keyring",
    "nothing",
]


@pytest.mark.parametrize("where", WHERE)
def test_it_chooses_as_keyrings_search_does(
    where: str, environments: dict[str, dict[str, str]]
) -> None:
    shown = compared(environments[where])
    assert shown["ours"] == shown["theirs"]
    alone = "alt" not in where and sys.platform != "darwin"
    assert ("keyring.backends.macOS" in shown["loaded"]) is not alone


@pytest.mark.parametrize("named", NAMED)
@pytest.mark.parametrize("where", ["service", "bare and alt"])
def test_it_chooses_what_the_environment_sets(
    where: str, named: str, environments: dict[str, dict[str, str]]
) -> None:
    shown = compared({**environments[where], "PYTHON_KEYRING_BACKEND": named})
    assert shown["ours"] == shown["theirs"]


CONFIGURED = {
    "null": "[backend]\ndefault-keyring=keyring.backends.null.Keyring\n",
    "service": "[backend]\ndefault-keyring = keyring.backends.SecretService.Keyring\n",
    "a path alone": "[backend]\nkeyring-path=/nowhere\n",
    "no section": "[other]\na=b\n",
    "nothing": "",
    "no such": "[backend]\ndefault-keyring=no.such.Keyring\n",
    "not a configuration": "default-keyring\n",
}


@pytest.mark.parametrize("text", CONFIGURED)
def test_it_chooses_what_the_configuration_sets(
    text: str, environments: dict[str, dict[str, str]], tmp_path: Path
) -> None:
    folder = tmp_path / "python_keyring"
    folder.mkdir()
    (folder / "keyringrc.cfg").write_text(CONFIGURED[text])
    shown = compared({**environments["service"], "XDG_CONFIG_HOME": str(tmp_path)})
    assert shown["ours"] == shown["theirs"]


def test_properties_of_the_environment(environments: dict[str, dict[str, str]]) -> None:
    shown = compared({**environments["service"], "KEYRING_PROPERTY_MARK": "work"})
    assert shown["ours"] == shown["theirs"]
    assert shown["ours"][0].endswith("work")


def package(site: Path, points: str, priority: float = 9.9, started: float = 0.5) -> None:
    """Write a package that provides backends, as pip installs it."""
    info = site / "brought-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "brought.py").write_text(PLUGIN.format(priority=priority, started=started))
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: brought\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(points)


POINTS = {
    "a module": "[keyring.backends]\nBrought = brought\n",
    "without spaces": "[before]\nx=y:z\n[keyring.backends]\nBrought=brought\n[other]\na=b\n",
    "a function": "[keyring.backends]\nBrought = brought:start\n",
    "a class": "[keyring.backends]\nBrought = brought:Index\n",
    "one that does not load": "[keyring.backends]\na = no_such_module\nb = brought\n",
    "one of keyring's own": "[keyring.backends]\na = keyring.backends.null\nb = brought\n",
    "a comment": "[keyring.backends]\n# x = y\nBrought = brought\n",
    "none": "[other]\nkeyring.backends = brought\n",
}


@pytest.mark.parametrize("points", POINTS)
@pytest.mark.parametrize("where", ["service", "bare"])
def test_with_a_package_that_brings_backends(
    where: str, points: str, environments: dict[str, dict[str, str]], tmp_path: Path
) -> None:
    package(tmp_path, POINTS[points])
    shown = compared({**environments[where], "PYTHONPATH": str(tmp_path)})
    assert shown["ours"] == shown["theirs"]
    assert ("brought" in json.dumps(shown["ours"])) is (points != "none")


@pytest.mark.parametrize(("priority", "started"), [(4, 0), (12, 3), (0, -1), (-1, -2), (0.5, 0)])
def test_by_priority(
    priority: float, started: float, environments: dict[str, dict[str, str]], tmp_path: Path
) -> None:
    package(tmp_path, POINTS["a function"], priority, started)
    for where in ("service", "bare"):
        shown = compared({**environments[where], "PYTHONPATH": str(tmp_path)})
        assert shown["ours"] == shown["theirs"]


@pytest.mark.parametrize("kind", ["egg", "zip"])
def test_with_a_package_in_an_archive(
    kind: str, environments: dict[str, dict[str, str]], tmp_path: Path
) -> None:
    site = tmp_path / "site"
    package(site, POINTS["a module"])
    archive = tmp_path / f"brought-1.0.{kind}"
    with zipfile.ZipFile(archive, "w") as file:
        for path in site.rglob("*"):
            file.write(path, path.relative_to(site))
    shown = compared({**environments["service"], "PYTHONPATH": str(archive)})
    assert shown["ours"] == shown["theirs"]
    assert kind == "egg" or "brought" in json.dumps(shown["ours"])


IN_THE_PROCESS = {
    "a backend of the person's own": "import keyring.backends.null\n"
    "class Own(keyring.backends.null.Keyring):\n    priority = 7\n",
    "one that was set": "import keyring, keyring.backends.null\n"
    "keyring.set_keyring(keyring.backends.null.Keyring())\n",
    "a limit": "import keyring.core\nkeyring.core.init_backend(lambda one: one.priority < 3)\n",
    "keyring has searched": "import keyring\nkeyring.get_keyring()\n",
    "a finder of packages": "import sys\nclass Finder:\n"
    "    @staticmethod\n    def find_spec(*_): return None\n"
    "    @staticmethod\n    def find_distributions(*_): return []\nsys.meta_path.append(Finder)\n",
    "a path that is no text": "import sys\nfrom pathlib import Path\nsys.path.append(Path('/a'))\n",
}


@pytest.mark.parametrize("before", IN_THE_PROCESS)
def test_after_other_uses_of_keyring_in_the_process(
    before: str, environments: dict[str, dict[str, str]]
) -> None:
    was_set = "set" in before or "limit" in before
    shown = compared(environments["service"], IN_THE_PROCESS[before], not was_set)
    assert shown["ours"] == shown["theirs"]


@pytest.mark.parametrize(
    ("where", "left"), [("service", "keyring.backends.SecretService"), ("bare", "builtins")]
)
def test_the_choice_is_kept_by_keyring_unless_there_is_none(
    where: str, left: str, environments: dict[str, dict[str, str]]
) -> None:
    assert compared(environments[where])["left"] == left


def test_without_keyrings_private_name_it_searches_itself(
    environments: dict[str, dict[str, str]],
) -> None:
    hidden = (
        "import keyring, keyring.core, types\n"
        "hidden = types.ModuleType('keyring.core')\n"
        "keyring.core = sys.modules['keyring.core'] = hidden\n"
    )
    shown = compared(environments["service"], hidden)
    assert shown["ours"] == shown["theirs"]
    assert "keyring.backends.macOS" in shown["loaded"], "keyring's own search was used"

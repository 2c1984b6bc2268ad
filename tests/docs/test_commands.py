"""Every command of the documents is run, or held to a stated rule where it cannot be."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from nbauth.core.settings import Settings
from nbauth.demo.servers import Demo, start
from nbauth.kernel.client_credential import service_of
from nbauth.oauth.client import NO_CLIENT_ID_HINT
from tests.docs.blocks import ROOT, of_kind
from tests.harness.client_keys import client_key
from tests.kernel.accounts.test_msal_cache import AUTHORITY, OURS, written
from tests.scanning.planted import code, json_web_token, notebook, stream

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
LINES = {
    line: f"{block.document}:{block.line + number}"
    for block in of_kind("sh")
    for number, line in enumerate(block.text.splitlines())
    if line.strip()
}
"""Each command once, with the last place where it stands."""


@pytest.fixture(scope="module")
def demo() -> Iterator[Demo]:
    with start() as running:
        yield running


@pytest.fixture
def environment(demo: Demo, tmp_path: Path) -> dict[str, str]:
    """A person's who has only the demo's provider."""
    scripts = Path(sys.executable).parent
    return {
        "HOME": str(tmp_path),
        "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}",
        **demo.environment(),
    }


def is_run(words: list[str], environment: dict[str, str]) -> None:
    """Run it in the home folder, which has the file of ``--certificate``; it ends with 0."""
    home = environment["HOME"]
    if "--certificate" in words:
        client_key().pem(Path(home, words[words.index("--certificate") + 1]))
    done = subprocess.run(
        words, cwd=home, env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr


def is_started_and_stopped(words: list[str], environment: dict[str, str]) -> None:
    """Run it with --no-browser until it shows its users; Ctrl-C ends it with 0."""
    process = subprocess.Popen(
        [*words, "--no-browser"], env=environment, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    shown = ""
    for line in process.stdout:
        shown += line
        if "Ctrl-C" in line:
            process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) == 0
    assert "second user" in shown and "JupyterLab" in shown


def imports_a_cache(words: list[str], environment: dict[str, str]) -> None:
    """Run it on a cache that MSAL has written."""
    cache = Path(words[2].replace("~", environment["HOME"]))
    cache.parent.mkdir()
    written(cache, (OURS, "ada"))
    own = {name: value for name, value in environment.items() if name[:7] != "NBAUTH_"}
    client = {"NBAUTH_AUTHORITY": AUTHORITY, "NBAUTH_CLIENT_ID": OURS}
    is_run(words, {**own, **client, "NBAUTH_PASSPHRASE": "a passphrase"})


def scans_a_notebook(words: list[str], environment: dict[str, str]) -> None:
    """Run it on a notebook with a token, as the page says: exit code 1, and which kind."""
    document = notebook(code("", stream(json_web_token())))
    Path(environment["HOME"], words[-1]).write_text(json.dumps(document), "utf-8")
    done = subprocess.run(
        words, cwd=environment["HOME"], env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    assert f"{words[-1]}: cell 1, output 1, stdout: JSON Web Token, eyJ…" in done.stdout


def is_installable(words: list[str], _: dict[str, str]) -> None:
    """Not run: it needs an index. It names nbauth, and extras that there are."""
    assert words[:2] == ["pip", "install"]
    for word in words[2:]:
        wanted = Requirement(word)
        assert wanted.name == PROJECT["name"]
        assert wanted.extras <= set(PROJECT["optional-dependencies"])


def is_a_target(words: list[str], environment: dict[str, str]) -> None:
    """Run by ``make --dry-run``: the target and all that it needs are there."""
    done = subprocess.run(
        ["make", "--dry-run", *words[1:]], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def registers_as_the_doctor_says(words: list[str], _: dict[str, str]) -> None:
    """Not run: it needs a tenant. nbauth prints the same command where no client_id is set."""
    assert shlex.join(words) in NO_CLIENT_ID_HINT


def is_the_entry_that_is_read(words: list[str], _: dict[str, str]) -> None:
    """Not run: it needs a keyring. Service and user are those of a profile in the documents."""
    profiles = {}
    for block in of_kind("toml"):
        profiles |= tomllib.loads(block.text).get("profiles", {})
    _keyring, _set, service, client_id = words
    if "@" in client_id:  # the password of a user, which needs no setting
        assert service in {service_of(Settings(profile=profile)) for profile in profiles}
        return
    profile = next(name for name, its in profiles.items() if its.get("client_id") == client_id)
    assert service == service_of(Settings(profile=profile))
    assert profiles[profile]["client_secret_from"] == "keyring"


COMMANDS: dict[str, Callable[[list[str], dict[str, str]], None]] = {
    "nbauth demo": is_started_and_stopped,
    "nbauth import-cache": imports_a_cache,
    "nbauth doctor": is_run,
    "nbauth register": is_run,
    "nbauth scan": scans_a_notebook,
    "pip install": is_installable,
    "make": is_a_target,
    "az ad app create": registers_as_the_doctor_says,
    "keyring set": is_the_entry_that_is_read,
}
"""How each command is tested, by the words with which it begins."""


def rule_for(line: str) -> Callable[[list[str], dict[str, str]], None]:
    found = [rule for words, rule in COMMANDS.items() if re.match(rf"{words}( |$)", line)]
    assert len(found) == 1, f"no rule says how to test {line!r}"
    return found[0]


@pytest.mark.parametrize("line", LINES, ids=LINES.get)
def test_command(line: str, environment: dict[str, str]) -> None:
    expanded = line.replace("~", environment["HOME"])  # as a shell does
    rule_for(line)(shlex.split(expanded), environment)


@pytest.mark.parametrize("line", ["nbauth docter", "pip uninstall nbauth", "az logout", "rm -r x"])
def test_a_command_without_a_rule_is_noticed(line: str) -> None:
    with pytest.raises(AssertionError, match="no rule"):
        rule_for(line)


@pytest.mark.parametrize(
    "line", ["pip install 'nbauth[sever]'", "pip install nbath", "make setpu", "az ad app create x"]
)
def test_a_command_that_is_misspelt_is_noticed(line: str, environment: dict[str, str]) -> None:
    with pytest.raises(AssertionError):
        rule_for(line)(shlex.split(line), environment)

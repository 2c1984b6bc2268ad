"""`nbauth scan` as a command: what it prints, its exit code, and pre-commit."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from nbauth.cli import main
from nbauth.scanning.scan import REMOVED
from tests.docs.blocks import of_kind
from tests.scanning.planted import SECRETS, code, json_web_token, notebook, some, stream

ROOT = Path(__file__).parents[2]
TOKEN = json_web_token()
GITHUB = f"ghp_{some(36)}"


@pytest.fixture
def saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A notebook with two secrets, in the current folder."""
    monkeypatch.chdir(tmp_path)
    path = Path("a.ipynb")
    document = notebook(code("1"), code(f"t = '{GITHUB}'", stream("1\n"), stream(f"\n{TOKEN}\n")))
    path.write_text(json.dumps(document), "utf-8")
    return path


def test_the_report_names_places_and_kinds(saved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = saved.read_bytes()
    assert main(["scan", "a.ipynb"]) == 1
    out, err = capsys.readouterr()
    # In the order of the file: this one has the outputs before the source.
    assert out.splitlines() == [
        f"a.ipynb: cell 2, output 2, stdout: JSON Web Token, eyJ… ({len(TOKEN)} characters)",
        "a.ipynb: cell 2, source: GitHub token, ghp_… (40 characters)",
        "2 secrets found. Remove with nbauth scan --clean, then revoke at the provider.",
    ]
    assert err == ""
    assert saved.read_bytes() == before


def test_clean_removes_and_says_so(saved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scan", "--clean", "a.ipynb"]) == 1
    assert "2 secrets removed. Revoke each" in capsys.readouterr().out
    assert saved.read_text("utf-8").count(REMOVED) == 2
    inode = saved.stat().st_ino
    for options in ([], ["--clean"]):
        assert main(["scan", *options, "a.ipynb"]) == 0
        assert capsys.readouterr() == ("", "")
    assert saved.stat().st_ino == inode  # a file without secrets is not replaced


@pytest.mark.usefixtures("saved")
def test_an_error_does_not_end_the_scan(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scan", "missing.ipynb", "a.ipynb"]) == 2
    out, err = capsys.readouterr()
    assert "2 secrets found" in out
    assert err.splitlines() == [
        "ConfigurationError: Could not read missing.ipynb: no such file or directory.",
        "→ Correct the path, or the permissions of the file.",
    ]


@pytest.mark.usefixtures("saved")
def test_a_file_without_permission_is_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = os.open

    def denied(path: Any, *rest: Any) -> int:  # root may read any file, whatever its mode
        if os.fspath(path).endswith("a.ipynb"):
            raise PermissionError(13, "Permission denied")
        return real(path, *rest)

    monkeypatch.setattr("nbauth.core.regular_file.os.open", denied)
    assert main(["scan", "a.ipynb"]) == 2
    monkeypatch.undo()
    assert "Could not read a.ipynb: permission denied." in capsys.readouterr().err


def test_a_folder_and_several_files(saved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("in").mkdir()
    shutil.copy(saved, "in/b.ipynb")
    Path("c.env").write_text(f"A=1\nGH={GITHUB}\n")
    Path("d.png").write_bytes(b"\x89PNG\0" + TOKEN.encode())
    assert main(["scan", "in", "c.env", "d.png"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(": ")[0] for line in lines[:-1]] == [
        str(Path("in/b.ipynb")), str(Path("in/b.ipynb")), "c.env"
    ]  # fmt: skip
    assert lines[2] == "c.env: line 2: GitHub token, ghp_… (40 characters)"


def test_json_has_the_same_findings(saved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scan", "--json", str(saved)]) == 1
    rows = json.loads(capsys.readouterr().out)
    assert {row["kind"] for row in rows} == {"GitHub token", "JSON Web Token"}
    assert {row["file"] for row in rows} == {"a.ipynb"}
    assert [row["removed"] for row in rows] == [False, False]
    saved.write_text("{}")
    assert main(["scan", "--json", str(saved)]) == 0
    assert json.loads(capsys.readouterr().out) == []


def test_standard_input(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(f"x\n{TOKEN}\n".encode())))
    assert main(["scan", "-"]) == 1
    assert capsys.readouterr().out.startswith("-: line 2: JSON Web Token")
    with pytest.raises(SystemExit, match="2"):
        main(["scan", "--clean", "-"])


@pytest.mark.parametrize("options", [[], ["--json"], ["--clean"], ["--clean", "--json"]])
def test_no_output_has_a_secret(
    options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = [text for _, text, _ in SECRETS.values()]
    document = notebook(
        code("\n".join(texts)),
        **{text: {"state": {text: text}} for text in texts},
        widgets={"x": {"state": {text: {"state": {text: text}} for text in texts}}},
    )
    path = tmp_path / "a.ipynb"
    path.write_text(json.dumps(document), "utf-8")
    assert main(["scan", *options, str(path)]) == 1
    shown = "".join(capsys.readouterr())
    assert [name for name, (_, _, secret) in SECRETS.items() if secret[7:27] in shown] == []


def test_it_imports_no_protocol_library_and_no_widgets() -> None:
    script = (
        "import sys; from nbauth.cli import main; main(['scan', '-'])\n"
        "print(sorted({'msal', 'authlib', 'requests', 'IPython', 'keyring'} & {*sys.modules}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], input="a\n", capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


# ── pre-commit ──────────────────────────────────────────────────────────────────────────────

HOOKS = {
    hook["id"]: hook
    for hook in yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text("utf-8"))
}


def git(*words: str) -> None:
    subprocess.run(["git", *words], check=True, capture_output=True)


@pytest.mark.usefixtures("saved")
@pytest.mark.parametrize("name", HOOKS)
def test_the_hook_stops_a_commit(name: str, tmp_path: Path) -> None:
    """pre-commit itself runs the hook, with nbauth of this environment."""
    hook = {**HOOKS[name], "language": "system"}  # else pre-commit installs nbauth for a minute
    hook["entry"] = f"{Path(sys.executable).parent}/{hook['entry']}"
    config = {"repos": [{"repo": "local", "hooks": [hook]}]}
    Path(".pre-commit-config.yaml").write_text(yaml.safe_dump(config))
    Path("picture.png").write_bytes(b"\x89PNG\0" + TOKEN.encode())
    git("init", "--quiet")
    git("add", ".")
    run = [sys.executable, "-m", "pre_commit", "run", "--all-files"]
    environment = {**os.environ, "PRE_COMMIT_HOME": str(tmp_path / "cache")}
    done = subprocess.run(run, env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    assert "a.ipynb: cell 2, source: GitHub token" in done.stdout
    assert "picture.png" not in done.stdout
    assert ("files were modified" in done.stdout) is (name == "nbauth-clean")
    if name == "nbauth-clean":
        git("add", ".")
        again = subprocess.run(run, env=environment, capture_output=True, text=True)
        assert again.returncode == 0, again.stdout


def test_pre_commit_accepts_the_definition() -> None:
    words = [sys.executable, "-m", "pre_commit", "validate-manifest"]
    subprocess.run([*words, str(ROOT / ".pre-commit-hooks.yaml")], check=True)
    assert set(HOOKS) == {"nbauth-scan", "nbauth-clean"}


def test_the_documented_hook_is_the_defined_one() -> None:
    (block,) = of_kind(".pre-commit-config.yaml")
    (repository,) = yaml.safe_load(block.text)["repos"]
    (hook,) = repository["hooks"]
    assert hook.pop("additional_dependencies") == ["nbauth"]
    assert hook.items() <= HOOKS[hook["id"]].items()

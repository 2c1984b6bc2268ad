"""The command line, but for the demo, which has its own tests."""

from __future__ import annotations

import subprocess
import sys

import pytest

from nbauth.cli import main


@pytest.fixture(autouse=True)
def nobody_has_set_anything(monkeypatch, tmp_path):
    """Neither the developer nor another test of this process."""
    import os

    from nbauth import api

    for name in list(os.environ):
        if name.startswith("NBAUTH_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setattr(api, "_session", None)
    monkeypatch.setattr(api.NbAuthError, "wants_traceback", api.NbAuthError.wants_traceback)


def test_doctor_ends_with_0_where_a_sign_in_could_begin(capsys):
    assert main(["doctor", "--client-id", "c", "--tenant", "contoso.com"]) == 0
    said = capsys.readouterr().out
    assert "https://login.microsoftonline.com/contoso.com" in said
    assert "(this call)" in said


def test_doctor_reads_the_profile_that_is_named(capsys, tmp_path):
    (tmp_path / "nbauth").mkdir()
    (tmp_path / "nbauth" / "config.toml").write_text('[profiles.work]\nclient_id = "of-work"\n')
    assert main(["doctor", "--profile", "work"]) == 0
    assert "of-work" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ([], "No client_id is set"),
        (["--client-id", "c", "--flow", "iwa"], "The flow 'iwa' is not available"),
        (["--client-id", "c", "--flow", "nonsense"], "The setting flow"),
        (["--profile", "nowhere"], "There is no profile"),
    ],
)
def test_doctor_ends_with_1_where_something_set_would_stop_it(capsys, arguments, what):
    assert main(["doctor", *arguments]) == 1
    said = capsys.readouterr().out
    assert what in said
    assert "→ " in said


@pytest.mark.parametrize("arguments", [[], ["nonsense"], ["doctor", "--nonsense"]])
def test_misuse_ends_with_2(capsys, arguments):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2


def test_doctor_loads_no_protocol_library_and_no_widgets():
    code = (
        "import sys; from nbauth.cli import main; main(['doctor'])\n"
        "heavy = {'msal', 'authlib', 'requests', 'keyring', 'anywidget', 'ipywidgets', 'IPython'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.rstrip().endswith("[]")

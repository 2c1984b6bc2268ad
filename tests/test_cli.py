"""The command line, except the demo, which has its own tests."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import version

import pytest

from nbauth.cli import main
from nbauth.core.errors import NbAuthError
from tests.kernel.accounts.test_msal_cache import ANOTHER, AUTHORITY, OURS, written


@pytest.fixture(autouse=True)
def no_settings(monkeypatch, tmp_path):
    """No setting of the developer or of another test in this process."""
    import os

    from nbauth import process_session

    for name in list(os.environ):
        if name.startswith("NBAUTH_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setattr(process_session, "_session", None)
    monkeypatch.setattr(NbAuthError, "wants_traceback", NbAuthError.wants_traceback)


def test_without_a_command_the_commands_are_listed(capsys):
    assert main([]) == 2
    out, said = capsys.readouterr()
    assert out == ""
    assert all(
        f"\n    {command}" in said
        for command in ("demo", "doctor", "import-cache", "register", "scan")
    )


@pytest.mark.parametrize("arguments", [[], ["--client-id", "c"]], ids=["no client", "offline"])
def test_doctor_refers_only_to_lines_that_it_prints(capsys, arguments):
    main(["doctor", "--offline", *arguments])
    lines = capsys.readouterr().out.splitlines()
    for name in [found[1] for line in lines if (found := re.search(r"see ([\w ]+), below", line))]:
        assert any(line.startswith(f"{name}  ") for line in lines), name


def test_doctor_returns_0_if_a_sign_in_is_possible(capsys):
    assert main(["doctor", "--offline", "--client-id", "c", "--tenant", "contoso.com"]) == 0
    said = capsys.readouterr().out
    assert "https://login.microsoftonline.com/contoso.com" in said
    assert "(this call)" in said


def test_doctor_uses_the_named_profile(capsys, tmp_path):
    (tmp_path / "nbauth").mkdir()
    (tmp_path / "nbauth" / "config.toml").write_text('[profiles.work]\nclient_id = "of-work"\n')
    assert main(["doctor", "--offline", "--profile", "work"]) == 0
    assert "of-work" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ([], "No client_id is set"),
        (["--client-id", "c", "--flow", "nonsense"], "The setting flow"),
        (["--profile", "nowhere"], "There is no profile"),
    ],
)
def test_doctor_returns_1_if_a_setting_prevents_a_sign_in(capsys, arguments, what):
    assert main(["doctor", *arguments]) == 1
    said = capsys.readouterr().out
    assert what in said
    assert "→ " in said
    assert "cell" not in said, "a terminal has none"


@pytest.mark.parametrize("arguments", [["nonsense"], ["doctor", "--nonsense"]])
def test_wrong_usage_returns_2(capsys, arguments):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2


def test_doctor_imports_no_protocol_library_and_no_widgets():
    code = (
        "import sys; from nbauth.cli import main\n"
        "main(['doctor', '--offline', '--client-id', 'c'])\n"
        "heavy = {'msal', 'authlib', 'requests', 'keyring', 'anywidget', 'ipywidgets', 'IPython'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.rstrip().endswith("[]")


@pytest.fixture
def kept_in_files(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("NBAUTH_PASSPHRASE", "correct horse battery staple")
    return tmp_path / "data" / "nbauth"


IMPORT = ["--client-id", OURS, "--authority", AUTHORITY, "--persist", "file"]


def test_import_cache_lists_and_stores_the_imported_accounts(
    capsys, kept_in_files, tmp_path, monkeypatch
):
    from nbauth import api, process_session

    file = written(tmp_path / "cache.json", (OURS, "ada"), (ANOTHER, "bob"))
    assert main(["import-cache", str(file), *IMPORT]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "Imported the account ada@contoso.com."
    assert f"Skipped the accounts of {ANOTHER}" in said[1]
    kept = [path for path in kept_in_files.rglob("*") if path.is_file()]
    assert kept
    assert not any(b"refresh-ada" in path.read_bytes() for path in kept)
    monkeypatch.setattr(process_session, "_session", None)  # as a new process
    monkeypatch.setenv("NBAUTH_PERSIST", "file")
    assert [account.name for account in api.accounts()] == ["Ada"]


@pytest.mark.parametrize(
    ("content", "options", "what"),
    [
        ("{}", IMPORT, "no account of this application"),
        ("nonsense", IMPORT, "is not an unencrypted MSAL cache"),
        ("{}", ["--persist", "file"], "No client_id is set"),
        ("{}", [*IMPORT[:4], "--persist", "keyrng"], "did you mean keyring"),
    ],
)
def test_import_cache_returns_1_with_an_error_message(
    capsys, kept_in_files, tmp_path, content, options, what
):
    file = tmp_path / "cache.json"
    file.write_text(content)
    assert main(["import-cache", str(file), *options]) == 1
    out, err = capsys.readouterr()
    assert what in out + err
    assert "Traceback" not in err


def test_version_is_the_packages(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"nbauth {version('nbauth')}\n"


@pytest.mark.parametrize(("path", "code"), [("", 0), ("/nowhere/client.pem", 1)])
def test_doctor_checks_the_service_identity_of_the_environment(capsys, monkeypatch, path, code):
    named = {
        "AZURE_TENANT_ID": "contoso.com",
        "AZURE_CLIENT_ID": "job",
        "AZURE_CLIENT_CERTIFICATE_PATH" if path else "AZURE_CLIENT_SECRET": path or "s3cret-of-job",
    }
    for name, value in named.items():
        monkeypatch.setenv(name, value)
    assert main(["doctor", "--offline", "--client-id", "person"]) == code
    said = capsys.readouterr().out
    assert "app: used where nobody can answer" in said
    assert "application job (AZURE_CLIENT_ID) in tenant contoso.com" in said
    assert ("cannot be used: No such file" in said) == bool(path)
    assert "s3cret-of-job" not in said

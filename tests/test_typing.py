"""What an editor says of the public functions: a misspelt option is an error."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

USED = """
import nbauth

account: nbauth.Account = nbauth.login("User.Read", flow="device", timeout=60, prompt="login")
pending = nbauth.login("User.Read", background=True, account="ada@example.com", max_age=60)
token: nbauth.Token = nbauth.token("User.Read", account=account, profile="work")
result: nbauth.AuthenticationResult = nbauth.acquire("User.Read", force_refresh=True, tenant="t")
auth = nbauth.auth("User.Read", account=account, hosts=["graph.microsoft.com"], verify=True)
session = nbauth.session(account=account.key, proxies={"https": "http://p:1"})
panel = nbauth.panel("User.Read", flow="browser", consent_also=["Mail.Read"])
nbauth.configure(client_id="c", hosts={"api.example": ["read"]}, redact=True)
nbauth.logout(account, revoke=True)
nbauth.logout("ada@example.com", profile="work")


async def main() -> None:
    await nbauth.login_async("User.Read", login_hint="ada@example.com", claims="{}")
"""
MISSPELT = [
    'nbauth.login("User.Read", flwo="device")',
    'nbauth.login("User.Read", timeout="long")',
    'nbauth.login("User.Read", backgroud=True)',
    'nbauth.token("User.Read", interactiv=False)',
    'nbauth.token("User.Read", prompt="login")',
    'nbauth.acquire("User.Read", force=True)',
    'nbauth.auth("User.Read", acount="ada")',
    'nbauth.session("User.Read", host=["x"])',
    'nbauth.panel("User.Read", flow=3)',
    'nbauth.configure(clientid="c")',
    'nbauth.configure(scopes=3)',
    'nbauth.logout(everybody=True)',
    'nbauth.Nonsense',
]  # fmt: skip


NOT_READ = [
    "numpy", "prompt_toolkit", "matplotlib", "trio", "rich", "markdown_it", "pydantic", "tornado",
    "wcwidth", "PIL", "zmq", "_pytest", "pytest", "pluggy", "pandas",
]  # fmt: skip
"""Libraries behind those that nbauth imports. No public function has a type of theirs, and mypy
takes half of its time for them. If one is needed after all, disallow_any_unimported reports it."""
CONFIGURATION = f"""
[mypy]
strict = True
disallow_any_unimported = True

[mypy-{",".join(f"{name}.*" for name in NOT_READ)}]
follow_imports = skip
"""


def checked(source: str, folder: Path) -> tuple[int, str]:
    """What mypy says of a program that uses the installed package."""
    (folder / "used.py").write_text(source)
    (folder / "mypy.ini").write_text(CONFIGURATION)
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--cache-dir", str(folder / "cache"), "used.py"],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        cwd=folder,
        env={
            "PATH": "/usr/bin:/bin",
            "MYPYPATH": "",
            "PYTHONPATH": "",
            "HOME": str(folder),
        },
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("typing")


def test_what_the_documentation_shows_has_the_types_that_it_says(folder: Path) -> None:
    code, said = checked(USED, folder)
    assert code == 0, said


def test_each_planted_misspelling_is_an_error(folder: Path) -> None:
    source = "import nbauth\n\n" + "\n".join(MISSPELT) + "\n"
    code, said = checked(source, folder)
    assert code == 1, said
    errors = {int(line.split(":")[1]) for line in said.splitlines() if ": error:" in line}
    missed = [line for number, line in enumerate(MISSPELT, 3) if number not in errors]
    assert missed == []

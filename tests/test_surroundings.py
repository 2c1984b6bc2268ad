"""The command and the magics in surroundings that are not a developer's: words, no traceback.

Each is a process of its own, with nothing of this one's environment.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.harness import missing
from tests.harness.kernels import ROOT
from tests.kernel.accounts.test_msal_cache import AUTHORITY, OURS, written

NOBODY = 54321
"""A user whom no password database knows."""
CLI = ("-m", "nbauth")
DOCTOR = ("doctor", "--offline", "--client-id", "c", "--tenant", "contoso.com")
CELLS = """\
%load_ext nbauth
%accounts
%login --doctor --offline --client-id c
%login --client-id c
%token
"""
SIGN_IN = """\
from nbauth.core.steps import OpenBrowser
from nbauth.jupyter.terminal import TerminalScreen
screen = TerminalScreen()
screen.say("→ that’s Zoë…")
from nbauth.kernel.sign_in.no_screen import NoScreen
NoScreen().say("→ that’s Zoë…")
import nbauth
print(nbauth.accounts())
try:
    nbauth.login()
except nbauth.NbAuthError as error:
    print(*error._render_traceback_())
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


def environment_of(home: Path | str | None, more: dict[str, str]) -> dict[str, str]:
    """An environment with nothing of this process; ``home=None`` sets none."""
    environment = {"PATH": "/usr/bin:/bin", "TERM": "dumb", **more}
    return environment if home is None else {**environment, "HOME": str(home)}


def run(
    *arguments: object,
    home: Path | str | None,
    env: dict[str, str] | None = None,
    **options: object,
) -> subprocess.CompletedProcess[bytes]:
    """Python with these arguments; ``home=None`` sets none."""
    environment = environment_of(home, env or {})
    settled: dict[str, object] = {"cwd": ROOT, "timeout": 60, "stdin": subprocess.DEVNULL}
    if "stdout" not in options and "stderr" not in options:
        settled["capture_output"] = True
    return subprocess.run(  # type: ignore[call-overload, no-any-return]
        [sys.executable, *map(str, arguments)], env=environment, **(settled | options)
    )


def text(done: subprocess.CompletedProcess[bytes], encoding: str = "utf-8") -> str:
    """All that it said, and no traceback."""
    said = (done.stdout or b"").decode(encoding) + (done.stderr or b"").decode(encoding)
    assert "Traceback" not in said, said
    assert "Exception ignored" not in said, said
    assert "Error in" not in said, said
    return said


def cells(folder: Path) -> tuple[str, ...]:
    """The arguments that run the magics in IPython."""
    path = folder / "cells.ipy"
    path.write_text(CELLS)
    return ("-m", "IPython", "--colors=nocolor", "--no-banner", str(path))


# ── encodings ───────────────────────────────────────────────────────────────────────────────

ENCODINGS = {
    "ascii": {"PYTHONIOENCODING": "ascii"},
    "latin-1": {"PYTHONIOENCODING": "latin-1"},
    "cp1252": {"PYTHONIOENCODING": "cp1252"},
    "cp437": {"PYTHONIOENCODING": "cp437"},
    "utf-8": {"PYTHONIOENCODING": "utf-8"},
    "LANG=C": {"LANG": "C", "LC_ALL": "C"},
    "LANG=C, not coerced": {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
}


@pytest.mark.parametrize("name", ENCODINGS)
@pytest.mark.parametrize("what", ["command", "magics", "screens"])
def test_any_encoding_takes_what_is_said(name: str, what: str, home: Path) -> None:
    arguments = {
        "command": (*CLI, "doctor", "--offline"),
        "magics": cells(home),
        "screens": (home / "screens.py",),
    }[what]
    (home / "screens.py").write_text(SIGN_IN, "utf-8")
    done = run(*arguments, home=home, env=ENCODINGS[name])
    said = text(done, name if name in {"latin-1", "cp1252", "cp437"} else "utf-8")
    assert "No client_id is set" in said or what == "magics"
    assert ("→ " in said) is ("->" not in said)
    assert ("→ " in said) is (name in {"utf-8", "LANG=C"})
    if what == "screens":
        assert ("Zoë" in said) is (name not in {"ascii", "LANG=C, not coerced"})


# ── options of Python ───────────────────────────────────────────────────────────────────────

OPTIONS = [
    "-OO -I",
    "-B -s -E",
    "-X dev -X warn_default_encoding",
    "-W error",
    "-X dev -X warn_default_encoding -bb -W error",
]
"""Options of one line are independent: -O is part of -OO, -I is about paths and the environment,
and each of the others adds warnings or errors of its own."""
OPTIONS_OF_IPYTHON = [options.replace(" -X warn_default_encoding", "") for options in OPTIONS]
"""IPython itself opens files without naming their encoding."""


@pytest.mark.parametrize("options", OPTIONS)
def test_the_command_takes_any_option_of_python(options: str, home: Path) -> None:
    done = run(*shlex.split(options), *CLI, *DOCTOR, home=home)
    assert "https://login.microsoftonline.com/contoso.com" in text(done)
    assert done.stderr == b""
    assert done.returncode == 0


@pytest.mark.parametrize("options", OPTIONS)
def test_a_sign_in_is_kept_under_any_option_of_python(options: str, home: Path) -> None:
    done = run(*shlex.split(options), *CLI, *importing(home), home=home, env=PASSPHRASE)
    assert "Imported the account ada@contoso.com." in text(done)
    assert (home / ".local/share/nbauth/file").is_dir()


@pytest.mark.parametrize("options", OPTIONS_OF_IPYTHON)
def test_the_magics_take_any_option_of_python(options: str, home: Path) -> None:
    done = run(*shlex.split(options), *cells(home), home=home)
    said = text(done)
    assert "Nobody is signed in." in said or "[]" in said or "sign in by" in said
    assert "InteractionRequired: Signing in needs a person" in said


# ── streams ─────────────────────────────────────────────────────────────────────────────────

COMMANDS = {
    "doctor": (0, DOCTOR),
    "doctor finds trouble": (1, ("doctor", "--offline")),
    "help": (0, ("--help",)),
    "misuse": (2, ("nonsense",)),
    "no such file": (1, ("import-cache", "/none", "--client-id", "c", "--persist", "file")),
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("streams", [">/dev/full", "2>/dev/full", ">/dev/full 2>/dev/full"])
def test_a_full_disk_ends_it_quietly(command: str, streams: str, home: Path) -> None:
    if not Path("/dev/full").exists():
        missing("/dev/full")
    code, arguments = COMMANDS[command]
    line = f"{shlex.join([sys.executable, *CLI, *arguments])} {streams}"
    done = subprocess.run(
        ["sh", "-c", line], cwd=ROOT, env={"HOME": str(home)}, capture_output=True, timeout=60
    )
    text(done)
    assert done.returncode in {code, 1}
    if ">/dev/full" in streams.split() and command in {"doctor", "help"}:
        assert done.returncode == 1, "what was asked for was not given"


def test_a_bad_value_of_ipythons_configuration_is_two_lines_when_the_extension_loads(
    home: Path,
) -> None:
    code = (
        "from IPython.core.interactiveshell import InteractiveShell as Shell;"
        " shell = Shell.instance(); shell.config.NbAuth.timeout = 'x';"
        " shell.run_cell('%load_ext nbauth'); shell.config.NbAuth.timeout = 90;"
        " shell.run_cell('%load_ext nbauth\\n%login --doctor --offline')"
    )
    said = text(run("-c", code, home=home))
    assert "ConfigurationError: The setting timeout (%config NbAuth) cannot be 'x'" in said
    assert "90.0" in said
    assert "TraitError" not in said


@pytest.mark.parametrize("stream", ["open('/dev/full', 'w')", "io.StringIO()"])
def test_a_magic_ends_quietly_where_the_persons_own_stream_is_gone(stream: str, home: Path) -> None:
    code = (
        "import io, sys; from IPython.core.interactiveshell import InteractiveShell as Shell;"
        f" shell = Shell.instance(); shell.run_line_magic('load_ext', 'nbauth'); out = {stream};"
        " isinstance(out, io.StringIO) and out.close(); sys.stdout, kept = out, sys.stdout;"
        " shell.run_line_magic('login', '--doctor --offline'); sys.stdout = kept; print('went on')"
    )
    done = run("-c", code, home=home)
    assert "went on" in text(done)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("streams", ["<&-", ">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_streams_may_be_closed(command: str, streams: str, home: Path) -> None:
    code, arguments = COMMANDS[command]
    line = f"{shlex.join([sys.executable, *CLI, *arguments])} {streams}"
    done = subprocess.run(
        ["sh", "-c", line], cwd=ROOT, env={"HOME": str(home)}, capture_output=True, timeout=60
    )
    text(done)
    assert done.returncode == code


def test_who_reads_no_further_ends_it_quietly(home: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = run(*CLI, *DOCTOR, home=home, stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert done.stderr == b""
    assert done.returncode == 1


# ── homes ───────────────────────────────────────────────────────────────────────────────────

PASSPHRASE = {"NBAUTH_PASSPHRASE": "correct horse battery staple"}


def importing(folder: Path) -> tuple[str, ...]:
    """A command that keeps a sign-in."""
    file = written(folder / "cache.json", (OURS, "ada"))
    file.chmod(0o644)
    client = ("--client-id", OURS, "--authority", AUTHORITY)
    return ("import-cache", str(file), *client, "--persist", "file")


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """One that other users can read; pytest's own are closed."""
    with tempfile.TemporaryDirectory(prefix="nbauth-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


AsNobody = Callable[..., subprocess.CompletedProcess[bytes]]


@pytest.fixture(scope="module")
def as_nobody(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AsNobody]:
    """Run a command as a user whom nothing knows. All modules are imported once for all of them."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        missing("root, to run as another user")
    first = [json.dumps(one) for one in (importing(tmp_path_factory.mktemp("first")), DOCTOR)]
    with subprocess.Popen(
        [sys.executable, "-m", "tests.as_user", str(NOBODY), *first],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "TERM": "dumb", **PASSPHRASE},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin
        assert process.stdout
        to, answers = process.stdin, process.stdout

        def command(*arguments: str, home: Path | str | None) -> subprocess.CompletedProcess[bytes]:
            environment = environment_of(home, PASSPHRASE)
            print(json.dumps([arguments, environment]), file=to, flush=True)
            code, out, errors = json.loads(answers.readline())
            return subprocess.CompletedProcess(arguments, code, out.encode(), errors.encode())

        yield command


def not_a_folder(folder: Path) -> Path:
    (folder / "a file").touch()
    return folder / "a file"


def closed(folder: Path) -> Path:
    (folder / "closed").mkdir(mode=0o700)
    return folder / "closed"


def read_only(folder: Path) -> Path:
    (folder / "read-only").mkdir(mode=0o755)
    return folder / "read-only"


HOMES = {
    "not set": (lambda folder: None, "HOME is not set"),
    "/": (lambda folder: "/", "Could not keep sign-ins in /.local/share/nbauth"),
    "not there": (lambda folder: folder / "gone", "permission denied"),
    "no folder": (not_a_folder, "not a directory"),
    "closed": (closed, "permission denied"),
    "read-only": (read_only, "permission denied"),
    "relative": (lambda folder: "here", "HOME is not set"),
    "empty": (lambda folder: "", "HOME is not set"),
}


@pytest.mark.parametrize("name", HOMES)
def test_a_numeric_user_is_told_in_words_that_nothing_can_be_kept(
    name: str, open_folder: Path, as_nobody: AsNobody
) -> None:
    make, why = HOMES[name]
    home = make(open_folder)
    command = importing(open_folder)
    before = {path for path in ROOT.iterdir() if not path.name.startswith(".")}
    done = as_nobody(*command, home=home)
    said = text(done)
    assert why in said
    assert done.returncode == 1
    assert ("cannot be read" in said) is (name == "closed")
    after = {path for path in ROOT.iterdir() if not path.name.startswith(".")}
    assert after - before == set(), "no folder named ~"
    doctor = as_nobody(*DOCTOR, home=home)
    assert "https://login.microsoftonline.com/contoso.com" in text(doctor)
    assert doctor.returncode == 0


def test_a_numeric_user_with_a_home_keeps_sign_ins_there(
    open_folder: Path, as_nobody: AsNobody
) -> None:
    command = importing(open_folder)
    home = open_folder / "own"
    home.mkdir()
    shutil.chown(home, NOBODY, NOBODY)
    assert "Imported the account ada@contoso.com." in text(as_nobody(*command, home=home))
    assert (home / ".local/share/nbauth").stat().st_uid == NOBODY


@pytest.mark.parametrize("made", ["nothing", "share", "own"])
def test_root_keeps_nothing_in_another_users_home(made: str, open_folder: Path) -> None:
    """``sudo -E``: the owner could neither read nor replace it."""
    if os.geteuid() != 0:
        missing("root")
    command = importing(open_folder)
    home = open_folder / "ada"
    inner = {"nothing": home, "share": home / ".local/share", "own": home / ".local/share/nbauth"}
    inner[made].mkdir(parents=True, mode=0o700)
    for path in (home, *home.rglob("*")):
        shutil.chown(path, NOBODY, NOBODY)
    there = sorted(home.rglob("*"))
    done = run(*CLI, *command, home=home, env=PASSPHRASE)
    said = text(done)
    assert f"belongs to another user (uid {NOBODY})" in said
    assert "without sudo" in said
    assert "Remove it" not in said
    assert done.returncode == 1
    assert sorted(home.rglob("*")) == there
    own = {**PASSPHRASE, "XDG_DATA_HOME": str(open_folder / "roots")}
    assert "Imported the account" in text(run(*CLI, *command, home=home, env=own))


def test_a_sign_in_without_a_home_goes_on_in_memory(open_folder: Path) -> None:
    """What is kept nowhere is not an error of who looks."""
    code = (
        "import os; os.environ.pop('HOME', None)\n"
        "import pwd\n"
        "def unknown(number): raise KeyError(number)\n"
        "pwd.getpwuid = unknown\n"
        "import nbauth\n"
        "for kind in ('keyring', 'file', 'memory'):\n"
        "    nbauth.configure(persist=kind)\n"
        "    print(nbauth.accounts())\n"
        "    nbauth.logout(all=True)\n"
        "    nbauth.logout(forget=True)\n"
    )
    done = run("-c", code, home=None)
    assert text(done) == "[]\n" * 3


# ── folders ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("what", ["command", "magics"])
def test_the_present_folder_may_be_gone(what: str, home: Path, tmp_path: Path) -> None:
    arguments = (*CLI, *DOCTOR) if what == "command" else cells(home)
    gone = tmp_path / "gone"
    gone.mkdir()
    line = f"cd {shlex.quote(str(gone))} && rmdir {shlex.quote(str(gone))} && exec "
    line += shlex.join([sys.executable, *arguments])
    done = subprocess.run(
        ["sh", "-c", line],
        env={"HOME": str(home), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        timeout=60,
    )
    if what == "command":
        assert "https://login.microsoftonline.com/contoso.com" in text(done)
        assert done.returncode == 0
    else:
        assert b"nbauth" not in done.stderr, "IPython itself needs a folder"


def test_no_folder_for_temporary_files_is_needed(home: Path) -> None:
    env = {**PASSPHRASE, "TMPDIR": "/proc"}
    assert "Imported the account" in text(run(*CLI, *importing(home), home=home, env=env))


def test_a_tilde_stands_for_the_home(home: Path) -> None:
    command = [part.replace(str(home), "~") for part in importing(home)]
    assert "Imported the account" in text(run(*CLI, *command, home=home, env=PASSPHRASE))
    command[1] = "~nobody-of-that-name/cache.json"
    done = run(*CLI, *command, home=home, env=PASSPHRASE)
    assert "whose home folder is unknown" in text(done)
    assert done.returncode == 2


# ── config.toml ─────────────────────────────────────────────────────────────────────────────

UNQUOTED = '[profiles.work]\nclient_id = "c"\n[profiles.work.hosts]\napi.contoso.com = ["s"]\n'


def test_a_mistake_is_two_lines_in_the_command_and_in_a_cell(home: Path) -> None:
    path = home / ".config/nbauth/config.toml"
    path.parent.mkdir(parents=True)
    path.write_text(f'profile = "work"\n{UNQUOTED}')
    for arguments in [(*CLI, "doctor", "--offline"), cells(home)]:
        said = text(run(*arguments, home=home))
        assert f"{path}, line 5: api.contoso.com is not in quotes" in said
        assert 'Write "api.contoso.com" = ["scope"]' in said


def test_a_mistake_in_another_profile_is_said_once_and_the_profile_in_use_works(home: Path) -> None:
    path = home / ".config/nbauth/config.toml"
    path.parent.mkdir(parents=True)
    path.write_text(f'profile = "idp"\n[profiles.idp]\nclient_id = "of-idp"\n{UNQUOTED}')
    done = run(*CLI, "doctor", "--offline", home=home)
    said = text(done)
    assert done.returncode == 0
    assert "of-idp" in said
    assert said.count("The profile 'work' cannot be used") == 1


@pytest.mark.parametrize("which", [0, 1, 2])
def test_every_folder_is_looked_into_and_the_doctor_names_the_file(
    which: int, home: Path, tmp_path: Path
) -> None:
    folders = [home / ".config", tmp_path / "one", tmp_path / "two"]
    for folder in folders[which:]:
        (folder / "nbauth").mkdir(parents=True)
        named = f'profile = "p"\n[profiles.p]\nclient_id = "of-{folder.name}"\n'
        (folder / "nbauth" / "config.toml").write_text(named)
    env = {"XDG_CONFIG_DIRS": f"relative:{folders[1]}:{folders[2]}"}
    said = text(run(*CLI, "doctor", "--offline", home=home, env=env))
    assert f"of-{folders[which].name}" in said
    (line,) = [line for line in said.splitlines() if line.startswith("config.toml")]
    assert line.split()[1] == str(folders[which] / "nbauth" / "config.toml")

"""The Python interpreters of the test matrix that this machine has.

Run by ``make``, with nothing installed but Python: prints one line for each version.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

VERSIONS = ("3.11", "3.12", "3.13")


def runs(interpreter: Path, version: str) -> bool:
    """Whether *interpreter* starts, is of *version*, and can make a virtual environment.

    A pyenv shim of a version that is not activated is a file that does not start.
    """
    code = "import sys, ssl, venv; print('%d.%d' % sys.version_info[:2])"
    try:
        done = subprocess.run(
            [interpreter, "-I", "-c", code], capture_output=True, text=True, timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0 and done.stdout.strip() == version


def candidates(version: str) -> list[Path]:
    """Where an interpreter of *version* may be, best first."""
    on_path = [
        Path(folder) / f"python{version}" for folder in os.get_exec_path() if Path(folder).is_dir()
    ]
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    uv = shutil.which("uv")
    found = [*on_path, *sorted(pyenv.glob(f"{version}.*/bin/python{version}"), reverse=True)]
    if uv:
        done = subprocess.run(
            [uv, "python", "find", "--no-python-downloads", version],
            capture_output=True,
            text=True,
            check=False,
        )
        found += [Path(line) for line in done.stdout.split()]
    return [path for path in found if path.exists()]


def find(version: str) -> Path | None:
    """An interpreter of *version* that runs, or None."""
    return next((path for path in candidates(version) if runs(path, version)), None)


def main() -> None:
    """Print ``version path`` for each version found, ``version -`` for the others."""
    for version in VERSIONS:
        print(version, find(version) or "-")


if __name__ == "__main__":
    main()

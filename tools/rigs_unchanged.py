"""Check whether anything that ``make test-rigs`` tests has changed; exit 0 only if certainly not.

Compares with ``NBAUTH_BASE`` (a commit); without it with the commit where this branch has left that
of ``origin``, and on that branch itself with the commit before. ``NBAUTH_RIGS=always`` says no.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TESTED = (
    "tests/rigs/",
    "tests/harness/",
    "tests/interop/provider/",
    "tests/conftest.py",
    "tests/kernels/test_reply_fix.py",  # the rigs use its bursts of requests
    "pyproject.toml",
    "tools/setup.sh",
)


class Unknown(Exception):
    """Git can't answer."""


def git(*arguments: str) -> str:
    """The output of git."""
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True
        )
    except FileNotFoundError:
        raise Unknown("there is no git") from None
    except subprocess.CalledProcessError as error:
        said = error.stderr.strip().splitlines() or ["it failed"]
        raise Unknown(f"git {arguments[0]}: {said[0]}") from None
    return done.stdout


def base() -> str:
    """The commit to compare with."""
    head = git("rev-parse", "HEAD").strip()
    named = os.environ.get("NBAUTH_BASE")
    if named:
        return git("merge-base", named, head).strip()
    for branch in ("origin/HEAD", "origin/main"):
        try:
            left = git("merge-base", branch, head).strip()
        except Unknown:
            continue
        if left != head:
            return left
    return git("rev-parse", "--verify", "HEAD^").strip()


def changed() -> list[str]:
    """Files that differ from the base, committed or not."""
    since = base()
    files = git("diff", "--name-only", "--no-renames", since, "--").splitlines()
    return [*files, *git("ls-files", "--others", "--exclude-standard").splitlines()]


def main() -> int:
    """Print what was found."""
    if os.environ.get("NBAUTH_RIGS") == "always":
        print("Rigs: they are tested, as NBAUTH_RIGS=always says")
        return 1
    try:
        if gone := [path for path in TESTED if not (ROOT / path).exists()]:
            raise Unknown(f"{', '.join(gone)} is not there any more: mend the list in {__file__}")
        touched = [file for file in changed() if file.startswith(TESTED)]
    except Unknown as why:
        print(f"Rigs: they are tested, since what has changed is not known ({why})")
        return 1
    if touched:
        print(f"Rigs: they are tested, since this has changed: {', '.join(touched)}")
        return 1
    print("Rigs: not tested, nothing of theirs has changed")
    return 0


if __name__ == "__main__":
    sys.exit(main())

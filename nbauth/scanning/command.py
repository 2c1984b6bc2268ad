"""Runs ``nbauth scan``."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from nbauth.core.errors import ConfigurationError
from nbauth.core.output import write
from nbauth.scanning.files import Loaded, files_in, load, of_bytes, replace
from nbauth.scanning.scan import Finding, clean, scan

STANDARD_INPUT = "-"


def run(paths: Sequence[str], *, cleans: bool, as_json: bool) -> int:
    """Scan files and folders. Returns 0 if nothing was found, 1 if something was, 2 after errors.

    A file with an error does not end the scan of the others.
    """
    found = failed = 0
    rows: list[dict[str, object]] = []
    for path in paths:
        try:
            for file in [Path(path)] if path == STANDARD_INPUT else files_in(Path(path)):
                try:
                    findings = _scan(file, path == STANDARD_INPUT, cleans=cleans)
                except ConfigurationError as error:
                    failed += _report(error)
                    continue
                found += len(findings)
                rows += [_row(file, each, cleans) for each in findings]
                if findings and not as_json:
                    write(*(f"{file}: {each.line()}" for each in findings))
        except ConfigurationError as error:
            failed += _report(error)
    if as_json:
        write(json.dumps(rows, indent=2))
    elif found:
        _summary(found, cleans)
    return 2 if failed else int(found > 0)


def _scan(path: Path, is_input: bool, *, cleans: bool) -> list[Finding]:
    loaded: Loaded | None = of_bytes(path, sys.stdin.buffer.read()) if is_input else load(path)
    if loaded is None:
        return []
    if not cleans:
        return scan(loaded.text)
    text, findings = clean(loaded.text)
    if findings:
        replace(loaded, text)
    return findings


def _row(path: Path, finding: Finding, removed: bool) -> dict[str, object]:
    return {
        "file": str(path),
        "place": finding.place,
        "kind": finding.kind,
        "begins": finding.shown,
        "length": finding.length,
        "removed": removed,
    }


def _report(error: ConfigurationError) -> int:
    write(*error.lines(), stream=sys.stderr)
    return 1


def _summary(found: int, removed: bool) -> None:
    secrets = "1 secret" if found == 1 else f"{found} secrets"
    if removed:
        write(f"{secrets} removed. Revoke each at its provider: it may have been copied before.")
    else:
        write(f"{secrets} found. Remove with nbauth scan --clean, then revoke at the provider.")

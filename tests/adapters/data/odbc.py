"""Microsoft's ODBC driver for SQL Server, which the package mssql-python-odbc contains."""

from __future__ import annotations

import contextlib
import ctypes
from functools import cache
from pathlib import Path

from tests.harness import missing

UNPACKED = Path(__file__).parents[3] / ".providers" / "odbc"
"""Where ``tools/setup.sh`` unpacks libraries that the machine does not have installed."""
LIBRARIES = (
    "libkeyutils.so.1",
    "libcom_err.so.2",
    "libkrb5support.so.0",
    "libk5crypto.so.3",
    "libkrb5.so.3",
    "libgssapi_krb5.so.2",
    "libltdl.so.7",
    "libodbc.so.2",
)
"""What the driver and pyodbc need in addition, each after those that it needs itself."""


def _load(name: str) -> None:
    """Load a library of the machine, or else an unpacked one. Others then find it by its name."""
    for path in (name, *map(str, UNPACKED.glob(f"usr/lib/*/{name}"))):
        with contextlib.suppress(OSError):
            ctypes.CDLL(path, ctypes.RTLD_GLOBAL)
            return
    missing(f"{name} (run `make setup`)")


@cache
def odbc_driver() -> str:
    """The path of the driver, after the libraries that it needs have been loaded."""
    for name in LIBRARIES:
        _load(name)
    try:
        import mssql_python_odbc
    except ImportError:
        missing("mssql-python-odbc")
    folder = Path(mssql_python_odbc.__file__).parent / "libs" / "linux" / "debian_ubuntu"
    found = [*folder.glob("*/lib/libmsodbcsql-18.*.so.*")]
    if not found:
        missing("Microsoft's ODBC driver for this machine")
    return str(found[0])

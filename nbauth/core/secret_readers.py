"""Readers of the settings that say where a secret is. They never show the value they refuse."""

from __future__ import annotations

import os
from typing import Any

from nbauth.core.value_readers import CONTROL, expanded, text

SECRET_SOURCES = ("environment", "keyring")


def secret_source(value: Any) -> str:
    """Where the client secret is stored. The value is never shown, since it may be the secret."""
    word = str(value).strip().lower()
    if word not in SECRET_SOURCES:
        raise ValueError(
            f"must be one of {', '.join(SECRET_SOURCES)}: it says where the client secret is;"
            " the secret itself never goes into a setting"
        )
    return word


def secret_file(value: Any) -> str:
    """The path of a file with a secret. A value that is the secret itself is not shown."""
    if not isinstance(value, str | os.PathLike):
        raise ValueError("must be the path of a file")
    path = os.fspath(value)
    if isinstance(path, str) and ("-----BEGIN" in path or path.strip().startswith("eyJ")):
        raise ValueError("must be the path of a file; the secret itself never goes into a setting")
    return expanded(text(path, CONTROL))

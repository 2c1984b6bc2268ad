"""The names that ``%token --into``, ``--env`` and ``%graph -o`` accept."""

from __future__ import annotations

import keyword
import re
import unicodedata

from nbauth.core.errors import ConfigurationError

_USED_BY_IPYTHON = re.compile(
    r"_+|_+i+|_i?\d+|_[dois]h|__\w+__|_exit_code|In|Out|get_ipython|exit|quit|open|display"
)
"""Names that IPython sets or reads in a notebook."""
_READ_BY_PROGRAMS = re.compile(
    r"PATH|HOME|USER|SHELL|PWD|TMPDIR|TERM|TZ|LANG|LC_\w+|LD_\w+|DYLD_\w+|I?PYTHON\w*|NBAUTH_\w+"
    r"|SSL_CERT_(?:FILE|DIR)|(?:REQUESTS|CURL)_CA_BUNDLE|(?:https?|ftp|socks|all|no)_proxy",
    re.IGNORECASE,
)
"""Variables from which programs, and nbauth, read settings."""


def check_environment_variable(name: str) -> None:
    """Raise ``ConfigurationError`` unless a token may be in a variable of that name."""
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise ConfigurationError(
            f"{name!r} is not the name of an environment variable.",
            code="bad_name",
            hint="Use letters, digits and underscores, and no digit first.",
        )
    if _READ_BY_PROGRAMS.fullmatch(name):
        raise ConfigurationError(
            f"Programs read a setting from {name}. A token in that variable would stop them from"
            " working, or be sent to somewhere else.",
            code="bad_name",
            hint="Choose another name, such as ACCESS_TOKEN.",
        )


def python_variable(name: str) -> str:
    """The name as Python normalizes it. Raises ``ConfigurationError`` for an invalid name."""
    name = unicodedata.normalize("NFKC", name)  # as Python normalizes names (PEP 3131)
    if not name.isidentifier() or keyword.iskeyword(name):
        raise ConfigurationError(
            f"{name!r} is not a variable name.",
            code="bad_name",
            hint="Choose a valid Python variable name, such as result.",
        )
    if _USED_BY_IPYTHON.fullmatch(name):
        raise ConfigurationError(
            f"IPython itself uses the name {name}. A value in that variable would be lost or would"
            " stop IPython from working.",
            code="bad_name",
            hint="Choose another name.",
        )
    return name

"""The pages that the settings ``success_page`` and ``error_page`` describe.

Such a setting is a text, a fragment of HTML (it begins with ``<``), or an address to go to.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from string import Template
from urllib.parse import quote, urlsplit, urlunsplit

from nbauth.core.addresses import is_secure

_AS_THEY_ARE = "%/?#[]@!$&'()*+,;=:~"
"""Characters of an address that are not escaped (RFC 3986 §2.2), besides letters and digits."""


def page(value: object) -> str:
    """Read the setting. Raises ``ValueError`` for an address that no browser should go to."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError("must be a string")
    written = value.strip()
    if _is_one_address(written) and not address_in(written):
        raise ValueError(
            "is an address, and must be an https address without user name; http is allowed for"
            " this machine only"
        )
    return written


def address_in(own: str) -> str:
    """The address to go to, in ASCII as in a header; ``""`` for a text or a fragment."""
    fits = _is_one_address(own) and own.isprintable() and is_secure(own)
    return _in_ascii(own) if fits and "@" not in urlsplit(own).netloc else ""


def _in_ascii(address: str) -> str:
    """The address with an ASCII host (IDNA) and escapes (RFC 3987 §3.1); ``""`` if it has none."""
    parts = urlsplit(address)
    try:
        host, colon, port = parts.netloc, "", ""
        if not host.isascii():
            host, colon, port = host.partition(":")
            host = host.encode("idna").decode("ascii")
        rest = quote(urlunsplit(("", "", *parts[2:])), safe=_AS_THEY_ARE)
    except UnicodeError:
        return ""
    return f"{address.partition('//')[0]}//{host}{colon}{port}{rest}"


def is_fragment(own: str) -> bool:
    """Whether the setting is a fragment of HTML."""
    return own.startswith("<")


def filled(own: str, values: Mapping[str, str]) -> str:
    """The setting with its placeholders (``$error``) replaced.

    In a fragment the values are escaped. No part of an error is added to an address.
    """
    if address_in(own):
        return own
    if is_fragment(own):
        values = {name: html.escape(value) for name, value in values.items()}
    return Template(own).safe_substitute(values)


def _is_one_address(own: str) -> bool:
    return re.fullmatch(r"https?:\S+", own, re.IGNORECASE) is not None

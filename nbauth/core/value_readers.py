"""Readers of setting values: each checks a value and converts it to its type.

The message of their ``ValueError`` continues after the setting's name: "must be a string".
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Mapping
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

from nbauth.core.addresses import is_secure
from nbauth.core.text import closest, plain, without_user

SYSTEM = "system"
"""The value of ``verify`` for the system's certificate store (package truststore)."""

_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
_NO_TEXT = re.compile(rf"{CONTROL.pattern}|[\ud800-\udfff]")  # surrogates: only in paths
_YES, _NO = frozenset({"1", "true", "yes", "on"}), frozenset({"0", "false", "no", "off"})
_SCHEMES = ("http", "https", "all", "no_proxy")
_HOST = re.compile(rf"({_LABEL}(?:\.{_LABEL})*|\[[0-9a-f:.]+\])(?::([0-9]{{1,5}}))?")


def text(value: Any, refused: re.Pattern[str] = _NO_TEXT) -> str:
    if not isinstance(value, str):
        raise ValueError("must be a string")
    if refused.search(value.strip()):
        raise ValueError("contains a control character")
    if not value.strip():
        raise ValueError("must not be empty")
    return value.strip()


def flag(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str | int):
        word = str(value).strip().lower()
        if word in _YES:
            return True
        if word in _NO:
            return False
    raise ValueError("must be true or false")


def seconds(value: Any) -> float:
    right = "must be a number of seconds, more than 0 and less than a day"
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(right)
    try:
        number = float(value)
    except (ValueError, OverflowError):
        raise ValueError(f"cannot be {plain(value)!r}: it {right}") from None
    if not 0 < number < 86_400:
        raise ValueError(right)
    return number


def words(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return tuple(value.replace(",", " ").split())
    if isinstance(value, Mapping) or not isinstance(value, Iterable):
        raise ValueError("must be a list of strings")
    try:
        return tuple(word for each in value for word in text(each).split())
    except ValueError as error:
        raise ValueError(f"must be a list of strings (one item {error})") from None


def table(value: Any) -> dict[str, Any]:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (json.JSONDecodeError, RecursionError):
            raise ValueError("must be a table of names and values, in JSON") from None
    if not isinstance(value, Mapping):
        raise ValueError("must be a table of names and values")
    return {str(name): item for name, item in value.items()}


def hosts(value: Any) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for written, scopes in table(value).items():
        host = exact_host(written)
        if host in found:
            raise ValueError(f"contains {host} twice")
        try:
            found[host] = words(scopes)
        except ValueError as error:
            raise ValueError(f"has an invalid entry: {host} {error}") from None
        if not found[host]:
            raise ValueError(f"has no scopes for {host}: list at least one")
    return found


def exact_host(written: object) -> str:
    """``host`` or ``host:port`` in the form of a prepared request's URL, without the port 443."""
    if not isinstance(written, str):
        raise ValueError(f"contains {written!r}, which is not a host")
    shown = without_user(written)
    if not written.isascii():
        raise ValueError(f"contains {shown!r}: write an international name in its xn-- form")
    exact = _HOST.fullmatch(written.strip().lower())
    port = int((exact and exact[2]) or 443)
    if exact is None or not 0 < port < 65_536:
        raise ValueError(
            f"contains {shown!r}, which is not an exact host: write 'api.contoso.com' or"
            " 'api.contoso.com:8443', without scheme, path, user name or wildcard"
        )
    return exact[1] if port == 443 else f"{exact[1]}:{port}"


def parameters(value: Any) -> dict[str, str]:
    written = table(value)
    for name, item in written.items():
        if isinstance(item, bool) or not isinstance(item, str | int | float):
            raise ValueError(f"has a value for {plain(name)} that is neither string nor number")
        if name.endswith("secret") or name == "client_assertion":
            raise ValueError(f"must not contain {plain(name)}: it is sent through the browser")
    return {name: str(item) for name, item in written.items()}


def proxies(value: Any) -> dict[str, str]:
    written = parameters(value)
    for name in written:
        if name.partition("://")[0] not in _SCHEMES or "@" in name:
            raise ValueError(
                f"contains {plain(without_user(name))!r}, which is not http, https, all, no_proxy"
                " or https://<host>"
            )
    return written


def verify_form(value: Any) -> bool | str:
    right = 'must be true, the path of a CA file, or "system"'
    if not isinstance(value, bool | str | int | os.PathLike):
        raise ValueError(right)
    word = str(value).strip().lower()
    if word in _NO:
        raise ValueError(
            "cannot be false: anyone on the network could read tokens; set a CA file instead"
        )
    if word in _YES and not (isinstance(value, str) and word in {"yes", "on"}):
        return True
    if word in _YES or isinstance(value, int):
        raise ValueError(right)
    return text(os.fspath(value), CONTROL)


def verify(value: Any) -> bool | str:
    written = verify_form(value)
    if written is True:
        return True
    if written == SYSTEM:
        if find_spec("truststore") is None:
            raise ValueError("needs the package truststore: pip install 'nbauth[truststore]'")
        return SYSTEM
    path = expanded(str(written))
    if not os.path.exists(path):
        raise ValueError(f"names a CA file that does not exist: {path}")
    return path


def expanded(path: str) -> str:
    """A path with ``~`` or ``~user`` expanded. ``ValueError`` if that home folder is unknown."""
    whole = os.path.expanduser(path)
    if whole.startswith("~"):
        raise ValueError(f"names {whole}, whose home folder is unknown: write the full path")
    return whole


def open_browser(value: Any) -> bool | str | Callable[[str], object]:
    if callable(value):
        return value  # type: ignore[no-any-return]
    try:
        return flag(value)
    except ValueError:
        if not isinstance(value, str):
            raise ValueError("must be true, false, or a browser's name") from None
    name = text(value)
    return expanded(name) if name.startswith("~") else name


def one_of(choices: Iterable[str]) -> Callable[[Any], str]:
    allowed = tuple(choices)

    def check(value: Any) -> str:
        if not isinstance(value, str):
            raise ValueError(f"must be a string, one of {', '.join(allowed)}")
        word = str(value).strip().lower()
        if word not in allowed:
            guess = f"did you mean {close}? It" if (close := closest(word, allowed)) else "it"
            raise ValueError(f"cannot be {word!r}: {guess} must be one of {', '.join(allowed)}")
        return word

    return check


def address(value: Any) -> str:
    """The address of an endpoint, to which secrets may be sent."""
    written = text(value)
    if not is_secure(written) or "@" in urlsplit(written).netloc or "#" in written:
        raise ValueError(
            "must be an https address without user name and fragment, such as"
            " https://id.example/oauth/token; http is allowed for http://localhost only"
        )
    return written


def redirect_uri(value: Any) -> str:
    """A redirect URI with any scheme: the paste flow needs no server at it."""
    written = text(value)
    try:
        parts = urlsplit(written)
        whole = bool(parts.scheme and parts.hostname) or parts.scheme == "urn"
        _ = parts.port  # raises for an invalid port
    except ValueError:
        whole = False
    named = whole and "@" in parts.netloc
    if not whole or named or not written.isprintable() or re.search("[ #]", written):
        raise ValueError(
            "must be a full address as registered, without user name and fragment, such as"
            " http://127.0.0.1:8400/callback or https://lab.example/nbauth/callback"
        )
    return written

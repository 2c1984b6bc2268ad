"""How each setting is read: checked, and brought into its type."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Mapping
from importlib.util import find_spec
from typing import Any

from nbauth.core.errors import ConfigurationError
from nbauth.core.flow_names import ALL as FLOWS
from nbauth.core.text import closest

PERSISTENCES = ("memory", "keyring", "file")
PERSISTENCE_GROUP = "nbauth.persistence"
"""The entry points of others' persistences: ``factory(*, folder, ask) -> Persistence``."""
CLOUDS = ("public", "usgov", "dod", "china")
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST = re.compile(rf"({_LABEL}(?:\.{_LABEL})*|\[[0-9a-f:.]+\])(?::([0-9]{{1,5}}))?")


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("has to be a text")
    return value.strip()


def _flag(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower()
    if word in {"1", "true", "yes", "on"}:
        return True
    if word in {"0", "false", "no", "off"}:
        return False
    raise ValueError("has to be true or false")


def _seconds(value: Any) -> float:
    seconds = float(value)
    if not 0 < seconds < 86_400:
        raise ValueError("has to be a number of seconds, more than 0 and less than a day")
    return seconds


def _words(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return tuple(value.replace(",", " ").split())
    return tuple(_text(word) for word in value)


def _table(value: Any) -> dict[str, Any]:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except json.JSONDecodeError:
            raise ValueError("has to be a JSON object") from None
    if not isinstance(value, Mapping):
        raise ValueError("has to be a table of names and values")
    return {str(name): item for name, item in value.items()}


def _hosts(value: Any) -> dict[str, tuple[str, ...]]:
    hosts: dict[str, tuple[str, ...]] = {}
    for written, scopes in _table(value).items():
        host = exact_host(written)
        if host in hosts:
            raise ValueError(f"names {host} twice")
        hosts[host] = _words(scopes)
        if not hosts[host]:
            raise ValueError(f"names no scopes for {host}, so no token could be for it")
    return hosts


def exact_host(written: object) -> str:
    """``host`` or ``host:port`` as the prepared URL of a request has it; 443 is https's own."""
    if not isinstance(written, str):
        raise ValueError(f"names {written!r}, which is no host")
    if not written.isascii():
        raise ValueError(f"names {written!r}: write an international name in its xn-- form")
    exact = _HOST.fullmatch(written.strip().lower())
    port = int((exact and exact[2]) or 443)
    if exact is None or not 0 < port < 65_536:
        raise ValueError(
            f"names {written!r}, which is no exact host: write 'api.contoso.com' or"
            " 'api.contoso.com:8443', without scheme, path, user name or wildcard"
        )
    return exact[1] if port == 443 else f"{exact[1]}:{port}"


def _parameters(value: Any) -> dict[str, str]:
    parameters = _table(value)
    for name, item in parameters.items():
        if not isinstance(item, (str, int, float)):
            raise ValueError(f"has no text for {name}")
    return {name: str(item) for name, item in parameters.items()}


def _verify(value: Any) -> bool | str:
    if isinstance(value, bool) or str(value).strip().lower() in {"true", "false", "0", "1"}:
        if not _flag(value):
            raise ValueError(
                "cannot be false: anyone on the network could read tokens; name a CA file instead"
            )
        return True
    if str(value).strip() == "system":
        if find_spec("truststore") is None:
            raise ValueError("needs a package for 'system': pip install 'nbauth[truststore]'")
        return "system"
    path = os.path.expanduser(_text(value))
    if not os.path.exists(path):
        raise ValueError(f"names a CA file that is not there: {path}")
    return path


def _open_browser(value: Any) -> bool | str | Callable[[str], object]:
    if callable(value):
        return value  # type: ignore[no-any-return]
    try:
        return _flag(value)
    except ValueError:
        return _text(value)


def _one_of(choices: Iterable[str]) -> Callable[[Any], str]:
    allowed = tuple(choices)

    def check(value: Any) -> str:
        word = str(value).strip().lower()
        if word not in allowed:
            guess = f"did you mean {close}? It" if (close := closest(word, allowed)) else "it"
            raise ValueError(f"cannot be {word!r}: {guess} has to be one of {', '.join(allowed)}")
        return word

    return check


def _persistence(value: Any) -> str:
    from importlib.metadata import entry_points

    word = str(value).strip().lower()
    if word in PERSISTENCES:
        return word
    return _one_of((*PERSISTENCES, *entry_points(group=PERSISTENCE_GROUP).names))(word)


_READERS: dict[str, Callable[[Any], Any]] = {
    "profile": _text,
    "client_id": _text,
    "tenant": _text,
    "authority": _text,
    "cloud": _one_of(CLOUDS),
    "scopes": _words,
    "exact_scopes": _flag,
    "flow": _one_of(FLOWS),
    "persist": _persistence,
    "hosts": _hosts,
    "extra_parameters": _parameters,
    "redirect_uri": _text,
    "open_browser": _open_browser,
    "success_page": _text,
    "error_page": _text,
    "timeout": _seconds,
    "redact": _flag,
    "refresh_ahead": _flag,
    "verify": _verify,
    "proxies": _parameters,
    "debug": _flag,
}


def read(name: str, value: Any, source: str) -> Any:
    """Check one setting and bring it into its type.

    Raises ``ConfigurationError`` naming the setting and where it was set.
    """
    reader = _READERS.get(name)
    if reader is None:
        guess = f" Did you mean {close}?" if (close := closest(name, _READERS)) else ""
        raise ConfigurationError(
            f"There is no setting {name!r} ({source}).{guess}",
            code="unknown_setting",
            hint=f"The settings are {', '.join(_READERS)}.",
        )
    try:
        return reader(value)
    except (ValueError, TypeError) as error:
        raise ConfigurationError(
            f"The setting {name} ({source}) {error}.", code="bad_setting"
        ) from error

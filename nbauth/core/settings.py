"""Settings: one frozen value, each part knowing where it came from.

call > ``configure`` and ``%config NbAuth.…`` > ``NBAUTH_<NAME>`` > the profile in ``config.toml`` >
default.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from nbauth.core.errors import ConfigurationError

FLOWS = (
    "auto", "browser", "device", "paste", "callback", "password", "iwa", "broker", "app",
    "managed-identity", "workload-identity", "obo", "hub",
)  # fmt: skip
PERSISTENCES = ("memory", "keyring", "file")
PERSISTENCE_GROUP = "nbauth.persistence"
"""The entry points of others' persistences: ``factory(*, folder, ask) -> Persistence``."""
CLOUDS = ("public", "usgov", "dod", "china")


@dataclass(frozen=True)
class Settings:
    """What nbauth has been told. ``sources`` maps each name that was set to where it was set."""

    profile: str = "default"
    client_id: str | None = None
    tenant: str | None = None
    authority: str | None = None
    cloud: str = "public"
    scopes: tuple[str, ...] = ()
    flow: str = "auto"
    persist: str = "memory"
    hosts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    extra_parameters: Mapping[str, str] = field(default_factory=dict)
    redirect_uri: str | None = None
    open_browser: bool | str | Callable[[str], object] | None = None
    success_page: str | None = None
    error_page: str | None = None
    timeout: float | None = None
    redact: bool = True
    refresh_ahead: bool = True
    verify: bool | str | None = None
    proxies: Mapping[str, str] | None = None
    debug: bool = False
    sources: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)

    def source(self, name: str) -> str:
        """Where a setting came from: ``"default"`` if nobody set it."""
        return self.sources.get(name, "default")


NAMES = tuple(item.name for item in fields(Settings) if item.name != "sources")


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
    hosts = {}
    for host, scopes in _table(value).items():
        if "/" in host or "@" in host or "*" in host or not host:
            raise ValueError(f"names hosts like 'api.contoso.com', not {host!r}")
        hosts[host.lower()] = _words(scopes)
        if not hosts[host.lower()]:
            raise ValueError(f"names no scopes for {host}, so no token could be for it")
    return hosts


def _parameters(value: Any) -> dict[str, str]:
    return {name: str(item) for name, item in _table(value).items()}


def _verify(value: Any) -> bool | str:
    if isinstance(value, bool) or str(value).strip().lower() in {"true", "false", "0", "1"}:
        if not _flag(value):
            raise ValueError(
                "cannot be false, since tokens would go to whoever answers; name a CA file instead"
            )
        return True
    path = Path(_text(value)).expanduser()
    if not path.exists():
        raise ValueError(f"names a CA file that is not there: {path}")
    return str(path)


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
            guess = f"did you mean {close}? It" if (close := _closest(word, allowed)) else "it"
            raise ValueError(f"cannot be {word!r}: {guess} has to be one of {', '.join(allowed)}")
        return word

    return check


def _persistence(value: Any) -> str:
    from importlib.metadata import entry_points

    word = str(value).strip().lower()
    if word in PERSISTENCES:
        return word
    return _one_of((*PERSISTENCES, *entry_points(group=PERSISTENCE_GROUP).names))(word)


def _closest(word: str, known: Iterable[str]) -> str:
    import difflib

    return next(iter(difflib.get_close_matches(word, list(known), 1)), "")


_READERS: dict[str, Callable[[Any], Any]] = {
    "profile": _text,
    "client_id": _text,
    "tenant": _text,
    "authority": _text,
    "cloud": _one_of(CLOUDS),
    "scopes": _words,
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
        guess = f" Did you mean {close}?" if (close := _closest(name, NAMES)) else ""
        raise ConfigurationError(
            f"There is no setting {name!r} ({source}).{guess}",
            code="unknown_setting",
            hint=f"The settings are {', '.join(NAMES)}.",
        )
    try:
        return reader(value)
    except (ValueError, TypeError) as error:
        raise ConfigurationError(
            f"The setting {name} ({source}) {error}.", code="bad_setting"
        ) from error


def read_files(paths: Iterable[Path]) -> tuple[dict[str, Any], str]:
    """The first ``config.toml`` that is there, and its path as a text (``""`` for none)."""
    import tomllib

    for path in paths:
        try:
            text = path.read_text("utf-8-sig")
        except (FileNotFoundError, NotADirectoryError):
            continue
        except UnicodeDecodeError as error:
            raise ConfigurationError(
                f"{path} is not valid TOML: it is not UTF-8.", code="bad_config_file"
            ) from error
        except OSError as error:
            raise ConfigurationError(
                f"{path} cannot be read: {error.strerror}.", code="bad_config_file"
            ) from error
        try:
            return tomllib.loads(text), str(path)
        except tomllib.TOMLDecodeError as error:
            raise ConfigurationError(
                f"{path} is not valid TOML: {error}.", code="bad_config_file"
            ) from error
    return {}, ""


def resolve(
    call: Mapping[str, Any],
    configured: Mapping[str, Any],
    environ: Mapping[str, str],
    file: Mapping[str, Any] | None = None,
    file_name: str = "config.toml",
) -> Settings:
    """Lay the five layers over each other. A value of ``None`` means "not set here"."""
    file = file or {}
    layers: list[tuple[str, Mapping[str, Any]]] = [
        ("this call", call),
        ("configured in this kernel", configured),
        (
            "environment",
            {name: environ[variable(name)] for name in NAMES if environ.get(variable(name))},
        ),
    ]
    source_of = {layer: layer for layer, _ in layers}
    named = next((str(layer["profile"]) for _, layer in layers if layer.get("profile")), None)
    profiles = _profiles(file, file_name)
    profile = named or file.get("profile") or "default"
    if profile in profiles:
        layers.append(("file", profiles[profile]))
        source_of["file"] = f"profile {profile!r} in {file_name}"
    elif profile != "default":
        known = ", ".join(sorted(profiles)) or "none"
        raise ConfigurationError(
            f"There is no profile {profile!r} in {file_name}; there are: {known}.",
            code="unknown_profile",
        )
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for layer, settings in layers:
        for name, value in settings.items():
            where = f"{variable(name)}" if layer == "environment" else source_of[layer]
            if value is None:
                continue
            checked = read(name, value, where)
            if name not in values:
                values[name], sources[name] = checked, where
    values["profile"] = profile
    # Naming a tenant or a cloud nearer to the call than the authority is set means them.
    order = [source_of[layer] for layer, _ in layers]
    _nearer_wins(values, sources, order)
    return Settings(**values, sources=sources)


def _profiles(file: Mapping[str, Any], file_name: str) -> Mapping[str, Mapping[str, Any]]:
    profiles = file.get("profiles") or {}
    tables = [profiles, *profiles.values()] if isinstance(profiles, Mapping) else [profiles]
    if all(isinstance(table, Mapping) for table in tables) and isinstance(
        file.get("profile", ""), str
    ):
        return profiles
    raise ConfigurationError(
        f"{file_name} is not written as a file of profiles is.",
        code="bad_config_file",
        hint='It looks like: profile = "work", then [profiles.work] and below it the settings.',
    )


def _nearer_wins(values: dict[str, Any], sources: dict[str, str], order: list[str]) -> None:
    if "authority" not in values:
        return

    def distance(name: str) -> int:
        where = sources[name]
        return order.index(where) if where in order else order.index("environment")

    for name in ("tenant", "cloud"):
        if name in values and distance(name) < distance("authority"):
            values.pop("authority")
            sources.pop("authority")
            return


def variable(name: str) -> str:
    """The environment's variable for a setting."""
    return f"NBAUTH_{name.upper()}"

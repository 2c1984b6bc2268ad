"""The settings as one frozen value that records the source of each setting.

Precedence: call > ``configure`` and ``%config NbAuth.…`` > ``NBAUTH_<NAME>`` > the profile in
``config.toml`` > default. A profile that is named in one of these layers comes directly after that
layer: ``--profile idp`` uses idp's client, whatever ``configure`` or the environment set.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any
from urllib.parse import urlsplit

from nbauth.core.addresses import same_issuer
from nbauth.core.config_file import ConfigFile
from nbauth.core.errors import ConfigurationError
from nbauth.core.flow_names import AUTO
from nbauth.core.settings_values import ENDPOINTS, meant, read


@dataclass(frozen=True)
class Settings:
    """All settings. ``sources`` maps the name of each set value to the place where it was set."""

    profile: str = "default"
    client_id: str | None = None
    tenant: str | None = None
    authority: str | None = None
    metadata_url: str | None = None
    authorization_endpoint: str | None = None
    token_endpoint: str | None = None
    device_authorization_endpoint: str | None = None
    userinfo_endpoint: str | None = None
    revocation_endpoint: str | None = None
    client_secret_from: str | None = None
    token_endpoint_auth_method: str | None = None
    client_certificate: str | None = None
    client_certificate_chain: bool = False
    client_assertion_file: str | None = None
    cloud: str = "public"
    scopes: tuple[str, ...] = ()
    exact_scopes: bool = False
    flow: str = AUTO
    persist: str = "memory"
    hosts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    graph_url: str | None = None
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
    attended: bool | str = AUTO
    credential: Any = field(default=None, repr=False, compare=False)
    sources: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)

    @property
    def endpoints(self) -> tuple[tuple[str, str], ...]:
        """The configured endpoints, by their names in a provider's metadata."""
        written = ((name, getattr(self, name)) for name in ENDPOINTS)
        return tuple((name, address) for name, address in written if address)

    @property
    def loopback_uri(self) -> str | None:
        """``redirect_uri``, unless it is a Jupyter server's page, which browser flows can't use."""
        ours = self.redirect_uri and urlsplit(self.redirect_uri).path.endswith("/nbauth/callback")
        return None if ours else self.redirect_uri

    def source(self, name: str) -> str:
        """Where a setting was set; ``"default"`` if it was not."""
        return self.sources.get(name, "default")


CREDENTIALS = (
    "client_secret_from",
    "token_endpoint_auth_method",
    "client_certificate",
    "client_certificate_chain",
    "client_assertion_file",
)
"""Settings that say where the credential of a confidential client is."""
OF_ONE_ISSUER = ("hosts", "metadata_url", *ENDPOINTS, *CREDENTIALS)
"""Settings that are valid for one issuer only."""
CREDENTIAL = "credential"
"""The setting that only ``configure`` sets: an object, which no file, variable or call contains."""
NAMES = tuple(item.name for item in fields(Settings) if item.name not in ("sources", CREDENTIAL))


def resolve(
    call: Mapping[str, Any],
    configured: Mapping[str, Any],
    environ: Mapping[str, str],
    file: ConfigFile | None = None,
) -> Settings:
    """Merge the layers by precedence. A value of ``None`` means "not set here".

    Raises ``ConfigurationError`` for an invalid value in any layer, and for a profile that does not
    exist or has mistakes.
    """
    file = file or ConfigFile(found=False)
    layers: list[tuple[str, Mapping[str, Any]]] = [
        ("this call", call),
        ("configured in this kernel", configured),
        (
            "environment",
            {name: environ[variable(name)] for name in NAMES if environ.get(variable(name))},
        ),
    ]
    source_of = {layer: layer for layer, _ in layers}
    profile, behind, named = file.profile, len(layers), ""
    for number, (_, settings) in enumerate(layers, 1):
        if named := str(settings.get("profile") or "").strip():
            profile, behind = named, number
            break
    check_profile(profile, file, named=bool(named))
    if profile in file.profiles:
        layers.insert(behind, ("file", file.profiles[profile]))
        source_of["file"] = f"profile {profile!r} in {file.name}"
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for layer, settings in layers:
        for name, value in settings.items():
            where = variable(name) if layer == "environment" else source_of[layer]
            if value is None:
                continue
            try:
                checked = read(name, value, where)
            except ConfigurationError:
                if layer == "file":
                    place = file.place("profiles", profile, name)
                    read(name, value, f"profile {profile!r}, {place}")
                raise
            if name not in values:
                values[name], sources[name] = checked, where
    values["profile"] = profile
    if not named and file.table.get("profile"):
        sources["profile"] = file.name
    # A tenant or cloud with a higher precedence than the authority replaces it.
    order = [source_of[layer] for layer, _ in layers]
    _nearer_wins(values, sources, order)
    for name in OF_ONE_ISSUER:
        _drop_if_of_another_issuer(name, values, sources, layers)
    return Settings(**values, sources=sources)


def check_profile(profile: str, file: ConfigFile, *, named: bool = True) -> None:
    """Raise ``ConfigurationError`` for a profile that is not in the file, or has mistakes.

    ``named``: whether it was named outside the file.
    """
    file.refuse(profile)
    if profile not in file.profiles and profile != "default":
        guess = f" Did you mean {close}?" if (close := meant(profile, file.profiles)) else ""
        place = file.name if named else file.place("profile")
        there = (
            f"; its profiles: {', '.join(sorted(file.profiles)) or 'none'}" if file.found else ""
        )
        where = f"in {place}" if file.found else f"because {file.name} does not exist"
        raise ConfigurationError(
            f"There is no profile {profile!r} {where}{there}.{guess}",
            code="unknown_profile",
        )


def _nearer_wins(values: dict[str, Any], sources: dict[str, str], order: list[str]) -> None:
    if "authority" not in values:
        return

    def distance(name: str) -> int:
        where = sources[name]
        return order.index(where) if where in order else order.index("environment")

    for name in ("tenant", "cloud"):
        if name in values and distance(name) < distance("authority"):
            own = [at for at in OF_ONE_ISSUER if at in values and at != "hosts"]
            gone = [at for at in own if distance(at) >= distance("authority")]
            for one in (*gone, "authority"):
                values.pop(one)
                sources.pop(one)
            return


def _drop_if_of_another_issuer(
    name: str,
    values: dict[str, Any],
    sources: dict[str, str],
    layers: list[tuple[str, Mapping[str, Any]]],
) -> None:
    """Drop a setting that was set for another issuer than the one in use.

    Hosts, endpoints and the source of a client secret belong to one issuer: at another issuer, the
    same scope names may mean something else. A setting is kept if its layer, or one of lower
    precedence, names the issuer in use; also if neither these nor a profile of higher precedence
    name an issuer.
    """
    place = next((n for n, (_, own) in enumerate(layers) if own.get(name) is not None), None)
    authority = values.get("authority")
    if place is None or authority is None or name not in values:
        return
    behind = [settings for _, settings in layers[place:]]
    theirs = next((own["authority"] for own in behind if own.get("authority")), None)
    if theirs is None:
        named = any(own.get(item) for own in behind for item in ("tenant", "cloud", "client_id"))
        stay = not named and "file" not in [layer for layer, _ in layers[:place]]
    else:
        stay = same_issuer(str(theirs).strip(), authority)
    if not stay:
        values.pop(name)
        sources.pop(name)


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return f"NBAUTH_{name.upper()}"

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from nbauth.core.config_file import ConfigFile
from nbauth.core.errors import ConfigurationError
from nbauth.core.settings import NAMES, Settings, read, resolve
from nbauth.core.settings_values import SETTINGS, check_form, form_of, is_table, meant

FILE = {"profile": "work", "profiles": {"work": {"client_id": "from-file", "tenant": "t.example"}}}


def settings(
    call: Mapping[str, Any] | None = None,
    configured: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
    file: Mapping[str, Any] | None = None,
) -> Settings:
    written = ConfigFile("/etc/nbauth/config.toml", file or {})
    return resolve(call or {}, configured or {}, environ or {}, written)


def refused(*arguments: Any, **options: Any) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        settings(*arguments, **options)
    return caught.value


LAYERS: list[tuple[str, dict[str, Any]]] = [
    ("this call", {"call": {"client_id": "from-call"}}),
    ("configured in this kernel", {"configured": {"client_id": "from-kernel"}}),
    ("NBAUTH_CLIENT_ID", {"environ": {"NBAUTH_CLIENT_ID": "from-environment"}}),
    ("profile 'work' in /etc/nbauth/config.toml", {"file": FILE}),
]


@pytest.mark.parametrize("nearest", range(len(LAYERS)))
def test_the_layer_of_higher_precedence_wins_and_is_the_source(nearest: int) -> None:
    source, winner = LAYERS[nearest]
    layers: dict[str, Any] = {}
    for _, layer in LAYERS[nearest:]:
        layers |= layer
    found = settings(**layers)
    ((_, value),) = winner.items()
    expected = "from-file" if nearest == 3 else next(iter(value.values()))
    assert found.client_id == expected
    assert found.source("client_id") == source


def test_unset_settings_have_defaults() -> None:
    found = settings()
    assert found == Settings()
    assert found.source("client_id") == "default"
    assert (found.profile, found.flow, found.persist, found.cloud) == (
        "default",
        "auto",
        "memory",
        "public",
    )


def test_none_and_an_empty_variable_mean_not_set() -> None:
    found = settings({"client_id": None}, {"client_id": None}, {"NBAUTH_CLIENT_ID": ""}, FILE)
    assert found.client_id == "from-file"


def test_other_variables_are_ignored() -> None:
    environ = {"AZURE_CLIENT_ID": "service", "NBAUTH_UNHEARD_OF": "x", "CLIENT_ID": "y"}
    assert settings(environ=environ).client_id is None


def test_every_setting_has_a_reader_and_a_default() -> None:
    for name in NAMES:
        with pytest.raises(ConfigurationError, match=name):
            read(name, object(), "test")  # no reader accepts every value
        assert hasattr(Settings(), name)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("scopes", "User.Read, Mail.Read", ("User.Read", "Mail.Read")),
        ("scopes", ["User.Read", "Mail.Read"], ("User.Read", "Mail.Read")),
        ("scopes", ["User.Read Mail.Read"], ("User.Read", "Mail.Read")),
        ("success_page", "two\nlines", "two\nlines"),
        ("proxies", {"https://id.example": "http://p:1"}, {"https://id.example": "http://p:1"}),
        ("proxies", {}, {}),
        ("client_id", "  id ", "id"),
        ("cloud", "USGov", "usgov"),
        ("flow", "Device", "device"),
        ("persist", "keyring", "keyring"),
        ("timeout", "90", 90.0),
        ("timeout", 0.5, 0.5),
        ("redact", "off", False),
        ("debug", "yes", True),
        ("refresh_ahead", True, True),
        ("verify", "true", True),
        ("hosts", {"API.contoso.com": "api://app/read"}, {"api.contoso.com": ("api://app/read",)}),
        ("hosts", '{"a.example": ["r", "w"]}', {"a.example": ("r", "w")}),
        ("hosts", {"127.0.0.1:8443": ["r"]}, {"127.0.0.1:8443": ("r",)}),
        ("extra_parameters", '{"audience": "x", "n": 1}', {"audience": "x", "n": "1"}),
        ("proxies", {"https": "http://proxy:3128"}, {"https": "http://proxy:3128"}),
        ("open_browser", "false", False),
        ("attended", "false", False),
        ("attended", True, True),
        ("attended", 1, True),
        ("attended", " Auto ", "auto"),
        ("open_browser", True, True),
        ("open_browser", "firefox", "firefox"),
        ("open_browser", print, print),
    ],
)
def test_values_are_converted_to_their_type(name: str, text: object, value: object) -> None:
    assert read(name, text, "test") == value


BAD = [
    ("cloud", "mars", "one of public, usgov, dod, china"),
    ("flow", "devise", "did you mean device"),
    ("persist", "keyrng", "did you mean keyring"),
    ("timeout", "soon", "soon"),
    ("timeout", "0", "more than 0"),
    ("timeout", "-1", "more than 0"),
    ("timeout", "nan", "more than 0"),
    ("timeout", "inf", "less than a day"),
    ("redact", "perhaps", "true or false"),
    ("client_id", "  ", "must not be empty"),
    ("verify", "false", "cannot be false"),
    ("verify", "0", "cannot be false"),
    ("verify", "/no/such/file.pem", "does not exist: /no/such/file.pem"),
    ("hosts", "[1]", "table"),
    ("hosts", {"a.example": []}, "no scopes"),
    ("hosts", "{", "JSON"),
    ("hosts", '{".github.io": ["x"]}', "not an exact host"),
    ("hosts", '{"a.example:": ["x"]}', "not an exact host"),
    ("hosts", '{"a.example:0": ["x"]}', "not an exact host"),
    ("hosts", '{"a.example:99999": ["x"]}', "not an exact host"),
    ("hosts", '{"a.example:port": ["x"]}', "not an exact host"),
    ("hosts", '{"a.example/path": ["x"]}', "not an exact host"),
    ("hosts", '{"a..example": ["x"]}', "not an exact host"),
    ("hosts", '{"a.example.": ["x"]}', "not an exact host"),
    ("hosts", '{"two words": ["x"]}', "not an exact host"),
    ("hosts", '{"h\u00f6st.example": ["x"]}', "xn--"),
    ("hosts", '{"a.example": ["x"], "A.example:443": ["y"]}', "twice"),
    ("hosts", '{"https://a.example": []}', "not an exact host"),
    ("hosts", '{"*.example": []}', "not an exact host"),
    ("hosts", '{"a@b.example": []}', "not an exact host"),
    ("hosts", '{"": []}', "not an exact host"),
    ("proxies", "proxy:3128", "JSON"),
    ("proxies", '{"https": null}', "a value for https that is neither"),
    ("proxies", '{"htps": "http://proxy:3128"}', "contains 'htps', which is not http"),
    ("extra_parameters", '{"client_secret": "s"}', "sent through the browser"),
    ("extra_parameters", '{"consent": true}', "a value for consent that is neither"),
    ("hosts", {"a.example": 5}, "a.example must be a list"),
    ("hosts", {"a.example": {"b": ["x"]}}, "a.example must be a list"),
    ("scopes", 5, "list of strings"),
    ("scopes", {"a": 1}, "list of strings"),
    ("scopes", ["a", ["b"]], "list of strings"),
    ("scopes", ["a\x00"], "control character"),
    ("timeout", True, "number of seconds"),
    ("timeout", [5], "number of seconds"),
    ("timeout", 10**400, "number of seconds"),
    ("client_id", 5, "must be a string"),
    ("tenant", "a\nb", "control character"),
    ("cloud", ["public"], "one of public"),
    ("persist", True, "must be a string"),
    ("redact", [True], "true or false"),
    ("redact", 2, "true or false"),
    ("redact", 1.0, "true or false"),
    ("open_browser", 3, "browser's name"),
    ("attended", "maybe", "has to be true, false or auto"),
    ("attended", None.__class__, "has to be true, false or auto"),
    ("open_browser", ["firefox"], "browser's name"),
    ("verify", "yes", "must be true, the path"),
    ("verify", "off", "cannot be false"),
    ("verify", 2, "must be true, the path"),
    ("verify", ["a.pem"], "must be true, the path"),
    ("verify", "~nobody-of-that-name/ca.pem", "whose home folder is unknown"),
    ("success_page", 5, "must be a string"),
    ("extra_parameters", '{"resource": ["a", "b"]}', "a value for resource that is neither"),
]


@pytest.mark.parametrize(("name", "value", "why"), BAD)
def test_an_error_for_an_invalid_value_names_the_setting_and_its_source(
    name: str, value: str, why: str
) -> None:
    in_file = {"profile": "p", "profiles": {"p": {name: value}}}
    for where, error in [
        ("this call", refused({name: value})),
        ("configured in this kernel", refused({}, {name: value})),
        *(
            [(f"NBAUTH_{name.upper()}", refused({}, {}, {f"NBAUTH_{name.upper()}": value}))]
            if isinstance(value, str)
            else []
        ),
        ("profile 'p', /etc/nbauth/config.toml", refused(file=in_file)),
    ]:
        assert f"The setting {name} ({where})" in str(error)
        assert why in str(error)
        assert error.code == "bad_setting"


def test_an_invalid_value_is_an_error_even_if_another_layer_overrides_it() -> None:
    assert "NBAUTH_TIMEOUT" in str(refused({"timeout": 5}, {}, {"NBAUTH_TIMEOUT": "soon"}))


@pytest.mark.parametrize("value", [False, "False", "no such", 0])
def test_verify_cannot_be_false(value: object) -> None:
    assert refused({"verify": value}).code == "bad_setting"


def test_verify_accepts_a_ca_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ca.pem").write_text("")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert settings({"verify": "~/ca.pem"}).verify == str(tmp_path / "ca.pem")


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("clientid", "client_id"),
        ("scope", "scopes"),
        ("autority", "authority"),
        ("Client-ID", "client_id"),
        ("issuer", "authority"),
        ("ca_bundle", "verify"),
    ],
)
def test_an_error_for_an_unknown_name_suggests_a_known_one(wrong: str, right: str) -> None:
    for error in [
        refused({wrong: "x"}),
        refused(file={"profile": "p", "profiles": {"p": {wrong: "x"}}}),
    ]:
        assert f"Did you mean {right}?" in str(error)
        assert error.code == "unknown_setting"
        assert "client_id" in error.hint


@pytest.mark.parametrize("name", ["tenant", "cloud"])
@pytest.mark.parametrize(
    ("layers", "authority"),
    [
        ({"call": "T", "configured": "A"}, False),
        ({"call": "T", "environ": "A"}, False),
        ({"configured": "T", "file": "A"}, False),
        ({"environ": "T", "file": "A"}, False),
        ({"call": "TA"}, True),
        ({"environ": "TA"}, True),
        ({"call": "A", "environ": "T"}, True),
        ({"configured": "A", "file": "T"}, True),
        ({"environ": "A", "file": "T"}, True),
    ],
)
def test_authority_overrides_tenant_and_cloud_of_the_same_or_lower_precedence(
    name: str, layers: dict[str, str], authority: bool
) -> None:
    values = {"T": {name: "usgov"}, "A": {"authority": "https://id.example"}}
    given: dict[str, Any] = {}
    for layer, what in layers.items():
        merged = {key: value for part in what for key, value in values[part].items()}
        if layer == "environ":
            merged = {f"NBAUTH_{key.upper()}": value for key, value in merged.items()}
        if layer == "file":
            merged = {"profile": "p", "profiles": {"p": merged}}
        given[layer] = merged
    found = settings(**given)
    assert (found.authority is not None) is authority
    assert getattr(found, name) == "usgov"


def test_a_call_can_name_the_profile() -> None:
    file = {"profiles": {"a": {"tenant": "a.example"}, "b": {"tenant": "b.example"}}}
    for found in [
        settings({"profile": "b"}, file=file),
        settings({}, {"profile": "b"}, file=file),
        settings(environ={"NBAUTH_PROFILE": "b"}, file=file),
        settings(file={"profile": "b", **file}),
        settings({"profile": "b"}, {"profile": "a"}, {"NBAUTH_PROFILE": "a"}, file),
    ]:
        assert (found.profile, found.tenant) == ("b", "b.example")


def test_the_source_of_a_profile_named_in_the_file_is_the_file() -> None:
    """The doctor reported no named profile, although it listed that profile's settings."""
    file = {"profiles": {"b": {"tenant": "b.example"}}}
    assert settings(file={"profile": "b", **file}).source("profile") == "/etc/nbauth/config.toml"
    assert settings({"profile": "b"}, file={"profile": "b", **file}).source("profile") == (
        "this call"
    )
    assert settings(file=file).source("profile") == "default"


NEAREST_FIRST = ("call", "configured", "environ")


def layer(of: str, **values: str) -> dict[str, Any]:
    """One layer's settings, in the form of that layer."""
    written = {f"NBAUTH_{name.upper()}": value for name, value in values.items()}
    return {of: written if of == "environ" else values}


@pytest.mark.parametrize("name", ["client_id", "authority", "redirect_uri"])
@pytest.mark.parametrize(("named", "sets"), [*itertools.product(NEAREST_FIRST, repeat=2)])
def test_a_profile_overrides_layers_below_the_one_that_names_it(
    named: str, sets: str, name: str
) -> None:
    """``%login --profile idp`` used the configured authority with idp's client_id."""
    ours, other = "https://idp.example", "https://other.example"
    layers = layer(named, profile="idp")
    layers[sets] = layers.get(sets, {}) | layer(sets, **{name: other})[sets]
    found = settings(**layers, file={"profiles": {"idp": {name: ours}}})
    nearer = NEAREST_FIRST.index(sets) <= NEAREST_FIRST.index(named)
    assert getattr(found, name) == (other if nearer else ours)


WORK, IDP = "https://work.example", "https://idp.example"
HOSTS = {"api.work.example": ["read"]}
BOTH = {
    "profiles": {
        "work": {"authority": WORK, "hosts": HOSTS},
        "idp": {"authority": IDP},
        "entra": {"tenant": "contoso.com", "client_id": "c", "hosts": HOSTS},
        "hosts": {"hosts": HOSTS},
    }
}


@pytest.mark.parametrize(
    ("layers", "stay"),
    [
        ({"call": {"profile": "work"}}, True),
        ({"call": {"authority": WORK}, "configured": {"profile": "work"}}, True),
        ({"call": {"authority": f"{WORK}/"}, "configured": {"profile": "work"}}, True),
        ({"call": {"authority": IDP}, "configured": {"profile": "work"}}, False),
        ({"call": {"authority": IDP}, "configured": {"profile": "entra"}}, False),
        ({"call": {"tenant": "t.example"}, "configured": {"profile": "entra"}}, True),
        ({"call": {"profile": "idp"}, "configured": {"profile": "work", "hosts": HOSTS}}, False),
        ({"call": {"profile": "idp"}, "configured": {"authority": WORK, "hosts": HOSTS}}, False),
        ({"call": {"profile": "idp"}, "configured": {"authority": IDP, "hosts": HOSTS}}, True),
        ({"configured": {"profile": "idp", "hosts": HOSTS}}, True),
        ({"configured": {"hosts": HOSTS}, "environ": {"NBAUTH_AUTHORITY": IDP}}, True),
        ({"configured": {"authority": IDP},
          "environ": {"NBAUTH_AUTHORITY": WORK, "NBAUTH_HOSTS": json.dumps(HOSTS)}}, False),
        ({"environ": {"NBAUTH_AUTHORITY": IDP, "NBAUTH_PROFILE": "hosts"}}, True),
        ({"environ": {"NBAUTH_AUTHORITY": IDP, "NBAUTH_PROFILE": "work"}}, False),
    ],
)  # fmt: skip
def test_hosts_apply_to_their_issuer_only(layers: dict[str, Any], stay: bool) -> None:
    """Otherwise idp's token for "read" would be sent to a host that work lists for its issuer."""
    found = settings(**layers, file=BOTH)
    assert bool(found.hosts) is stay
    assert ("hosts" in found.sources) is stay


def test_a_profiles_tenant_overrides_an_authority_of_lower_precedence() -> None:
    file = {"profiles": {"work": {"tenant": "contoso.com"}}}
    found = settings({"profile": "work"}, {"authority": "https://other.example"}, file=file)
    assert (found.tenant, found.authority) == ("contoso.com", None)


def test_a_profile_named_default_is_used_by_default() -> None:
    assert settings(file={"profiles": {"default": {"tenant": "d.example"}}}).tenant == "d.example"


@pytest.mark.parametrize(
    "layers",
    [
        {"call": {"profile": "wrok"}},
        {"configured": {"profile": "wrok"}},
        {"environ": {"NBAUTH_PROFILE": "wrok"}},
        {"file": {"profile": "wrok"}},
    ],
)
def test_an_error_for_an_unknown_profile_lists_the_known_profiles(layers: dict[str, Any]) -> None:
    layers["file"] = {"profiles": {"work": {}, "home": {}}, **layers.get("file", {})}
    error = refused(**layers)
    assert error.code == "unknown_profile"
    assert "'wrok'" in str(error)
    assert "home, work" in str(error)
    assert "Did you mean work?" in str(error)
    assert "/etc/nbauth/config.toml" in str(error)


def test_settings_are_frozen_and_equal_by_value() -> None:
    found = settings({"client_id": "a"})
    assert found == settings({}, {"client_id": "a"})
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.client_id = "b"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("API.contoso.com", "api.contoso.com"),
        ("api.contoso.com:443", "api.contoso.com"),
        ("api.contoso.com:8443", "api.contoso.com:8443"),
        (" api.contoso.com ", "api.contoso.com"),
        ("localhost:5000", "localhost:5000"),
        ("127.0.0.1:5000", "127.0.0.1:5000"),
        ("[::1]:5000", "[::1]:5000"),
        ("my_service.internal", "my_service.internal"),
        ("xn--hst-sna.example", "xn--hst-sna.example"),
    ],
)
def test_hosts_are_normalised_like_a_prepared_url(written: str, read: str) -> None:
    assert settings({"hosts": {written: ["x"]}}).hosts == {read: ("x",)}


@pytest.mark.parametrize("name", [name for name in NAMES if name != "profile"])
def test_other_spellings_of_a_setting_are_recognised(name: str) -> None:
    for written in (
        name.upper(),
        name.replace("_", "-"),
        name.title().replace("_", ""),
        f"{name}x",
    ):
        assert meant(written, SETTINGS) == name


@pytest.mark.parametrize("name", NAMES)
def test_the_suggested_form_of_a_setting_is_valid(name: str) -> None:
    import tomllib

    form = form_of(name).partition(" below ")[0].partition(", or")[0].partition(", false")[0]
    value = tomllib.loads(form) if is_table(name) else tomllib.loads(form)[name]
    check_form(name, value)


def test_a_tilde_is_expanded_or_the_error_says_that_the_home_folder_is_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert read("open_browser", "~/bin/firefox", "test") == str(tmp_path / "bin" / "firefox")
    monkeypatch.setattr("os.path.expanduser", lambda path: path)  # a numeric user without HOME
    for name in ("verify", "open_browser"):
        assert "whose home folder is unknown" in str(refused({name: "~/x"}))

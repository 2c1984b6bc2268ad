"""The doctor's report; the doctor has no other effect."""

from __future__ import annotations

import json
import socket
import sys

import pytest

from nbauth.core.config_file import ConfigFile
from nbauth.core.settings_reader import SettingsReader
from nbauth.jupyter.panel.page import Page
from nbauth.jupyter.places.doctor import Diagnosis, parts
from nbauth.jupyter.places.environment import Evidence
from nbauth.jupyter.places.in_words import INDENT
from nbauth.jupyter.places.obstacles import in_process
from nbauth.kernel.session import Session
from nbauth.kernel.sign_in.no_screen import NoScreen

HUB = Evidence.of("fact:kernel", "env:JUPYTERHUB_SERVICE_PREFIX")
LAB = Evidence.of("fact:kernel", "env:JPY_SESSION_NAME")
DESKTOP = Evidence.of("fact:terminal", "fact:display")
NOBODY = Evidence.of("fact:kernel", "fact:nobody watches")
HUB_PAGE = Page("https://hub.example", "/user/ada/", "", "/hub/")
HUB_PAGE_ADDRESS = "https://hub.example/hub/user-redirect/nbauth/callback"
FILE = {"profiles": {"work": {"client_id": "from-the-file", "tenant": "contoso.com"}}}


class Reader(SettingsReader):
    """A session whose ``config.toml`` is :data:`FILE`."""

    def _read_file(self, environment):
        return FILE, ConfigFile("config.toml", FILE)


def session(**environ):
    return Session(Reader(environ), NoScreen())


def examine(made, options, **seen):
    """The report without the provider's part."""
    (only,) = parts(made, options, **seen)
    assert isinstance(only, Diagnosis)
    return only


def report(made, options):
    return examine(made, options).lines


def entries(diagnosis):
    """label -> its texts; "or", "not" and lines without a label are collected in order."""
    said = {}
    label = ""
    for line in filter(None, diagnosis.lines):
        label = line[:INDENT].strip() or label
        said.setdefault(label, []).append(line[INDENT:].strip())
    return said


@pytest.mark.parametrize(
    ("evidence", "chosen", "others", "refused"),
    [
        (HUB, "callback", ["device", "paste"], ["browser"]),
        (LAB, "browser", ["callback", "device", "paste"], []),
        (DESKTOP, "browser", ["device", "paste"], ["callback"]),
        (NOBODY, "none", [], []),
    ],
)
def test_the_flow_that_auto_chooses_and_why_not_the_others(evidence, chosen, others, refused):
    said = entries(examine(session(NBAUTH_CLIENT_ID="c"), {}, evidence=evidence))
    ways = {label: [text.partition(":") for text in said.get(label, [])] for label in said}
    assert [way for way, _, _ in ways["sign in by"]] == [chosen]
    assert [way for way, _, _ in ways.get("or by", [])] == others
    assert [way for way, _, _ in ways.get("not by", [])] == refused
    assert all(why.strip() for _, _, why in ways.get("not by", []))


class Somewhere(NoScreen):
    """A screen whose obstacle depends only on the setting ``attended``."""

    def obstacle(self):
        return in_process(None, None, self.session.settings().attended)


@pytest.mark.parametrize(
    ("attended", "somebody", "chosen"),
    [
        (None, "cannot answer", "none"),
        ("true", "can answer (attended = true, NBAUTH_ATTENDED)", "browser"),
        ("false", "cannot answer (attended = false, NBAUTH_ATTENDED)", "none"),
        ("AUTO", "cannot answer", "none"),
    ],
)
def test_the_setting_attended_is_shown_and_decides(attended, somebody, chosen):
    screen = Somewhere()
    environ = {"NBAUTH_CLIENT_ID": "c"} | ({"NBAUTH_ATTENDED": attended} if attended else {})
    screen.session = made = Session(Reader(environ), screen)
    said = entries(examine(made, {}, evidence=NOBODY))
    assert said["a person"][0] == somebody
    assert said["sign in by"][0].partition(":")[0] == chosen


def test_the_detected_signals_are_described():
    evidence = Evidence.of("fact:kernel", "env:JPY_SESSION_NAME", "user_ns:__session__")
    said = entries(examine(session(NBAUTH_CLIENT_ID="c"), {}, evidence=evidence))
    assert said["detected"] == ["kernel, notebook variable __session__, variable JPY_SESSION_NAME"]


def test_the_configuration_file_or_the_searched_paths_are_named(tmp_path):
    paths = [tmp_path / "a.toml", tmp_path / "b.toml"]
    made = Session(SettingsReader({}, lambda: paths), NoScreen())
    assert entries(examine(made, {}, evidence=LAB))["config.toml"][1:] == [*map(str, paths)]
    paths[1].touch()
    made = Session(SettingsReader({}, lambda: paths), NoScreen())
    assert entries(examine(made, {}, evidence=LAB))["config.toml"] == [str(paths[1])]


def test_a_configured_flow_is_first_and_shows_its_source():
    made = session(NBAUTH_CLIENT_ID="c", NBAUTH_FLOW="paste")
    said = entries(examine(made, {}, evidence=HUB))
    assert said["sign in by"][0].startswith("paste: ")
    assert said["sign in by"][0].endswith("set (NBAUTH_FLOW)")
    said = entries(examine(made, {"flow": "device"}, evidence=HUB))
    assert said["sign in by"][0].endswith("set (this call)")


def test_settings_show_their_source():
    made = session(NBAUTH_PROFILE="work", NBAUTH_TIMEOUT="90", NBAUTH_TENANT="fabrikam.com")
    made.configure(cloud="usgov")
    said = entries(examine(made, {"client_id": None}, evidence=LAB))
    assert said["client_id"][0].split() == [
        "from-the-file",
        "(profile",
        "'work'",
        "in",
        "config.toml)",
    ]
    assert said["tenant"][0].endswith("(NBAUTH_TENANT)")
    assert said["timeout"][0].split()[0] == "90.0"
    assert said["cloud"][0].endswith("(configured in this kernel)")
    assert said["signs in at"] == ["https://login.microsoftonline.us/fabrikam.com (entra)"]


@pytest.mark.parametrize(
    ("options", "page", "addresses"),
    [
        ({}, None, ["http://localhost,", "<your Jupyter server's address>/nbauth/callback"]),
        (
            {},
            Page("https://lab.example", "/a/"),
            ["http://localhost,", "https://lab.example/a/nbauth/callback"],
        ),
        (
            {},
            Page("https://u.hub.example", "/user/u/", "https://hub.example", "/hub/", "gpu"),
            ["http://localhost,", "https://hub.example/hub/user-redirect/nbauth/callback"],
        ),
        (
            {"authority": "https://id.example"},
            Page("https://lab.example", "/"),
            ["http://127.0.0.1,", "https://lab.example/nbauth/callback"],
        ),
        (
            {"redirect_uri": "https://own.example/nbauth/callback"},
            None,
            ["http://localhost,", "https://own.example/nbauth/callback"],
        ),
        (
            {"redirect_uri": "http://127.0.0.1:8400/cb"},
            None,
            ["http://127.0.0.1:8400/cb", "<your Jupyter server's address>/nbauth/callback"],
        ),
    ],
)
def test_what_to_register(options, page, addresses):
    made = examine(session(NBAUTH_CLIENT_ID="c"), options, page=page, evidence=LAB)
    said = entries(made)["register"]
    assert said[0].startswith("client c")
    loopback, callback, device = said[1:4]
    assert loopback.split()[2] == addresses[0]
    assert callback.removeprefix("callback").strip() == addresses[1]
    assert ("public client flows" in device) is ("authority" not in options)
    assert not made.trouble


def test_the_callback_address_has_the_known_parts_of_the_hubs_address(monkeypatch):
    monkeypatch.setenv("JUPYTERHUB_SERVICE_PREFIX", "/base/user/ada/")
    monkeypatch.setenv("JUPYTERHUB_BASE_URL", "/base/")
    said = entries(examine(session(NBAUTH_CLIENT_ID="c"), {}, evidence=HUB))
    assert "https://<your hub>/base/hub/user-redirect/nbauth/callback" in said["register"][2]
    monkeypatch.setenv("JUPYTERHUB_PUBLIC_HUB_URL", "https://hub.example/base/hub/")
    said = entries(examine(session(NBAUTH_CLIENT_ID="c"), {}, evidence=HUB))
    assert "https://hub.example/base/hub/user-redirect/nbauth/callback" in said["register"][2]


@pytest.mark.parametrize(
    ("environ", "options", "what"),
    [
        ({}, {}, "No client_id is set"),
        ({"NBAUTH_CLIENT_ID": "c"}, {"scopes": ['a"b']}, "'a\"b' is not a scope"),
        (
            {"NBAUTH_CLIENT_ID": "c", "NBAUTH_REDIRECT_URI": "https://localhost/cb"},
            {"flow": "browser"},
            "The setting redirect_uri is https://localhost/cb, which is not a loopback address",
        ),
        (
            {"NBAUTH_CLIENT_ID": "c", "NBAUTH_REDIRECT_URI": "http://[::1"},
            {},
            "The setting redirect_uri (NBAUTH_REDIRECT_URI) must be",
        ),
        ({"NBAUTH_VERIFY": "/nowhere.pem"}, {}, "The setting verify (NBAUTH_VERIFY)"),
        (
            {"NBAUTH_CLIENT_ID": "c", "NBAUTH_FLOW": "password"},
            {},
            "Sign-in with a password is not possible at the authority common",
        ),
        ({"NBAUTH_CLIENT_ID": "c"}, {"profile": "x"}, "There is no profile 'x'"),
        ({"NBAUTH_CLIENT_ID": "c"}, {"authority": "http://id.example"}, "'http://id.example'"),
    ],
)
def test_a_fault_that_prevents_a_sign_in_is_shown_with_its_remedy(environ, options, what):
    made = examine(session(**environ), options, evidence=LAB)
    assert made.trouble[0].startswith(what)
    said, remedy = entries(made)["trouble"]
    assert said.startswith(what)
    assert remedy.startswith("→ ")
    assert entries(made)["place"], "the place is shown in spite of the fault"


@pytest.mark.parametrize("ask", [False, True])
def test_invalid_scopes_are_reported_before_any_request(ask):
    made = session(NBAUTH_CLIENT_ID="c", NBAUTH_AUTHORITY="https://id.invalid")
    (only,) = parts(made, {"scopes": ['a"b']}, evidence=LAB, ask=ask)
    assert ["is not a scope" in one for one in only.trouble] == [True]


@pytest.mark.parametrize("variable", ["NBAUTH_VERIFY", "REQUESTS_CA_BUNDLE"])
def test_an_unusable_ca_file_is_reported_without_a_request(monkeypatch, tmp_path, variable):
    bundle = tmp_path / "ca.pem"
    bundle.touch()
    monkeypatch.setenv(variable, str(bundle))
    made = examine(session(NBAUTH_CLIENT_ID="c", **{variable: str(bundle)}), {}, evidence=LAB)
    assert ["is empty" in one for one in made.trouble] == [True]


def test_profiles_without_a_default_are_reported():
    """In the past, a file with only [profiles.work] was ignored, with the advice to register."""
    made = examine(session(), {}, evidence=LAB)
    said = entries(made)["trouble"]
    assert said[0] == "No client_id is set, and nbauth has no default one."
    assert "config.toml defines work, but selects none" in said[1]
    assert 'profile = "work"' in said[1]


def test_no_password_of_a_setting_is_shown():
    made = session(
        NBAUTH_CLIENT_ID="c",
        NBAUTH_PROXIES='{"https": "http://u:hunter2@proxy"}',
        NBAUTH_EXTRA_PARAMETERS='{"api_key": "hunter2"}',
        NBAUTH_AUTHORITY="https://u:hunter2@id.example",
    )
    for options in ({}, {"authority": "https://id.example"}):
        text = "\n".join(report(made, options))
        assert "hunter2" not in text
        assert "https" in text
        assert "api_key" in text
    refused = "\n".join(report(session(NBAUTH_REDIRECT_URI="http://u:hunter2@localhost"), {}))
    assert "hunter2" not in refused
    assert "NBAUTH_REDIRECT_URI" in refused


@pytest.mark.parametrize(
    ("flow", "address", "page", "fault"),
    [
        ("callback", "https://hub.example/hub/", HUB_PAGE, "does not end in /nbauth/callback"),
        ("auto", "https://nobody.example/nbauth/callback", HUB_PAGE, "at https://hub.example."),
        ("callback", "https://hub.example/", None, "does not end in /nbauth/callback"),
        ("browser", "https://hub.example/", HUB_PAGE, "is not a loopback address"),
        ("callback", "https://hub.example/user/ada/nbauth/callback", HUB_PAGE, None),
        ("device", "https://hub.example/hub/", HUB_PAGE, None),
        ("browser", "https://nobody.example/nbauth/callback", HUB_PAGE, None),
    ],
)
def test_a_wrong_redirect_uri_is_trouble_for_the_flow_that_uses_it(flow, address, page, fault):
    made = session(NBAUTH_CLIENT_ID="c", NBAUTH_REDIRECT_URI=address)
    said = examine(made, {"flow": flow}, page=page, evidence=HUB)
    assert len(said.trouble) == (fault is not None)
    if fault is not None:
        assert fault in said.trouble[0]
        assert entries(said)["trouble"][1].endswith("was set here: NBAUTH_REDIRECT_URI.")
        usual = HUB_PAGE_ADDRESS if page else "<your Jupyter server's address>/nbauth/callback"
        assert usual in entries(said)["register"][2]


def test_hostile_text_in_a_setting_adds_no_line():
    made = session(NBAUTH_CLIENT_ID="c\u2028\x9b31mtrouble \u202e")
    lines = report(made, {})
    assert [line.startswith("trouble") for line in lines].count(True) == 1, "it is refused, once"
    assert not any(line.startswith("\x1b") for line in lines)
    assert not any("\x1b" in line or "\u202e" in line for line in lines)


def test_it_starts_no_sign_in_and_sends_no_request(monkeypatch):
    def refuse(*args, **options):
        raise AssertionError("the doctor opened a socket")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "bind", refuse)
    assert report(session(NBAUTH_CLIENT_ID="c"), {})


def test_the_server_extension_is_found_in_jupyters_configuration(monkeypatch, tmp_path):
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(tmp_path))
    monkeypatch.setenv("JUPYTER_PREFER_ENV_PATH", "0")
    folder = tmp_path / "jupyter_server_config.d"
    folder.mkdir()
    for on, word in ((True, "enabled"), (False, "disabled")):
        enabling = {"ServerApp": {"jpserver_extensions": {"nbauth.server": on}}}
        (folder / "nbauth.json").write_text(json.dumps(enabling))
        said = entries(examine(session(), {}, evidence=LAB))
        assert said["nbauth.server"] == [f"{word} in {tmp_path}"]


def test_without_jupyter_server_it_names_the_package_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "jupyter_server.config_manager", None)
    said = entries(examine(session(), {}, evidence=LAB))
    assert "pip install 'nbauth[server]'" in said["nbauth.server"][0]


def test_an_affected_ipykernel_is_reported(monkeypatch):
    for version, said in (("6.29.5", 0), ("7.0.1", 1), ("7.3.0", 1), ("7.4.0", 0), ("7.10.0", 0)):
        monkeypatch.setattr(
            "nbauth.jupyter.places.doctor._version", lambda name, version=version: version
        )
        assert "\n".join(report(session(), {})).count("may hang when a page is opened") == said

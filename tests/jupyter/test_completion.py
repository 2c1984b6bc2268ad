"""Completion in a magic's line, with and without jedi: only values of nbauth are offered."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from IPython.core.completer import provisionalcompleter

from nbauth.core import flow_names
from nbauth.jupyter.known_values import GRAPH_SCOPES
from tests.jupyter.typed import Shell, shell

OPTIONS = {
    "%login --fl": ["--flow"],
    "%login --flow d": ["device", "databricks"],
    "%login --flow=d": ["device", "databricks"],
    "%login --flow ": list(flow_names.names()),
    "%login --flow device --fl": [],
    "%login --persist ": ["memory", "keyring", "file"],
    "%login --prompt c": ["consent", "create"],
    "%login --account ": ["ada@example.com", "o'brien@example.com"],
    "%login --account A": ["ada@example.com"],
    '%login --account "o': ["o'brien@example.com"],
    "%login --account=o": ["o'brien@example.com"],
    "%login --login-hint o": ["o'brien@example.com"],
    "%login --profile w": ["work"],
    "%login --timeout ": [],
    "%login --claims ": [],
    "%login --nonsense": [],
    "%login xyzzy": [],
    "%login # --fl": [],
    "%login;": [],
    "%login ;": [],
    "%login --client-id x --fl": ["--flow"],
    "%login --flow device \\\n  --pers": ["--persist"],
    "x = %token --in": ["--into"],
    "x, y = %token --in": ["--into"],
    "d['k'] = %token --in": ["--into"],
    "    %token --he": ["--header", "--help"],
    "if True:\n    t = %token --fo": ["--force-refresh"],
    "x = 1\n%login --fl": ["--flow"],
    "login --fl": ["--flow"],
    "%token re": ["read"],
    "%token $ten": ["$tenant"],
    "%token {ten": ["{tenant"],
    "%logout --": ["--all", "--revoke", "--forget", "--profile", "--account", "--quiet", "--help"],
    "%accounts ": ["use", "drop", "--profile", "--account", "--quiet"],
    "%accounts u": ["use"],
    "%accounts use ": [
        "ada@example.com", "o'brien@example.com", "--profile", "--account", "--quiet",
    ],
    "%accounts use o": ["o'brien@example.com"],
    "%login --profile tw": ['"two words"'],
    "%login --profile 'tw": ["two words"],
    '%login --profile "two w': ["two words"],
    "%login --profile o'": ["o'neil"],
    "%login --profile q": ['"q\\"\\$u{x}"'.replace("{x}", "\\{x\\}")],
    '%login --profile "q': ['q\\"\\$u\\{x\\}'],
    "%login --profile 'q": ['q"$$u{{x}}'],
    "%login x$ten": ["$tenant"],
    "%login --login-hint a-{ten": ["{tenant"],
    "%login ${ten": ["${tenant"],
    "%login $$ten": [],
    "%login '{ten": ["{tenant"],
    "%login -- --fl": [],
    "%token --str re": ['"read"'],
    "%token --header re": ['"read"'],
    "%token --str open": ["openid"],
    "%token --str read re": [],
    "%token --str --quiet re": ["read"],
    "d[\"a'b\"] = %token --in": ["--into"],
    "%%auth --": ["--host", "--profile", "--account", "--quiet", "--help"],
    "\n%%auth --ho": ["--host"],
    "%%auth --host ": ["api.example", "other.example:8443"],
    "%%auth --host api.example ot": ["other.example:8443"],
    "%%auth --quiet re": ["read"],
    "%%auth read re": [],
    "%%auth --account a": ["ada@example.com"],
    "%%auth --profile w": ["work"],
    "%%auth read \\\n    --ho": ["--host"],
    "%whoami --": ["--profile", "--account", "--quiet", "--help"],
    "%graph GET me/dri": [
        "me/drive/root/children", "me/drive/root/delta", "me/drive", "me/drives",
    ],
    "graph me/pla": ["me/planner/tasks", "me/planner"],
    "x = %graph users/ada@example.com/mess": ["users/ada@example.com/messages"],
    "%graph Users/{user}/manag": ["Users/{user}/manager"],
    "%graph de": ["DELETE", "devices", "deviceManagement/managedDevices", "deviceManagement"],
    "%graph users/{us": ["{user"],
    "%graph users/$us": ["$user"],
    "%graph users/$co": ["$count"],
    "%graph users?$se": ["$select=", "$search="],
    "%graph users?$select=id&$to": ["$top="],
    "%graph users?$filter=a eq 'b c'&$top=1&$co": ["$count="],
    "%graph users?$expand=manager($sel": ["$select="],
    "%graph users?$filter=surname eq '$us": ["$user"],
    "%graph users?$filter=sur": [],
    "%graph users --cl": ["--cloud"],
    "%graph users --cloud us": ["usgov"],
    "%graph users --account a": ["ada@example.com"],
    "%graph users -o d": [],
    "%graph users --select id mail": [],
    "%%graph --be": ["--beta"],
    "%%graph POST me/mess": ["me/messages"],
    "%%graph\nGET me/pla": ["me/planner/tasks", "me/planner"],
    "%%graph --beta -o x\nme\nusers?$se": ["$select=", "$search="],
}  # fmt: skip


@contextmanager
def with_profiles(folder: Path) -> Iterator[Shell]:
    names = ("work", "two words", "o'neil", 'q"$u{x}')
    sections = (f"[profiles.{json.dumps(name)}]\nclient_id = 'x'\n" for name in names)
    config = folder / "config.toml"
    config.write_text("".join(sections), "utf-8")
    with shell("o'brien", "ada") as made:
        made.bench.session.reader._find_paths = lambda: [config]
        made.bench.session.reader._paths = (None, ())
        yield made


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    with with_profiles(tmp_path_factory.mktemp("config")) as made:
        yield made


def completed(here: Shell, text: str) -> list[str]:
    with provisionalcompleter():
        found = list(here.shell.Completer.completions(text, len(text)))
    assert all(text[each.start :] == text[each.start : each.end] for each in found)
    return [each.text for each in found]


@pytest.mark.parametrize("jedi", [True, False], ids=["jedi", "no-jedi"])
@pytest.mark.parametrize("text", OPTIONS, ids=[str(number) for number in range(len(OPTIONS))])
def test_completion_offers_exactly_these_values(here: Shell, text: str, jedi: bool) -> None:
    here.shell.Completer.use_jedi = jedi
    assert completed(here, text) == OPTIONS[text]


@pytest.mark.parametrize("jedi", [True, False], ids=["jedi", "no-jedi"])
@pytest.mark.parametrize("magic", ["login", "token", "logout", "accounts", "whoami", "graph"])
def test_all_options_of_a_magic_and_no_others(here: Shell, magic: str, jedi: bool) -> None:
    here.shell.Completer.use_jedi = jedi
    options = here.shell.find_line_magic(magic).__func__.options
    options = [name for name in options if name.startswith("--")]
    assert completed(here, f"%{magic} --") == [*options, "--help"]
    line = f"%{magic} --"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PendingDeprecationWarning)
        _, found = here.shell.complete("", line, len(line))  # as some front ends ask
    assert list(found) == [*options, "--help"]


@pytest.mark.parametrize(
    "text",
    ["%%login --fl", "login = --fl", "print --fl", "'x = %login --fl", "# %login --fl",
     "%timeit --fl", "logins --fl", "x == %login --fl", "%login.x --fl",
     "%auth --ho", "x = %%auth --ho", "1\n%%auth --ho", "%%authx --ho", "auth --ho"],
)  # fmt: skip
def test_other_lines_are_left_to_ipython(here: Shell, text: str) -> None:
    assert not {"--flow", "--host"}.intersection(completed(here, text))


def test_a_variable_with_the_name_of_a_magic_is_not_completed(here: Shell) -> None:
    here.shell.user_ns["login"] = 1
    try:
        assert "--flow" not in completed(here, "login --fl")
        assert completed(here, "%login --fl") == ["--flow"]
    finally:
        del here.shell.user_ns["login"]


def test_scopes_are_those_of_the_authority(here: Shell) -> None:
    assert completed(here, "%token ")[:5] == [
        "openid",
        "profile",
        "email",
        "offline_access",
        "read",
    ]
    here.bench.session.configure(authority="https://login.microsoftonline.com/contoso.com")
    try:
        assert completed(here, "%login user.r") == [
            scope for scope in GRAPH_SCOPES if scope.startswith("User.R")
        ]
        assert completed(here, "%login x --consent-also Mail.")[:1] == ["Mail.Read"]
    finally:
        here.bench.session.configure(authority=None)


def test_completion_evaluates_requests_and_sends_nothing(here: Shell) -> None:
    here.type("ran = []")
    for text in ("%login {ran.append(1)} --", "%login $ran --fl", "x = %token {ran.append(2)"):
        completed(here, text)
    assert here.shell.user_ns["ran"] == []
    assert [call for engine in here.bench.engines.values() for call in engine.calls] == []
    assert here.bench.screen.shown == []


def test_with_invalid_settings_completion_offers_nothing(here: Shell) -> None:
    reader = here.bench.session.reader
    find, reader._find_paths = reader._find_paths, lambda: 1 / 0
    reader._paths = (None, ())
    try:
        assert completed(here, "%login --profile ") in ([], ["work"])
        assert completed(here, "%login --fl") == ["--flow"]
    finally:
        reader._find_paths, reader._paths = find, (None, ())


def test_unloading_leaves_the_completer_as_it_was() -> None:
    with shell() as made:
        before = list(made.shell.Completer.custom_matchers)
        assert len(before) == 1
    assert made.shell.Completer.custom_matchers == []


# The shell is one: from here on, the one of the module is unloaded.


def test_what_is_offered_can_be_run(tmp_path: Path) -> None:
    lines = (
        "%accounts use ", "%login --quiet --account ", "%token --str ", "%token --header ",
        "%token --profile ", "%token --profile '", '%token --profile "', "%token ", "%login ",
    )  # fmt: skip
    with with_profiles(tmp_path) as here:
        offered = {text: completed(here, text) for text in lines}
        for text, every in offered.items():
            quote = text[-1] if text[-1] in "\"'" else ""
            for found in every:
                if not found.startswith("--"):
                    assert "Error" not in here.type(f"{text}{found}{quote}"), text

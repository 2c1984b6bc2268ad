"""The table of places: each row is found from the signals of its host."""

from __future__ import annotations

import subprocess
import sys
import threading
import tomllib
from importlib import resources
from types import SimpleNamespace

import pytest

from nbauth.jupyter.places import environment
from nbauth.jupyter.places.environment import Evidence, look, place, places
from nbauth.oauth.flows import FLOWS


@pytest.fixture(autouse=True)
def nothing_of_this_machine(monkeypatch):
    """Remove the signals of the developer's machine, such as VS Code, SSH and a desktop."""
    signals = {signal for row in places() for signal in (*row.signals, *row.also)}
    for signal in signals | {"env:DISPLAY", "env:WAYLAND_DISPLAY"}:
        monkeypatch.delenv(signal.partition(":")[2], raising=False)


KERNEL = "fact:kernel"
JUPYTER = (KERNEL, "env:JPY_SESSION_NAME", "user_ns:__session__")
HUB = (*JUPYTER, "env:JUPYTERHUB_SERVICE_PREFIX", "env:JUPYTERHUB_USER")
CODE = (KERNEL, "user_ns:__vsc_ipynb_file__", "env:VSCODE_PID", "env:VSCODE_CWD")
SSH = ("env:SSH_CONNECTION", "env:SSH_TTY")

#: the signals there -> the place, whether kernel and browser are apart, and the flows
HOSTS = [
    (JUPYTER, "JupyterLab or Notebook", None, "browser callback device paste"),
    ((*JUPYTER, *SSH), "Jupyter over SSH", None, "browser callback device paste"),
    (HUB, "JupyterHub", True, "callback device paste"),
    ((*HUB, "env:BINDER_LAUNCH_HOST", "env:BINDER_REPO_URL"), "Binder", True, "device paste"),
    ((KERNEL, "module:google.colab", "env:COLAB_RELEASE_TAG"), "Colab", True, "device paste"),
    ((KERNEL, "env:VERTEX_PRODUCT"), "Colab Enterprise", True, "device paste"),
    ((KERNEL, "module:google.colab", "env:KAGGLE_KERNEL_RUN_TYPE"), "Kaggle", True, "device paste"),
    (CODE, "VS Code", None, "browser device paste"),
    ((*CODE, *SSH), "VS Code, kernel on another machine", True, "device paste"),
    ((*CODE, "env:REMOTE_CONTAINERS"), "VS Code, kernel on another machine", True, "device paste"),
    ((*CODE, *HUB), "VS Code, kernel on another machine", True, "device paste"),
    ((*CODE, "env:CODESPACES", "env:CODESPACE_NAME"), "Codespaces", True, "device paste"),
    ((*JUPYTER, "env:CODESPACES"), "Codespaces", True, "device paste"),
    ((KERNEL, "env:DATABRICKS_RUNTIME_VERSION"), "Databricks", True, "device paste"),
    ((*JUPYTER, "file:/opt/ml/metadata/resource-metadata.json"), "SageMaker", True,
     "callback device paste"),
    ((*JUPYTER, "file:/mnt/azmnt/.nbvm"), "Azure ML", True, "callback device paste"),
    ((KERNEL, "env:KERNEL_GATEWAY"), "kernel behind a gateway", True, "callback device paste"),
    ((*JUPYTER, "fact:kernel reached from elsewhere"), "kernel behind a gateway", True,
     "callback device paste"),
    ((KERNEL,), "a kernel", None, "browser callback device paste"),
    (("fact:terminal", "fact:display"), "terminal", False, "browser device paste"),
    (("fact:terminal",), "terminal without a desktop", None, "device paste"),
    (("fact:terminal", "fact:display", *SSH), "terminal over SSH", True, "device paste"),
    (("fact:terminal", *HUB[3:]), "terminal without a desktop", None, "device paste"),
    (("fact:script", "fact:display", "env:JUPYTERHUB_USER"), "script without a terminal", None, ""),
    ((*HUB, "fact:nobody watches"),
     "unattended run (papermill, nbconvert, nbclient, jupyter execute)", None, ""),
    ((KERNEL, "fact:nobody watches", "env:VOILA_BASE_URL"), "Voila", None, "device paste"),
    (("fact:marimo",), "marimo", None, "device paste"),
    ((), "a program with no notebook", None, ""),
]  # fmt: skip


@pytest.mark.parametrize(("seen", "name", "apart", "ways"), HOSTS)
def test_place(seen, name, apart, ways):
    found = place(Evidence.of(*seen))
    assert (found.name, found.apart, " ".join(found.ways)) == (name, apart, ways)


def test_every_row_is_reached_by_a_host_above():
    assert {row.name for row in places()} <= {name for _, name, _, _ in HOSTS}


def test_every_entry_of_the_table_is_valid():
    text = resources.files("nbauth.jupyter.places").joinpath("places.toml").read_text("utf-8")
    kinds = {"env", "module", "file", "user_ns", "fact"}
    for row in tomllib.loads(text)["place"]:
        assert row.keys() <= {"name", "signals", "also", "apart", "ways", "note", "source"}
        assert row["note"].endswith(".")
        assert row["source"]
        assert set(row["ways"]) <= FLOWS.keys()
        assert {
            signal.partition(":")[0] for signal in (*row["signals"], *row.get("also", ()))
        } <= kinds


def test_look_finds_variables_that_are_set_and_no_value(monkeypatch):
    monkeypatch.setenv("KAGGLE_KERNEL_RUN_TYPE", "secret-value")
    monkeypatch.setenv("COLAB_RELEASE_TAG", "")
    monkeypatch.setitem(sys.modules, "google.colab", SimpleNamespace())
    evidence = look()
    assert {"env:KAGGLE_KERNEL_RUN_TYPE", "module:google.colab"} <= evidence.seen
    assert "env:COLAB_RELEASE_TAG" not in evidence.seen, "an empty variable does not count"
    assert "secret-value" not in repr(evidence)


def running_kernel(monkeypatch, parent, **application):
    """A kernel whose request is ``parent``."""
    kernel = SimpleNamespace(
        get_parent=lambda channel: parent, parent=SimpleNamespace(**application)
    )
    shell = SimpleNamespace(kernel=kernel, user_ns={"__session__": "a.ipynb"})
    monkeypatch.setattr(environment, "shell", lambda: shell)
    return kernel


ASKED = {"header": {"msg_type": "execute_request"}, "content": {"allow_stdin": True}}
UNASKED = {"header": {"msg_type": "execute_request"}, "content": {"allow_stdin": False}}
CLICKED = {"header": {"msg_type": "comm_msg"}, "content": {"data": {}}}


@pytest.mark.parametrize(("parent", "watched"), [(ASKED, True), (UNASKED, False), (CLICKED, True)])
def test_allow_stdin_decides_whether_a_person_is_there(monkeypatch, parent, watched):
    running_kernel(monkeypatch, parent)
    assert ("fact:nobody watches" in look().seen) is not watched
    assert bool(place().ways) is watched


def test_the_place_is_the_same_in_another_thread(monkeypatch):
    """Another thread can't show a sign-in, but the place does not depend on the thread."""
    running_kernel(monkeypatch, UNASKED)
    told = []
    thread = threading.Thread(target=lambda: told.append(place().ways))
    thread.start()
    thread.join(5)
    assert told == [("browser", "callback", "device", "paste")]


@pytest.mark.parametrize(
    ("application", "elsewhere"),
    [
        ({"ip": "127.0.0.1", "transport": "tcp"}, False),
        ({"ip": "localhost", "transport": "tcp"}, False),
        ({"ip": "::1", "transport": "tcp"}, False),
        ({"ip": "0.0.0.0", "transport": "tcp"}, True),
        ({"ip": "10.1.2.3", "transport": "tcp"}, True),
        ({"ip": "/run/kernel-ipc", "transport": "ipc"}, False),
        ({"ip": "", "transport": "tcp"}, False),
        ({}, False),
    ],
)
def test_where_the_kernel_listens(monkeypatch, application, elsewhere):
    running_kernel(monkeypatch, ASKED, **application)
    assert ("fact:kernel reached from elsewhere" in look().seen) is elsewhere


def test_a_closed_or_missing_standard_input_is_not_a_terminal(monkeypatch):
    for stdin in (None, SimpleNamespace()):
        monkeypatch.setattr(sys, "stdin", stdin)
        assert "fact:script" in look().seen


def test_importing_it_reads_no_table_and_opens_no_socket():
    code = """
import sys
events = []
sys.addaudithook(lambda name, args: events.append((name, str(args[:1]))))
import nbauth.jupyter.places.environment
print([event for event in events if event[0].startswith("socket") or "places.toml" in event[1]
       and event[0] == "open"], "tomllib" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[] False\n"

"""Each kind of variable that ``%token`` sets × each way in which its account may end."""

from __future__ import annotations

import builtins
import copy
import json
import os
import pickle
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import httpx
import pytest
import requests
from urllib3 import PoolManager

import nbauth
from nbauth.core.errors import NbAuthError, NotSignedIn
from nbauth.core.live_header import LiveHeader
from nbauth.core.tokens import IdToken, Token
from nbauth.testing.engine import unreachable
from tests.jupyter.test_variables import Cell
from tests.jupyter.typed import Shell, shell
from tests.kernel.conftest import Bench, bench, clock  # noqa: F401 - fixtures
from tests.kernel.lines import interrupted

KINDS = {
    "live": "--into {}_live",
    "text": "--into {}_text --str",
    "header": "--into {}_header --header",
    "id": "--into {}_id --id",
    "id_text": "--into {}_id_text --id --str",
    "id_header": "--into {}_id_header --id --header",
    "ENV": "--env {}_ENV",
    "ID_ENV": "--id --env {}_ID_ENV",
}
HOUR = 3600.0
MINE = "ada_ENV"
"""An environment variable that has a value of the user before."""


@pytest.fixture
def here() -> Iterator[Shell]:
    """A shell in which ada and bob have every kind of variable."""
    with shell() as made, pytest.MonkeyPatch.context() as patch:
        for module in ("accounts.cached_token", "accounts.id_token_life", "id_tokens"):
            patch.setattr(f"nbauth.kernel.{module}.time", made.bench.clock)
        patch.setenv(MINE, "my own")
        for user in ("bob", "ada"):
            made.bench.sign_in("openid", "read", user=user, force=True)
            fill(made, user)
        made.bench.engine.calls.clear()
        yield made


def fill(made: Shell, user: str) -> None:
    for options in KINDS.values():
        said = made.type(f"%token openid read --account {user}@example.com {options.format(user)}")
        assert "Error" not in said


def texts(value: object) -> list[str]:
    """The texts in a variable, as code of the user would read them."""
    try:
        if isinstance(value, Mapping):
            return [str(one) for one in value.values()]
        return [str(value)] if isinstance(value, (str, Token)) else []
    except NbAuthError:
        return []


def secrets_of(made: Shell, user: str) -> dict[str, str]:
    """The variables of the notebook and of the environment that have a token of this user."""
    made_here = {
        name: value
        for name, value in made.shell.user_ns.items()
        if not name.startswith("_") and name != "Out"  # the shell's history, also of other tests
    }
    known = {**made_here, **os.environ}
    marks = (f"access-{user}-", f"id-{user}-")
    return {
        name: text
        for name, value in known.items()
        for text in texts(value)
        if any(mark in text for mark in marks)
    }


def names(user: str) -> set[str]:
    return {f"{user}_{kind}" for kind in KINDS}


def test_each_kind_gives_the_token(here: Shell) -> None:
    found = secrets_of(here, "ada")
    assert found.keys() == names("ada")
    access = here.bench.read("openid", "read")
    for kind in ("live", "text", "ENV"):
        assert found[f"ada_{kind}"] == access
    assert found["ada_header"] == f"Bearer {access}"
    id_token = here.bench.session.acquire("openid", "read").id_token
    for kind in ("id", "id_text", "ID_ENV"):
        assert found[f"ada_{kind}"] == id_token
    assert found["ada_id_header"] == f"Bearer {id_token}"
    assert type(here.shell.user_ns["ada_id"]) is IdToken


# ── refresh ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("lifetime", "id_lifetime"), [(600, HOUR), (HOUR, 600), (HOUR, HOUR)])
def test_before_each_cell_no_variable_is_stale(
    here: Shell, lifetime: float, id_lifetime: float
) -> None:
    here.bench.engine.lifetime, here.bench.engine.id_lifetime = lifetime, id_lifetime
    for user in ("ada", "bob"):
        account = here.bench.session.cache.named(f"{user}@example.com")
        here.bench.session.acquire("openid", "read", account=account, force_refresh=True)
    here.type("1")
    for _ in range(5):
        before = here.bench.refreshes
        here.bench.clock.advance(490)
        here.type("1")
        once = here.bench.refreshes
        assert once <= before + 2  # one for each account
        for user in ("ada", "bob"):
            account = here.bench.session.cache.named(f"{user}@example.com")
            result = here.bench.session.acquire("openid", "read", account=account)
            found = secrets_of(here, user)
            assert found.keys() == names(user)
            assert set(found.values()) == {
                *(f"{bearer}{result.access_token}" for bearer in ("", "Bearer ")),
                *(f"{bearer}{result.id_token}" for bearer in ("", "Bearer ")),
            }
        assert here.bench.refreshes == once


def test_while_a_cell_runs_only_the_live_kinds_are_refreshed(here: Shell) -> None:
    before = secrets_of(here, "ada")
    here.bench.clock.advance(HOUR - 100)
    after = secrets_of(here, "ada")
    same = {name for name in names("ada") if before[name] == after[name]}
    assert same == {f"ada_{kind}" for kind in ("text", "id_text", "ENV", "ID_ENV")}


def test_an_error_of_a_refresh_gives_one_line_for_each_text(here: Shell) -> None:
    here.bench.engine.live.clear()
    here.bench.clock.advance(HOUR + 1)
    said = here.type("1")
    for _ in range(3):
        assert "could not be refreshed" not in here.type("1")
    lines = [line for line in said.splitlines() if "could not be refreshed" in line]
    stale = {f"{user}_{kind}" for user in ("ada", "bob")
             for kind in ("text", "id_text", "ENV", "ID_ENV")}  # fmt: skip
    assert {line.split()[0] for line in lines} == stale
    assert len(lines) == len(stale)
    here.type("%logout --all")
    assert not secrets_of(here, "ada")


def test_an_id_token_that_only_a_sign_in_renews(here: Shell) -> None:
    here.bench.engine.renews_id_tokens = False
    here.bench.clock.advance(HOUR - 290)
    assert "could not" not in here.type("1")  # it is valid
    here.bench.clock.advance(290)
    said = here.type("1")
    assert said.count("only at a sign-in") == 4
    assert "ada_id_text could not be refreshed: The ID token of ada@example.com has" in said
    assert "ada_text" not in said


# ── the end of an account ───────────────────────────────────────────────────────────────────

ENDS: dict[str, str] = {
    "logout": "%logout",
    "by name": "%logout --account ada@example.com",
    "revoke": "%logout --revoke",
    "drop": "%accounts drop ada@example.com",
    "all": "%logout --all",
    "forget": "%logout --forget",
    "function": "import nbauth; nbauth.logout()",
    "unload": "%unload_ext nbauth",
    "reload": "%reload_ext nbauth",
}


@pytest.mark.parametrize("end", ENDS)
def test_after_the_end_no_variable_has_a_secret(here: Shell, end: str) -> None:
    here.shell.user_ns["kept"] = "mine"
    held = {name: here.shell.user_ns[name] for name in names("ada") if name in here.shell.user_ns}
    here.type(ENDS[end])
    assert not secrets_of(here, "ada")
    assert not names("ada") & here.shell.user_ns.keys()
    assert os.environ[MINE] == "my own"
    assert "ada_ID_ENV" not in os.environ
    assert here.shell.user_ns["kept"] == "mine"
    others = end in ("logout", "by name", "revoke", "drop", "function")
    assert secrets_of(here, "bob").keys() == (names("bob") if others else set())
    if end not in ("unload", "reload"):
        for kind in ("live", "header", "id", "id_header"):  # other names of the same objects
            assert texts(held[f"ada_{kind}"]) == []
    if end == "reload":
        fill(here, "ada")
        assert secrets_of(here, "ada").keys() == names("ada")
    if end == "unload":
        here.shell.run_line_magic("load_ext", "nbauth")


def test_a_sign_out_of_another_kernel(here: Shell) -> None:
    key = here.bench.session.cache.named("ada@example.com")
    record = here.bench.session.cache.signed_in[key]
    here.bench.session.cache.remove(key, elsewhere=record)
    thread = threading.Thread(target=here.bench.session.changed.emit)
    thread.start()
    thread.join()
    assert not secrets_of(here, "ada")
    assert secrets_of(here, "bob").keys() == names("bob")


@pytest.mark.parametrize(
    "change",
    ["%accounts use bob@example.com", "import nbauth; nbauth.configure(client_id='other')",
     "%login --force read"],
)  # fmt: skip
def test_a_change_of_account_or_settings_leaves_them(here: Shell, change: str) -> None:
    here.type(change)
    here.bench.clock.advance(HOUR)
    here.type("1")
    for user in ("ada", "bob"):
        assert secrets_of(here, user).keys() == names(user)


# ── what is the user's ──────────────────────────────────────────────────────────────────────


def test_what_the_user_has_set_stays(here: Shell) -> None:
    """An equal text, a copied one, a text of the same token, and a second name."""
    code = [
        "ada_text = str(ada_text) + ''",
        "ada_live = 'mine'",
        "ada_header = dict(a=1)",
        "import nbauth",
        "ada_id_text = nbauth.acquire('openid', 'read', account='ada@example.com').id_token",
        "import os; os.environ['ada_ENV'] = 'changed'",
        "second = ada_id",
        "del ada_id",
        "ada_id_header['Accept'] = 'text/plain'",
    ]
    assert here.type("\n".join(code)) == ""
    assert here.type("%accounts").count("ada_") == 2  # ada_id_header, ada_ID_ENV
    here.type("%logout --all")
    stays = {name for name in here.shell.user_ns if name.startswith("ada_")}
    assert stays == {"ada_text", "ada_live", "ada_header", "ada_id_text"}
    assert os.environ[MINE] == "changed"
    assert texts(here.shell.user_ns["second"]) == []


def test_percent_reset_and_another_namespace(here: Shell) -> None:
    here.type("%reset -f")
    assert not names("ada") & here.shell.user_ns.keys()
    assert "ada_text" not in here.type("%accounts")
    fill(here, "ada")
    first = here.shell.user_ns
    here.shell.user_ns = {name: one for name, one in first.items() if "ada" not in name}
    try:
        here.type("%token openid read --into elsewhere --str")
        assert "elsewhere" in here.shell.user_ns
        assert "elsewhere" not in first
        here.type("%logout --all")
        assert "elsewhere" not in here.shell.user_ns
    finally:
        here.shell.user_ns = first
    assert not secrets_of(here, "ada")


def test_a_builtin_is_there_again(here: Shell) -> None:
    here.type("%token --into vars")
    assert here.shell.user_ns["vars"] is not builtins.vars
    here.type("%logout")
    assert here.type("vars is __import__('builtins').vars").endswith("True")


@pytest.mark.parametrize("order", [list(KINDS), list(reversed(KINDS))])
def test_one_name_for_one_kind_after_the_other(here: Shell, order: list[str]) -> None:
    for kind in order:
        target = "--env ada_ENV" if "ENV" in kind else "--into one"
        flags = [flag for flag in KINDS[kind].split() if flag in ("--id", "--str", "--header")]
        here.type(f"%token openid read {target} {' '.join(flags)}")
        here.bench.clock.advance(HOUR - 10)
        assert "Error" not in here.type("1")
        assert "access-" in os.environ[MINE] or "id-" in os.environ[MINE]
    assert texts(here.shell.user_ns["one"])
    here.type("%logout --all")
    assert "one" not in here.shell.user_ns
    assert os.environ[MINE] == "my own"


# ── %accounts ───────────────────────────────────────────────────────────────────────────────


def test_accounts_lists_the_names_without_values(here: Shell) -> None:
    table = here.shell.run_line_magic("accounts", "")
    head, *rows = repr(table).splitlines()
    assert head.split()[-1] == "variables"
    for user in ("ada", "bob"):
        (row,) = (row for row in rows if f"{user}@" in row)
        listed = [f"{user}_{kind}" for kind in KINDS if "ENV" not in kind]
        listed += [f"{user}_{kind} (environment)" for kind in KINDS if "ENV" in kind]
        assert row.endswith("  " + ", ".join(listed))
        assert f">{', '.join(listed)}<" in table._repr_html_()
    for text in (repr(table), table._repr_html_(), here.type("%whoami")):
        assert "access-" not in text
        assert "id-ada" not in text
        assert "ada_id_header" in text
    here.type("%logout --all")
    assert "variables" not in repr(here.shell.run_line_magic("accounts", ""))


# ── the header ──────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def echo() -> Iterator[str]:
    """A server that answers with the headers of the request."""

    class Echo(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(dict(self.headers.items())).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Echo)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


def by_urllib(url: str, header: Any) -> Any:
    with urlopen(Request(url, headers=header)) as response:
        return json.load(response)


def by_session(url: str, header: Any) -> Any:
    with requests.Session() as session:
        session.headers = header
        return session.get(url).json()


def by_urllib3(url: str, header: Any) -> Any:
    return PoolManager().request("GET", url, headers=header).json()


LIBRARIES: dict[str, Callable[[str, Any], Any]] = {
    "requests": lambda url, header: requests.get(url, headers=header, timeout=5).json(),
    "requests session": by_session,
    "httpx": lambda url, header: httpx.get(url, headers=header, trust_env=False).json(),
    "urllib": by_urllib,
    "urllib3": by_urllib3,
    "urllib3 pool": lambda url, header: PoolManager(headers=header).request("GET", url).json(),
    "copied": lambda url, header: requests.get(url, headers={**header}, timeout=5).json(),
    "dict": lambda url, header: requests.get(url, headers=dict(header), timeout=5).json(),
    "merged": lambda url, header: requests.get(url, headers={"A": "b"} | header, timeout=5).json(),
}


def test_http_libraries_accept_the_header_and_send_the_current_token(
    here: Shell, echo: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "*")
    header = here.shell.user_ns["ada_header"]
    header["X-Mine"] = "1"
    sent = set()
    for send in LIBRARIES.values():
        seen = {name.lower(): value for name, value in send(echo, header).items()}
        assert seen["x-mine"] == "1"
        assert seen["authorization"] == f"Bearer {here.bench.read('openid', 'read')}"
        sent.add(seen["authorization"])
        here.bench.clock.advance(HOUR - 10)
    assert len(sent) == len(LIBRARIES)


def test_the_header_is_a_masked_mapping(here: Shell) -> None:
    header = here.shell.user_ns["ada_header"]
    text = here.bench.read("openid", "read")
    assert (len(header), list(header), "Authorization" in header) == (1, ["Authorization"], True)
    header["Accept"] = "b"
    assert header | {"C": "d"} == {"Authorization": f"Bearer {text}", "Accept": "b", "C": "d"}
    assert {"C": "d"} | header == {"Authorization": f"Bearer {text}", "Accept": "b", "C": "d"}
    assert header["authorization"] == f"Bearer {text}"
    for shown in (repr(header), repr({**header}), str(header), here.type("ada_header")):
        assert text not in shown
    assert copy.copy(header) is copy.deepcopy(header) is header
    other = header.copy()
    other["E"] = "f"
    assert (dict(other), "E" in header) == (dict(header) | {"E": "f"}, False)
    assert text not in repr(other)
    for dump in (pickle.dumps, json.dumps):
        with pytest.raises(TypeError):
            dump(header)
    with pytest.raises(TypeError):
        header | 1
    here.type("%logout --all")
    assert "Authorization" in header
    with pytest.raises(NotSignedIn):
        header["Authorization"]
    del header["Accept"], header["authorization"]
    assert dict(header) == {}
    with pytest.raises(KeyError):
        header["Authorization"]


def test_the_users_own_authorization_replaces_the_token(here: Shell) -> None:
    header = here.shell.user_ns["ada_header"]
    assert isinstance(header, LiveHeader)
    header["authorization"] = "Basic x"
    assert dict(header) == {"authorization": "Basic x"}


# ── the function ────────────────────────────────────────────────────────────────────────────


def test_the_function_has_the_same_words(here: Shell) -> None:
    assert str(nbauth.token("openid", "read", id=True)) == str(here.shell.user_ns["ada_id"])
    said = here.type("%token openid read --id --show")
    for line in ("account  ada@example.com", "audience notebooks", "issuer   https://id.example"):
        assert line in said
    assert "expires  in" in said
    assert "<nbauth.IdToken" in here.type("%token --id")
    here.type("%token openid read --id --force-refresh --quiet")
    assert here.bench.refreshes == 1
    for option in ("--str", "--header"):
        assert "•" in here.type(f"%token --id {option}")


# ── interrupts and forks ────────────────────────────────────────────────────────────────────

ACTS: dict[str, Callable[[Cell, Token], object]] = {
    "put": lambda cell, token: cell.variables.put("x", token, token),
    "put header": lambda cell, token: cell.variables.put("x", LiveHeader(token), token),
    "put text": lambda cell, token: cell.variables.put_text("x", token),
    "put environment": lambda cell, token: cell.variables.put_environment("MINE", token),
    "refresh": lambda cell, _: (cell.bench.clock.advance(HOUR), cell.variables.refresh()),
    "sign out": lambda cell, _: cell.variables.keep_only(),
}


@pytest.mark.parametrize("before", [False, True])
@pytest.mark.parametrize("act", ACTS)
def test_an_interrupt_at_any_line_leaves_no_secret_behind(
    bench: Bench,  # noqa: F811
    act: str,
    before: bool,
) -> None:
    """In the past, a text that was set and not noted, or noted and not set, stayed for good."""
    bench.sign_in("read")
    bench.session.configure(refresh_ahead=False)
    cell = Cell(bench)
    package = str(Path(nbauth.__file__).parent / "jupyter" / "variables.py")
    lines = 0

    def once() -> None:
        ACTS[act](cell, cell.token())

    def prepare() -> None:
        cell.environ["MINE"] = "my own"
        if before or act in ("refresh", "sign out"):
            cell.variables.put_text("x", cell.token())
            cell.variables.put_environment("MINE", cell.token())

    prepare()
    for where in interrupted(once, package):
        lines += 1
        assert not cell.variables._lock.locked(), where
        cell.variables.refresh()
        cell.variables.keep_only()
        assert cell.names == {}, where
        assert cell.environ == {"PATH": "/bin", "MINE": "my own"}, where
        assert not cell.variables._names and not cell.variables._environment, where
        prepare()
    assert lines >= 4


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_after_a_fork_no_lock_of_the_parent_is_waited_for(bench: Bench) -> None:  # noqa: F811
    bench.sign_in("read")
    cell = Cell(bench)
    cell.variables.put_environment("MINE", cell.token())
    cell.variables._lock.acquire()  # another thread, at the moment of the fork
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(10)  # ends a child that waits
        cell.variables.keep_only()
        os.write(write, cell.environ["MINE"].encode())
        os._exit(0)
    os.close(write)
    assert os.read(read, 100) == b"my own"
    os.close(read)
    os.waitpid(pid, 0)
    cell.variables._lock.release()
    assert cell.environ["MINE"].startswith("access-")  # the parent's stays


def test_an_outage_leaves_the_variable_and_is_told_once(bench: Bench) -> None:  # noqa: F811
    bench.sign_in("read")
    cell = Cell(bench)
    text = cell.variables.put_text("x", cell.token())
    bench.engine.will("refresh", *[unreachable()] * 5)
    bench.clock.advance(2 * HOUR)
    for _ in range(3):
        cell.variables.refresh()
    assert cell.names["x"] is text
    assert len([line for line in bench.screen.said if "could not" in line]) == 1

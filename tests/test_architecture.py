"""The architecture rules hold, and each rule is shown to catch a planted violation."""

from __future__ import annotations

import ast
import contextlib
import json
import pkgutil
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

import nbauth

ROOT = Path(__file__).parent.parent
HEAVY = (
    "msal", "authlib", "requests", "keyring", "anywidget", "ipywidgets", "httpx",
    "joserfc", "cryptography", "h11", "filelock",
)  # fmt: skip

WATCH = """
import json, sys
opened = []
def watch(event, arguments):
    if event.startswith("socket.") and event != "socket.gethostname":
        opened.append(event)
{prepare}
before = set(sys.modules)
sys.addaudithook(watch)
{code}
print(json.dumps([opened, sorted(set(sys.modules) - before)]))
"""
SHELL = """
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
"""


def run(code: str, prepare: str, home: Path) -> tuple[list[str], set[str]]:
    """The socket events and the new modules of some code in a fresh Python."""
    script = WATCH.format(prepare=prepare, code=code)
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        cwd=home,
        env={"HOME": str(home), "IPYTHONDIR": str(home / "ipython"), "PATH": "/usr/bin:/bin"},
    )
    opened, modules = json.loads(done.stdout.splitlines()[-1])
    return opened, set(modules)


def heavy(modules: set[str]) -> list[str]:
    """The modules among them that only a sign-in may load."""
    return sorted({module.partition(".")[0] for module in modules}.intersection(HEAVY))


@pytest.mark.parametrize(
    ("code", "prepare"),
    [
        ("import nbauth", ""),
        ("import nbauth; dir(nbauth); nbauth.Account, nbauth.Token, nbauth.NbAuthError", ""),
        ("import nbauth.extension", ""),
        (
            "shell.run_line_magic('load_ext', 'nbauth'); shell.find_line_magic('login').__doc__",
            SHELL,
        ),
        (
            "shell.run_cell('%load_ext nbauth\\n%reload_ext nbauth\\n%unload_ext nbauth')"
            ".raise_error()",
            SHELL,
        ),
    ],
)
def test_importing_and_loading_open_no_socket_and_load_no_protocol_library_or_widgets(
    code: str, prepare: str, tmp_path: Path
) -> None:
    opened, modules = run(code, prepare, tmp_path)
    assert opened == []
    assert "nbauth" in modules
    assert heavy(modules) == []


def test_loading_makes_no_session(tmp_path: Path) -> None:
    code = "shell.run_cell('%load_ext nbauth').raise_error(); shell.run_cell('1 + 1')"
    _, modules = run(code, SHELL, tmp_path)
    ours = {module for module in modules if module.startswith("nbauth")}
    assert "nbauth.jupyter.magics" in ours
    lower = ("nbauth.kernel", "nbauth.oauth", "nbauth.persistence", "nbauth.core.")
    assert {m for m in ours if m.startswith(lower)} == {"nbauth.core.flow_names"}
    assert "IPython.core.magic_arguments" not in modules


def test_the_watch_sees_sockets_and_imports(tmp_path: Path) -> None:
    opened, modules = run("import socket, msal; socket.socket()", "", tmp_path)
    assert "socket.__new__" in opened
    assert {"msal", "requests"} <= modules


def test_an_accounts_look_up_after_loading_is_still_offline(tmp_path: Path) -> None:
    opened, modules = run("import nbauth; assert nbauth.accounts() == []", "", tmp_path)
    assert opened == []
    assert "msal" not in modules


@pytest.mark.parametrize("name", nbauth.__all__)
def test_every_public_name_resolves(name: str) -> None:
    assert getattr(nbauth, name) is not None
    assert name in dir(nbauth)


def test_no_public_name_is_also_a_submodules_name() -> None:
    submodules = {module.name for module in pkgutil.iter_modules(nbauth.__path__)}
    assert "kernel" in submodules
    assert submodules.isdisjoint(nbauth.__all__)


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        nbauth.nonsense  # noqa: B018


def test_type_checkers_see_the_same_names() -> None:
    source = Path(nbauth.__file__).read_text("utf-8")
    missing = [name for name in nbauth.__all__ if f" import {name} as {name}\n" not in source]
    assert missing == ["graph"]
    assert "\n    graph: Graph\n" in source  # an object, made when it is read


# ── packages ────────────────────────────────────────────────────────────────────────────────

CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"][
    "contracts"
]
LINT = """
import contextlib, io, json, sys
from importlinter.cli import lint_imports
for _ in sys.stdin:
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = lint_imports(no_cache=True)
    print(json.dumps([code, said.getvalue()]), flush=True)
"""
TYPE_ONLY = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    "
PLANTED: dict[str, list[tuple[str, str]]] = {
    "A room imports only lower floors; rooms of one floor are strangers": [
        ("core/scopes.py", "import nbauth.kernel.session"),
        ("oauth/http.py", f"{TYPE_ONLY}from nbauth.jupyter import panel"),
        ("persistence/seal.py", "import nbauth.oauth.http"),
        ("scanning/scan.py", "import nbauth.persistence.seal"),
        ("demo/servers.py", "import nbauth.extension"),
        ("msgraph/client.py", "import nbauth.adapters.bearer"),
        ("stranger.py", ""),
    ],
    "Who is signed in and signing in are strangers; the session joins them": [
        ("kernel/accounts/renewal.py", "import nbauth.kernel.sign_in.attempts"),
        ("kernel/sign_in/driver.py", f"{TYPE_ONLY}from nbauth.kernel.accounts import cache"),
        ("kernel/sign_in/attempt.py", "import nbauth.kernel.session"),
        ("kernel/accounts/cache.py", "import nbauth.kernel.door"),
        ("kernel/stranger.py", ""),
    ],
    "Calls: %%auth is above auth() and session(), which are above the rules for hosts": [
        ("kernel/calls/hosts.py", "import nbauth.kernel.calls.authorise"),
        ("kernel/calls/authorise.py", "import nbauth.kernel.calls.authorised_calls"),
    ],
    "Graph: the client is above the operations, which are above the transport": [
        ("msgraph/transport.py", "import nbauth.msgraph.pages"),
        ("msgraph/frames/frame.py", f"{TYPE_ONLY}from nbauth.msgraph import client"),
    ],
    "msal and authlib only in oauth.engines": [
        ("kernel/session.py", "import msal"),
        ("oauth/flows/browser.py", "import authlib.jose"),
        ("oauth/answers.py", "import authlib"),
    ],
    "IPython, traitlets and widgets only in jupyter, extension and the magics of Graph": [
        ("kernel/sign_in/protocol.py", "import IPython"),
        ("core/settings.py", f"{TYPE_ONLY}import ipywidgets"),
        ("msgraph/frames/table.py", "import IPython"),
    ],
    "keyring and filelock only in persistence": [
        ("kernel/accounts/cache.py", "import keyring"),
        ("testing/clock.py", "import filelock"),
    ],
    "Sources of keys are strangers to each other": [
        ("persistence/passphrase.py", "from nbauth.persistence import system_keyring"),
    ],
    "The server's extension knows only core": [
        ("server/handler.py", "import nbauth.oauth.http"),
        ("server/hub.py", f"{TYPE_ONLY}from nbauth.kernel import session"),
    ],
    "Flows are strangers to each other": [
        ("oauth/flows/browser.py", "import nbauth.oauth.flows.device_code"),
    ],
    "Identities are strangers to each other": [
        ("oauth/identities/azure_cli.py", "import nbauth.oauth.identities.hub"),
    ],
    "Adapters are strangers to each other": [
        ("adapters/bearer.py", "import nbauth.adapters.azure_core"),
        ("adapters/sql.py", "import nbauth.adapters.bearer"),
    ],
    "Engines are strangers to each other and to flows": [
        ("oauth/engines/openid.py", "import nbauth.oauth.engines.microsoft"),
        ("oauth/flows/device_code.py", "import nbauth.oauth.engines.openid"),
    ],
    "Receivers are strangers to each other": [
        ("kernel/sign_in/receivers/loopback.py",
         "import nbauth.kernel.sign_in.receivers.jupyter_server"),
    ],
}  # fmt: skip
RINGS = [
    ("core/secret.py", "import nbauth.core.tokens"),
    ("kernel/accounts/grants.py", f"{TYPE_ONLY}from nbauth.kernel.accounts import renewal"),
    ("oauth/engines/protocol.py", "from nbauth.oauth.engines import engine_for"),
    ("persistence/seal.py", "from nbauth.persistence import persistence_named"),
    ("core/flow_names.py", "import nbauth.api"),
]
"""Lines that make a ring: of two modules, by a type alone, of a package and its own child, wide."""


Lint = Callable[[], tuple[int, str]]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package and its rules, to plant things in."""
    folder = tmp_path_factory.mktemp("house")
    shutil.copytree(
        ROOT / "nbauth", folder / "nbauth", ignore=shutil.ignore_patterns("__pycache__")
    )
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


@contextlib.contextmanager
def planted(house: Path, file: str, line: str) -> Iterator[None]:
    """A line at the top of a file of the copy, or a new file; afterwards the copy is as before."""
    path = house / "nbauth" / file
    future = "from __future__ import annotations\n"
    before = path.read_text("utf-8") if path.exists() else None
    text = future if before is None else before
    assert future in text
    path.write_text(text.replace(future, f"{future}{line}\n", 1), "utf-8")
    try:
        yield
    finally:
        path.unlink() if before is None else path.write_text(before, "utf-8")


@pytest.fixture(scope="module")
def lint(house: Path) -> Iterator[Lint]:
    """Gives the result of import-linter for the copy. One process reads the copy at each call."""
    with subprocess.Popen(
        [sys.executable, "-c", LINT],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=house,
        env={"PYTHONPATH": str(house), "PATH": "/usr/bin:/bin", "COLUMNS": "300"},
    ) as process:
        assert process.stdin
        assert process.stdout
        to, answers = process.stdin, process.stdout

        def one() -> tuple[int, str]:
            print("again", file=to, flush=True)
            code, said = json.loads(answers.readline())
            return code, said

        yield one


def test_the_import_rules_hold(lint: Lint) -> None:
    code, said = lint()
    assert code == 0, said
    for contract in CONTRACTS:
        assert f"{contract['name']} KEPT" in said


def test_a_violation_is_planted_for_every_rule() -> None:
    assert {contract["name"] for contract in CONTRACTS} == set(PLANTED)


@pytest.mark.parametrize(
    ("contract", "file", "line"),
    [
        pytest.param(contract, file, line, id=f"{file}: {line.rpartition('import ')[2]}")
        for contract, planted in PLANTED.items()
        for file, line in planted
    ],
)
def test_a_planted_violation_is_caught(
    house: Path, lint: Lint, contract: str, file: str, line: str
) -> None:
    with planted(house, file, line):
        code, said = lint()
    assert code == 1
    assert f"{contract} BROKEN" in said or (not line and "stranger" in said), said


# ── rings ───────────────────────────────────────────────────────────────────────────────────


@cache
def import_statements(source: str) -> list[ast.Import | ast.ImportFrom]:
    """Parsed once for each text: a planted line changes one file of the package."""
    tree = ast.walk(ast.parse(source))
    return [node for node in tree if isinstance(node, ast.Import | ast.ImportFrom)]


def imports(package: Path) -> dict[str, set[str]]:
    """Which modules of the package each of them imports, in functions and for types alone too."""
    names = {}
    for path in package.rglob("*.py"):
        parts = [package.name, *path.relative_to(package).with_suffix("").parts]
        names[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    found: dict[str, set[str]] = {}
    for name, path in names.items():
        found[name] = targets = set()
        for node in import_statements(path.read_text("utf-8")):
            if isinstance(node, ast.Import):
                wanted = [alias.name for alias in node.names]
            elif node.module:
                inner = [f"{node.module}.{alias.name}" for alias in node.names]
                wanted = [each if each in names else node.module for each in inner]
            else:
                continue
            targets.update(target for target in wanted if target in names)
        targets.discard(name)
    return found


def rings(graph: dict[str, set[str]]) -> list[list[str]]:
    """Every set of two or more modules that reach each other (Tarjan's components)."""
    order: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(name: str) -> None:
        order[name] = lowest[name] = len(order)
        stack.append(name)
        for target in graph[name]:
            if target not in order:
                visit(target)
                lowest[name] = min(lowest[name], lowest[target])
            elif target in stack:
                lowest[name] = min(lowest[name], order[target])
        if lowest[name] == order[name]:
            at = stack.index(name)
            component, stack[at:] = stack[at:], []
            if len(component) > 1:
                found.append(sorted(component))

    for name in graph:
        if name not in order:
            visit(name)
    return found


def test_no_modules_import_each_other(house: Path) -> None:
    graph = imports(house / "nbauth")
    assert len(graph) > 100
    lazy = (
        "nbauth"  # its names are imported on first use; the lines for type checkers are no imports
    )
    graph[lazy] = set()
    assert rings(graph) == []


@pytest.mark.parametrize(("file", "line"), RINGS, ids=[file for file, _ in RINGS])
def test_a_planted_ring_is_found(house: Path, file: str, line: str) -> None:
    with planted(house, file, line):
        graph = imports(house / "nbauth")
    graph["nbauth"] = set()
    ring = "nbauth." + file.removesuffix(".py").replace("/", ".")
    assert any(ring in found for found in rings(graph))


# ── length ──────────────────────────────────────────────────────────────────────────────────

LONGEST = 250
"""The maximum length of a file in lines. Longer files have a reason and their own limit."""
LONG = {
    "adapters/sql.py": (295, "one file for each library: SQLAlchemy, with what each driver needs"),
    "api.py": (285, "what users call; half of it are the docstrings that help() shows"),
    "kernel/accounts/grants.py": (272, "one protocol, and a class for each kind of grant"),
    "kernel/accounts/cache.py": (310, "one lock, and all code that runs while it is held"),
    "kernel/bound.py": (265, "what each held object has; its calls, plain and awaited"),
    "kernel/sign_in/attempt.py": (290, "one thread's state, and each way to change or end it"),
    "kernel/sign_in/driver.py": (310, "one match over all steps, a method a step"),
    "kernel/tokens.py": (264, "every way to a token, plain and awaited"),
    "oauth/engines/microsoft.py": (340, "one protocol of twelve methods, around MSAL's faults"),
    "oauth/engines/openid.py": (335, "one protocol of twelve methods, around Authlib's faults"),
    "testing/engine.py": (310, "a provider with an answer for each request"),
}


def test_no_file_is_long_without_a_reason(house: Path) -> None:
    package = house / "nbauth"
    lines = {
        path.relative_to(package).as_posix(): len(path.read_text("utf-8").splitlines())
        for path in package.rglob("*.py")
    }
    long = {name: count for name, count in lines.items() if count > LONGEST}
    assert long.keys() == LONG.keys()
    assert [name for name, count in long.items() if count > LONG[name][0]] == []


# ── locks ───────────────────────────────────────────────────────────────────────────────────

LOOPS = (ast.For, ast.While, ast.ListComp, ast.SetComp, ast.DictComp)


def loops_under_a_lock(source: str) -> list[int]:
    """The lines of loops that are directly inside a ``with`` of a lock."""
    if "lock" not in source.lower():
        return []
    return sorted(
        inner.lineno
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.With)
        and any("lock" in ast.unparse(item.context_expr).lower() for item in node.items)
        for statement in node.body
        for inner in ast.walk(statement)
        if isinstance(inner, LOOPS)
    )


def test_no_loop_stands_under_a_lock(house: Path) -> None:
    """On Python 3.13.0 an interrupt in such a loop leaves the lock held; a call is safe."""
    package = house / "nbauth"
    found = {
        f"{path.relative_to(package)}:{line}"
        for path in package.rglob("*.py")
        for line in loops_under_a_lock(path.read_text("utf-8"))
    }
    assert found == set()


def test_a_planted_loop_under_a_lock_is_found() -> None:
    planted = "with self._lock:\n    if x:\n        y = [z for z in x]\n    return list(x)\n"
    assert loops_under_a_lock(planted) == [3]


EVENT = re.compile(r"threading\.(Event|Condition|Semaphore|Barrier)\(\)")
MAY_USE_EVENTS = ("demo/", "testing/", "server/")
"""Packages whose code no interrupt of a cell reaches."""


def test_no_event_of_threading_is_used_where_an_interrupt_may_come(house: Path) -> None:
    """An interrupt inside leaves its lock held: ``core.interrupts.Flag`` takes its place."""
    package = house / "nbauth"
    files = {str(path.relative_to(package)): path for path in package.rglob("*.py")}
    found = [
        name
        for name, path in files.items()
        if EVENT.search(path.read_text("utf-8")) and not name.startswith(MAY_USE_EVENTS)
    ]
    assert found == []
    assert EVENT.search("self._wake = threading.Event()")


# ── tests of time ───────────────────────────────────────────────────────────────────────────

TIME = re.compile(r"monotonic\(|perf_counter\(|elapsed|\btook\b|waited|\bseconds\b|_seconds_to_")
GENEROUS = 15
"""Seconds that an immediate action may take in a test on a busy machine."""


def _bounds_a_time(test: ast.AST) -> bool:
    """Whether an assertion limits a duration to less than a few seconds."""
    if not isinstance(test, ast.Compare) or not TIME.search(ast.unparse(test)):
        return False
    for op, most in zip(test.ops, test.comparators, strict=True):
        if isinstance(op, ast.Lt | ast.LtE) and not TIME.search(ast.unparse(most)):
            known = most.value if isinstance(most, ast.Constant) else 0
            if isinstance(known, int | float) and known < GENEROUS:
                return True
    return False


def untimely_tests(source: str) -> list[str]:
    """Tests that limit a duration but are not marked ``timing``, so they run beside others."""
    if not TIME.search(source):
        return []
    tree = ast.parse(source)
    whole = any(
        "pytest.mark.timing" in ast.unparse(node)
        for node in tree.body
        if isinstance(node, ast.Assign)
    )
    return [
        function.name
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        and function.name.startswith("test_")
        and not whole
        and not any("timing" in ast.unparse(mark) for mark in function.decorator_list)
        and any(isinstance(n, ast.Assert) and _bounds_a_time(n.test) for n in ast.walk(function))
    ]


def test_tests_with_time_limits_run_alone() -> None:
    """Beside others, a second may pass between two lines, and a correct test can fail."""
    tests = Path(__file__).parent
    found = {
        f"{path.relative_to(tests)}::{name}"
        for path in tests.rglob("test_*.py")
        for name in untimely_tests(path.read_text("utf-8"))
    }
    assert found == set()


@pytest.mark.parametrize(
    "line",
    [
        "assert time.monotonic() - began < 5",
        "assert 0.1 < time.perf_counter() - began <= 1.5",
        "assert page.elapsed.total_seconds() < 5",
        "assert told['waited'] < SOON",
        "assert SOON < took < 4",
    ],
)
def test_a_planted_bound_is_found(line: str) -> None:
    planted = f"def test_one():\n    {line}\n"
    assert untimely_tests(planted) == ["test_one"]
    assert untimely_tests("@pytest.mark.timing\n" + planted) == []
    assert untimely_tests("pytestmark = [pytest.mark.timing]\n" + planted) == []


def test_generous_and_lower_limits_may_run_beside_others() -> None:
    lines = "    assert time.monotonic() - began < 20\n    assert 0.1 < time.monotonic() - began\n"
    assert untimely_tests("def test_one():\n" + lines) == []

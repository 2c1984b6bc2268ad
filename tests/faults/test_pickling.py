"""S7: no object of nbauth takes a secret along when it is pickled or copied.

Each is refused with a ``TypeError``, or the bytes contain names only and the loaded object works.
The list follows the public names, so that a new one has to be classified.
"""

from __future__ import annotations

import ast
import copy
import copyreg
import io
import pickle
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import cloudpickle
import dill
import joblib
import pytest
import requests
from tblib.pickling_support import pickle_exception

import nbauth
from nbauth.adapters import sql
from nbauth.adapters.bearer import TokenProvider
from nbauth.core.account import Account
from nbauth.core.errors import NbAuthError
from nbauth.core.secret import SecretStr
from nbauth.jupyter.panel.panel import SignInPanel
from nbauth.msgraph.addresses import Root
from nbauth.msgraph.aio import AsyncGraph
from nbauth.msgraph.client import Graph, current
from nbauth.testing.canary import find
from nbauth.testing.engine import FakeEngine, refusal
from tests.faults.conftest import Figure
from tests.harness.kernels import ROOT
from tests.jupyter.panel.front import RecordingComm
from tests.kernel.conftest import Bench, until

HOST = "api.example"
CODE = "WXYZ-1234-canary"
CAUSE = "a-secret-in-the-text-of-a-cause"
_loading: list[Any] = []


def session_that_loads() -> Any:
    return _loading[-1]


Make = Callable[[Bench], list[Any]]


def _sign_ins(bench: Bench) -> list[Any]:
    """One that waits, one that has ended, one that has failed."""
    done = bench.session.start("read")
    done.wait(5)
    bench.engine.will("poll_device", refusal("access_denied"))
    failed = bench.session.start("read", "else")
    until(lambda: failed.state == "failed")
    bench.engine.hold("poll_device")
    waiting = bench.session.start("read", "write")
    until(lambda: waiting.user_code)
    return [waiting, done, failed]


def _panel(bench: Bench) -> list[Any]:
    (waiting, *_) = _sign_ins(bench)
    return [SignInPanel(bench.session, lambda *_: waiting, waiting)]


def _error(kind: type[NbAuthError]) -> Make:
    def make(bench: Bench) -> list[Any]:
        try:
            try:
                secret = bench.read("read")
                raise ValueError(f"{CAUSE} {secret}")
            except ValueError as cause:
                raise kind("It failed.", code="x", hint="h", correlation_id="1") from cause
        except kind as error:
            renewed = kind("It failed.")
            renewed.rotated = SecretStr("refresh-of-an-error")
            return [error, renewed]

    return make


def _credential(bench: Bench) -> list[Any]:
    from nbauth.adapters.azure_core import Credential

    bound = bench.session.bind()
    made = Credential(bound, bound.client.scopes(("read",)))
    return [made, made.aio]


def _provider(bench: Bench) -> list[Any]:
    bound = bench.session.bind()
    return [TokenProvider(bound, bound.client.scopes(("read",)))]


def _attributes(bench: Bench) -> list[Any]:
    bound = bench.session.bind()
    return [sql.TokenAttributes(bound, bound.client.scopes(("read",)))]


def _auth(bench: Bench) -> list[Any]:
    return [bench.session.authorise(), bench.session.authorise("read").for_session()]


def _graph(bench: Bench) -> list[Any]:
    bound = bench.session.bind()
    hosts: Any = {HOST: bound.client.scopes(("read",))}
    made = Graph.of(bench.session, bound, Root(f"https://{HOST}", "beta"), hosts)
    return [made, made.aio, made.list("users"), made.session]


def _current_graph(bench: Bench) -> list[Any]:
    bench.session.configure(graph_url=f"https://{HOST}")
    return [current(bench.session)]


ERRORS = [name for name in nbauth.__all__ if "Error" in name or name in {
    "AuthorityUnreachable", "ConsentRequired", "FlowUnavailable", "InteractionRequired",
    "NotSignedIn", "SignInCancelled", "SignInDeclined", "SignInExpired",
}]  # fmt: skip
SAMPLES: dict[str, Make] = {
    "Account": lambda bench: [bench.session.accounts()[0]],
    "accounts": lambda bench: [bench.session.accounts()],
    "AuthenticationResult": lambda bench: [bench.session.acquire("read")],
    "acquire": lambda bench: [bench.session.acquire("read", force_refresh=True)],
    "SecretStr": lambda bench: [bench.session.acquire("read").access_token],
    "Token": lambda bench: [bench.session.token("read")],
    "token": lambda bench: [
        [bench.session.token("read")],
        {"t": bench.session.token("read").value},
        bench.session.token("read").header,
        bench.session.token(id=True),
    ],
    "SignIn": _sign_ins,
    "SignInInterrupted": lambda bench: [nbauth.SignInInterrupted()],
    "panel": _panel,
    "auth": _auth,
    "session": lambda bench: [bench.session.authorised_session()],
    "credential": _credential,
    "azure_core.Credential": _credential,
    "azure_core.AsyncCredential": _credential,
    "sql.AccessTokenStruct": lambda bench: [_attributes(bench)[0]()[sql.ACCESS_TOKEN]],
    "sql.TokenAttributes": lambda bench: _attributes(bench),
    "sql.attributes": lambda bench: _attributes(bench),
    "bearer.TokenProvider": _provider,
    "bearer.token_provider": _provider,
    "Graph": _graph,
    "graph": _current_graph,
    "BatchItem": lambda bench: [
        nbauth.BatchItem(False, 403, None, nbauth.GraphError("No.", status=403)),
    ],
    "BatchRequest": lambda bench: [nbauth.BatchRequest("GET", "me", headers={"X": "y"})],
    "Changes": lambda bench: [nbauth.Changes([{"id": "1"}], "https://state", {"2": "deleted"})],
    "TransferInterrupted": lambda bench: [nbauth.TransferInterrupted("5 of 9 bytes.")],
    "GraphInterrupted": lambda bench: [nbauth.GraphInterrupted([{"id": "1"}], "https://next")],
    **{name: _error(getattr(nbauth, name)) for name in ERRORS},
}
"""What each public name makes. The names of adapters have their module in front."""
WITHOUT_OBJECT = {"configure", "login", "login_async", "logout", "run", "sql.use_tokens"}
"""Functions that return nothing, or what another name makes."""


def public_names() -> set[str]:
    names = set(nbauth.__all__)
    for file in sorted((ROOT / "nbauth" / "adapters").glob("*.py")):
        for one in ast.parse(file.read_text("utf-8")).body:
            named = isinstance(one, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
            if named and not one.name.startswith("_"):  # type: ignore[attr-defined]
                names.add(f"{file.stem}.{one.name}")  # type: ignore[attr-defined]
    return names


def _with_joblib(value: Any) -> bytes:
    written = io.BytesIO()
    joblib.dump(value, written)
    return written.getvalue()


PICKLERS: dict[str, Callable[[Any], bytes]] = {
    **{
        f"pickle {number}": lambda value, number=number: pickle.dumps(value, number)
        for number in range(pickle.HIGHEST_PROTOCOL + 1)
    },
    "cloudpickle": cloudpickle.dumps,
    "dill": dill.dumps,
    "dill, recursive": lambda value: dill.dumps(value, recurse=True, byref=False),
    "joblib": _with_joblib,
}  # type: ignore[misc, unused-ignore]


@pytest.fixture
def other(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """The session of the process that loads."""
    import comm

    monkeypatch.setattr(comm, "create_comm", RecordingComm)
    made = Bench(bench.clock)
    for one in (bench, made):
        one.session.configure(hosts={HOST: ["read"]}, refresh_ahead=False)
        one.sign_in("read")
    bench.session.be_found_by(session_that_loads)
    _loading.append(made.session)
    yield made
    for sign_in in bench.session.pending():
        sign_in.cancel()
    _loading.remove(made.session)
    made.session.rest()


def secrets_of(engine: FakeEngine, bench: Bench) -> list[str]:
    held = [token.response for token in bench.session.cache.tokens.values()]
    texts = [[one.access_token, one.refresh_token, one.id_token] for one in held]
    issued = [f"{kind}-ada-{n}" for n in range(1, 9) for kind in ("access", "refresh", "id")]
    known = [str(text) for each in texts for text in each if text] + issued
    return list(dict.fromkeys([*known, CODE.removesuffix("-canary"), CAUSE, "refresh-of-an-error"]))


def check_loaded(loaded: Any, other: Bench) -> None:
    """The loaded object works, in the session of its process."""
    access = f"Bearer {other.read('read')}"
    match loaded:
        case Graph() | AsyncGraph():
            graph = getattr(loaded, "_graph", loaded)
            assert graph._here is other.session
            url = f"https://{HOST}/"
            request = graph.session.prepare_request(requests.Request("GET", url))
            assert request.headers["Authorization"] == access
        case nbauth.BatchItem():
            assert loaded.error is not None and loaded.error.status == 403
        case nbauth.BatchRequest():
            assert loaded.headers == {"X": "y"}
        case nbauth.Changes():
            assert (loaded.state, loaded.removed) == ("https://state", {"2": "deleted"})
        case nbauth.TransferInterrupted():
            assert "5 of 9" in loaded._render_traceback_()[0]
        case nbauth.GraphInterrupted():
            assert loaded.rows and loaded.next_link
        case requests.Session():
            request = loaded.prepare_request(requests.Request("GET", f"https://{HOST}/"))
            assert request.headers["Authorization"] == access
        case requests.auth.AuthBase():
            request = requests.Request("GET", f"https://{HOST}/", auth=loaded).prepare()
            assert request.headers["Authorization"] == access
        case TokenProvider():
            assert f"Bearer {loaded()}" == access
        case sql.TokenAttributes():
            text = loaded()[sql.ACCESS_TOKEN][4:].decode("utf-16-le")
            assert f"Bearer {text}" == access
        case Account():
            assert loaded.username == "ada@example.com"
        case [Account()]:
            pass
        case NbAuthError():
            assert str(loaded) == "It failed."
            assert loaded.lines()
        case nbauth.SignInInterrupted():
            assert loaded._render_traceback_()
        case _ if hasattr(loaded, "get_token"):
            assert other.session.accounts()
            assert repr(loaded)
        case _:
            raise AssertionError(f"{type(loaded)} was pickled")


def test_each_public_name_is_classified() -> None:
    """A new name is added to ``SAMPLES``, or to ``WITHOUT_OBJECT``."""
    assert SAMPLES.keys() & WITHOUT_OBJECT == set()
    assert public_names() == SAMPLES.keys() | WITHOUT_OBJECT


@pytest.mark.parametrize("name", SAMPLES)
def test_no_secret_is_pickled(name: str, bench: Bench, other: Bench, figure: Figure) -> None:
    refused = written = 0
    for value in SAMPLES[name](bench):
        texts = secrets_of(bench.engine, bench)
        for how, dumps in PICKLERS.items():
            try:
                data = dumps(value)
            except TypeError as error:
                refused, data = refused + 1, str(error).encode()
            else:
                loads = joblib.load if how == "joblib" else pickle.load
                check_loaded(loads(io.BytesIO(data)), other)
                written += 1
            assert not [text for text in texts if find(text, data)], how
    assert refused + written >= len(PICKLERS)
    figure(
        "S7",
        "pickle, cloudpickle, dill, joblib, deepcopy of every public object",
        f"{len(SAMPLES)} public names × {len(PICKLERS)} ways",
        "0 bytes of a secret; a TypeError, or an object that works where it is loaded",
    )


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_a_copy_shows_no_secret(
    name: str, copied: Callable[[Any], Any], bench: Bench, other: Bench
) -> None:
    for value in SAMPLES[name](bench):
        try:
            made = copied(value)
        except (TypeError, NotImplementedError):  # the latter: of a widget
            continue
        texts = secrets_of(bench.engine, bench)
        assert type(made) is type(value)
        assert not [text for text in texts if text in repr(made)]


def test_the_search_finds_a_secret() -> None:
    """Or else the tests above would prove nothing."""
    for how, dumps in PICKLERS.items():
        assert find("access-ada-1", dumps({"token": "access-ada-1"})), how


@pytest.mark.parametrize("kind", [NbAuthError, *NbAuthError.__subclasses__()])
def test_an_error_that_dask_pickles_has_no_cause(kind: type[NbAuthError]) -> None:
    """Importing distributed makes tblib pickle each exception with its causes and frames."""

    class AsOnDask(pickle.Pickler):
        dispatch_table: ClassVar = {**copyreg.dispatch_table, kind: pickle_exception}

    try:
        try:
            raise ValueError(CAUSE)
        except ValueError as cause:
            raise kind("It failed.", code="x", hint="h") from cause
    except kind as raised:
        error = raised.with_traceback(None)
    file = io.BytesIO()
    AsOnDask(file).dump(error)
    assert CAUSE.encode() not in file.getvalue()
    loaded = pickle.loads(file.getvalue())
    assert (type(loaded), loaded.lines(), loaded.code) == (kind, error.lines(), "x")

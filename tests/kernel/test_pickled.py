"""Objects that keep a client and an account are pickled as their names; no token is in the bytes.

The process that loads them uses its own session. Here that is a second session of this process.
"""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import joblib
import pytest

from nbauth.adapters.azure_core import Credential
from nbauth.core.account import AccountKey
from nbauth.core.errors import ConfigurationError, NotSignedIn
from nbauth.kernel.calls.sent import NOT_PICKLED
from nbauth.testing.canary import find
from nbauth.testing.engine import ISSUER
from tests.kernel.conftest import Bench

HOST = "api.example"
ADA = AccountKey(ISSUER, "notebooks", "ada")
_loading: list[Any] = []


def session_that_loads() -> Any:
    return _loading[-1]


@pytest.fixture
def other(bench: Bench, clock: Any) -> Iterator[Bench]:
    """The session that loads what ``bench`` has pickled."""
    made = Bench(clock)
    bench.session.be_found_by(session_that_loads)
    _loading.append(made.session)
    yield made
    _loading.remove(made.session)
    made.session.rest()


def auth(bench: Bench) -> Any:
    return bench.session.authorise()


def session(bench: Bench) -> Any:
    made = bench.session.authorised_session()
    made.headers["X-Run"] = "17"
    return made


def credential(bench: Bench) -> Any:
    bound = bench.session.bind()
    return Credential(bound, bound.client.scopes(("read",)))


def header_of(made: Any) -> str:
    if isinstance(made, Credential):
        return f"Bearer {made.get_token('anything').token}"
    import requests

    request = requests.Request("GET", f"https://{HOST}/x")
    if isinstance(made, requests.Session):
        assert made.headers["X-Run"] == "17"
        return str(made.prepare_request(request).headers["Authorization"])
    return str(made(request.prepare()).headers["Authorization"])


@pytest.mark.parametrize("make", [auth, session, credential])
@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickled_object_is_a_name_and_works_where_the_account_is_signed_in(
    bench: Bench, other: Bench, make: Callable[[Bench], Any], protocol: int
) -> None:
    for one in (bench, other):
        one.session.configure(hosts={HOST: ["read"]})
    bench.sign_in("read", user="ada")
    made = make(bench)
    here = header_of(made)
    data = pickle.dumps(made, protocol)
    assert here.removeprefix("Bearer ").encode() not in data
    other.sign_in("read", user="bob")
    loaded = pickle.loads(data)
    with pytest.raises(NotSignedIn):  # bob's token is not used for it
        header_of(loaded)
    other.sign_in("read", user="ada", force=True)
    other.session.use("bob@example.com")
    assert header_of(loaded) == f"Bearer {other.read('read', account='ada@example.com')}"


@pytest.mark.parametrize("make", [auth, session, credential])
def test_an_object_of_another_session_is_not_pickled(
    bench: Bench, make: Callable[[Bench], Any]
) -> None:
    bench.session.configure(hosts={HOST: ["read"]})
    bench.sign_in("read")
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(make(bench))


@pytest.mark.parametrize("make", [auth, credential])
def test_a_copy_uses_the_same_session(bench: Bench, make: Callable[[Bench], Any]) -> None:
    bench.session.configure(hosts={HOST: ["read"]})
    bench.sign_in("read")
    made = make(bench)
    assert header_of(copy.deepcopy(made)) == header_of(copy.copy(made)) == header_of(made)


def test_credentials_of_two_accounts_differ_in_their_repr(bench: Bench) -> None:
    bench.sign_in("read", user="ada")
    ada = credential(bench)
    bench.sign_in("read", user="bob", force=True)
    assert repr(ada) != repr(credential(bench))
    bench.session.use("ada@example.com")
    assert repr(ada) == repr(credential(bench))


def test_credentials_whose_account_is_not_fixed_yet_differ(bench: Bench) -> None:
    """fsspec would else give a filesystem of the account that the other one is fixed to later."""
    first, second = credential(bench), credential(bench)
    assert repr(first) != repr(second)
    bench.sign_in("read", user="ada")
    header_of(first), header_of(second)
    assert repr(first) == repr(second)


@pytest.mark.parametrize("account", [None, "ada@example.com", ADA])
def test_loading_looks_for_nothing(
    bench: Bench, other: Bench, monkeypatch: pytest.MonkeyPatch, account: Any
) -> None:
    """It cannot fail: after an error there, a ``multiprocessing.Pool`` would wait for ever."""
    data = pickle.dumps(Credential(bench.session.bind(account)))

    def find(*_: Any, **options: Any) -> Any:
        raise ConfigurationError("ada@example.com matches 2 accounts.", code="ambiguous_account")

    with monkeypatch.context() as patch:
        patch.setattr(other.session._tokens, "find", find)
        loaded = pickle.loads(data)
        with pytest.raises(ConfigurationError):
            loaded.get_token("read")
    other.sign_in("read", user="ada")
    assert loaded.get_token("read").token == other.read("read")


def test_a_process_without_the_sign_in_says_so(bench: Bench, other: Bench) -> None:
    """ "Signed out" would be wrong, and ``%login`` in the notebook would not help."""
    bench.sign_in("read")
    made = credential(bench)
    loaded = pickle.loads(pickle.dumps(made))
    with pytest.raises(NotSignedIn, match="not signed in in this process") as error:
        loaded.get_token("read")
    assert "--persist" in error.value.hint
    bench.session.logout()
    with pytest.raises(NotSignedIn, match="has been signed out"):
        made.get_token("read")


def test_what_the_user_has_set_in_a_session_is_kept(bench: Bench, other: Bench) -> None:
    for one in (bench, other):
        one.session.configure(hosts={HOST: ["read"]}, proxies={"https": f"http://{id(one)}:1"})
    made = bench.session.authorised_session()
    fresh = pickle.loads(pickle.dumps(made))
    assert fresh.proxies == {"https": f"http://{id(other)}:1"}
    made.verify, made.cert, made.proxies = "/own/ca.pem", "/own/cert.pem", {"all": "http://own:1"}
    for loaded in (pickle.loads(pickle.dumps(made)), copy.deepcopy(made)):
        assert (loaded.verify, loaded.cert) == ("/own/ca.pem", "/own/cert.pem")
        assert loaded.proxies == {"all": "http://own:1"}


def test_caches_on_disk_know_the_account(bench: Bench, other: Bench) -> None:
    """``joblib.Memory`` would else give a person the result of the one before."""
    first, second = (Credential(bench.session.bind()) for _ in range(2))
    assert joblib.hash(first) == joblib.hash(first) != joblib.hash(second)
    bench.sign_in("read", user="ada")
    first.get_token("read"), second.get_token("read")
    assert joblib.hash(first) == joblib.hash(second)
    bench.sign_in("read", user="bob", force=True)
    assert joblib.hash(first) != joblib.hash(Credential(bench.session.bind()))


def test_credentials_for_a_name_differ_until_their_account_is_fixed(bench: Bench) -> None:
    """Later two accounts may have that name."""
    first, second = (Credential(bench.session.bind("ada@example.com")) for _ in range(2))
    assert repr(first) == repr(first) != repr(second)
    assert repr(copy.copy(first)) == repr(first.aio).replace("Async", "")


# ── responses and errors of authorised requests ─────────────────────────────────────────────


def of_requests(bench: Bench, auth: Any) -> Any:
    import requests
    from requests.adapters import BaseAdapter

    class Local(BaseAdapter):
        def send(self, request: requests.PreparedRequest, **_: Any) -> requests.Response:
            response = requests.Response()
            response.status_code, response.request, response.url = 404, request, f"{request.url}"
            response._content = b"{}"
            return response

        def close(self) -> None:
            pass

    with requests.Session() as sender:
        sender.mount("https://", Local())
        response = sender.get(f"https://{HOST}/", auth=auth)
    try:
        response.raise_for_status()
    except requests.HTTPError as error:
        return error
    raise AssertionError


def of_httpx(bench: Bench, auth: Any) -> Any:
    import httpx

    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=b"{}"))
    with httpx.Client(transport=transport, auth=auth) as sender:
        return sender.get(f"https://{HOST}/")


@pytest.mark.parametrize("sent", [of_requests, of_httpx])
def test_pickled_responses_have_no_token(
    sent: Callable[[Bench, Any], Any], bench: Bench, other: Bench
) -> None:
    """They have the request with its headers. Dask and joblib pickle what a task returns."""
    bench.session.configure(hosts={HOST: ["read"]})
    bench.sign_in("read")
    outcome = sent(bench, bench.session.authorise())
    header = outcome.request.headers["Authorization"]
    assert header == f"Bearer {bench.read('read')}"
    data = pickle.dumps(outcome)
    assert not find(header.partition(" ")[2], data)
    assert pickle.loads(data).request.headers["Authorization"] == NOT_PICKLED
    assert copy.deepcopy(outcome.request.headers)["Authorization"] == header

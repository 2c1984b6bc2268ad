"""What workers get from the kernel: tokens of their account, or an error; nobody is asked."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from nbauth.adapters.azure_core import Credential
from nbauth.core.errors import (
    ConfigurationError,
    ConsentRequired,
    InteractionRequired,
    NbAuthError,
    NotSignedIn,
    SignInError,
    TokenError,
)
from nbauth.core.tokens import refresh_margin
from nbauth.kernel.accounts.background import RefreshAhead
from nbauth.kernel.bound import Bound
from nbauth.kernel.sign_in.attempt import SignIn
from nbauth.oauth.credentials import ClientSecret
from nbauth.testing.engine import refusal, unreachable
from tests.harness.certificates import Certificates
from tests.kernel.conftest import Bench, at_once, until
from tests.kernel.test_claims_challenge import CLAIMS, HOW, STEP_UP, Api
from tests.kernel.test_service_identity import APPLICATION, AUTHORITY
from tests.kernel.worker_bench import Worker
from tests.oauth.servers import Seen, Server, reply


def credential(bench: Bench, account: Any = None, **options: Any) -> Credential:
    return Credential(bench.session.bind(account, **options))


def token(made: Credential, *scopes: str) -> str:
    return made.get_token(*scopes or ("read",)).token


# ── tokens ──────────────────────────────────────────────────────────────────────────────────


def test_a_worker_has_the_token_of_the_notebook(notebook: Bench, worker: Worker) -> None:
    notebook.sign_in("read")
    there = worker.load(credential(notebook))
    assert {token(there) for _ in range(5)} == {notebook.read("read")}
    assert len(worker.channel.asked) == 1
    assert worker.bench.engine.calls == []
    assert notebook.refreshes == 0


def test_threads_of_a_worker_ask_once(notebook: Bench, worker: Worker) -> None:
    notebook.sign_in("read")
    there = worker.load(credential(notebook))
    assert len(set(at_once(8, lambda: token(there)))) == 1
    assert len(worker.channel.asked) == 1


@pytest.mark.parametrize("lifetime", [2, 60, 3600, 86400])
def test_a_worker_asks_again_when_the_margin_is_nearly_over(
    notebook: Bench, worker: Worker, lifetime: float
) -> None:
    """The kernel has a new one then, and the old one is still valid if the kernel is slow."""
    notebook.engine.lifetime = lifetime
    notebook.sign_in("read")
    there = worker.load(credential(notebook))
    first = token(there)
    margin = refresh_margin(lifetime)
    notebook.clock.advance(lifetime - margin * 0.3)
    assert token(there) == first
    notebook.clock.advance(margin * 0.1)
    assert token(there) != first
    assert (len(worker.channel.asked), notebook.refreshes) == (2, 1)


def test_a_token_that_is_used_up_is_not_handed_out(notebook: Bench, worker: Worker) -> None:
    notebook.sign_in("read")
    notebook.clock.advance(3600)
    there = worker.load(credential(notebook))
    assert there.get_token("read").expires_on == pytest.approx(notebook.clock.time() + 3600, abs=1)


def test_a_wider_token_serves_workers(notebook: Bench, worker: Worker) -> None:
    notebook.sign_in("read", "write")
    there = worker.load(credential(notebook))
    assert token(there) == token(there, "read", "write") == notebook.read("read", "write")
    assert notebook.refreshes == 0


def test_a_token_that_is_replaced_meanwhile_is_still_one(
    notebook: Bench, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refresh ahead of need may end between two steps of an answer."""
    notebook.sign_in("read")
    there = worker.load(credential(notebook))
    bound = credential(notebook)._bound
    get = type(bound).get

    def then_refreshed(self: Any, *given: Any, **options: Any) -> Any:
        result = get(self, *given, **options)
        if self._tokens is notebook.session._tokens:
            notebook.session.acquire("read", force_refresh=True)
        return result

    monkeypatch.setattr(type(bound), "get", then_refreshed)
    info = there.get_token("read")
    assert info.token != notebook.read("read")
    assert info.expires_on == pytest.approx(notebook.clock.time() + 3600, abs=1)


def test_the_kernel_refreshes_ahead_for_its_own_uses_only(notebook: Bench, worker: Worker) -> None:
    notebook.session.configure(refresh_ahead=True)
    notebook.session.cache.renewed.disconnect(notebook.session._refresh_ahead.wake)
    notebook.sign_in("read", "write")
    ahead = RefreshAhead(notebook.session.cache, notebook.session._renewal)
    there = worker.load(credential(notebook))

    def later() -> int:
        """Refreshes after a token's life, in which workers ask at the end."""
        before = notebook.refreshes
        notebook.clock.advance(3600 - 70)
        ahead.tick()
        token(there)
        ahead.tick()
        return notebook.refreshes - before

    notebook.read("read", "write")
    token(there)  # gets the notebook's token, and does not end its uses
    assert later() == 1
    fresh = [one.used for one in notebook.session.cache.tokens.values()]
    assert fresh == [False] * len(fresh)
    before = notebook.refreshes
    notebook.clock.advance(3600 - 70)
    ahead.tick()
    assert notebook.refreshes == before, "workers may be gone"
    assert token(there) == notebook.read("read")
    notebook.clock.advance(3600 - 70)
    ahead.tick()
    assert notebook.refreshes == before + 2, "the notebook has read it"


def test_a_token_that_only_workers_have_read_is_not_refreshed_ahead(
    notebook: Bench, worker: Worker
) -> None:
    notebook.session.configure(refresh_ahead=True)
    notebook.session.cache.renewed.disconnect(notebook.session._refresh_ahead.wake)
    notebook.sign_in("read")  # it counts as read
    there = worker.load(credential(notebook))
    notebook.clock.advance(3600)
    token(there)
    (cached,) = notebook.session.cache.tokens.values()
    assert not cached.used
    notebook.read("read")
    notebook.clock.advance(3600)
    assert token(there)
    (cached,) = notebook.session.cache.tokens.values()
    assert not cached.used


# ── accounts ────────────────────────────────────────────────────────────────────────────────


def test_the_first_token_fixes_one_account_for_all(notebook: Bench, worker: Worker) -> None:
    made = credential(notebook)
    first, second = worker.load(made), Worker(notebook)
    for there in (first, second.load(made)):
        with pytest.raises(NbAuthError):
            token(there)
    notebook.sign_in("read", user="ada")
    assert token(first).startswith("access-ada-")
    notebook.sign_in("read", user="bob", force=True)
    assert token(second.load(made)).startswith("access-ada-")
    assert token(made).startswith("access-ada-")
    second.bench.session.rest()


def test_an_account_that_signs_in_later(notebook: Bench, worker: Worker) -> None:
    there = worker.load(credential(notebook, "bob@example.com"))
    notebook.sign_in("read", user="ada")
    with pytest.raises(InteractionRequired, match=r"bob@example\.com") as caught:
        token(there)
    assert "%login" in caught.value.hint
    notebook.sign_in("read", user="bob", force=True)
    assert token(there).startswith("access-bob-")


def test_a_name_that_two_accounts_share(notebook: Bench, worker: Worker) -> None:
    for home in ("one", "two"):
        notebook.sign_in("read", user=home, force=True)
    for record in notebook.session.cache.signed_in.values():
        object.__setattr__(record.account, "username", "same@example.com")
        notebook.session.cache._names.add(record.key, record.names)
    tokens, client = notebook.session._tokens, notebook.session.client()
    there = worker.load(Credential(Bound(tokens, client, "same@example.com", look=False)))
    with pytest.raises(ConfigurationError, match="matches 2 accounts"):
        token(there)


def test_signed_out_and_in_again(notebook: Bench, worker: Worker) -> None:
    account = notebook.sign_in("read", user="ada")
    notebook.sign_in("read", user="bob", force=True)
    made = credential(notebook, account)
    there = worker.load(made)
    token(there)
    notebook.session.logout(account)
    workers = worker.bench.session.workers
    assert workers is not None
    assert notebook.session.workers is not None
    workers.loaded.forget(notebook.session.workers.id)
    for loaded in (there, worker.load(made)):
        with pytest.raises(NotSignedIn, match="signed out"):
            token(loaded)
    notebook.sign_in("read", user="ada", force=True)
    assert token(there) == notebook.read("read", account=account)


@pytest.mark.parametrize(
    "change", [{"home_account_id": "bob"}, {"client_id": "other"}, {"authority": "https://x.test"}]
)
@pytest.mark.parametrize("again", [False, True])
def test_a_token_of_another_account_or_client_is_refused(
    notebook: Bench, worker: Worker, change: dict[str, str], again: bool
) -> None:
    notebook.sign_in("read")
    there = worker.load(credential(notebook))
    if again:
        token(there)
        notebook.clock.advance(3600)
    worker.channel.change = lambda answer: {**answer, "account": {**answer["account"], **change}}
    with pytest.raises(TokenError) as caught:
        token(there)
    assert caught.value.code == "other_account"
    assert not any("bob" in str(key) for key in worker.bench.session.cache.signed_in)


def test_accounts_of_a_worker_and_of_the_notebook_stay_apart(
    notebook: Bench, worker: Worker
) -> None:
    notebook.sign_in("read", user="ada")
    worker.bench.sign_in("read", user="eve")
    there = worker.load(credential(notebook))
    assert token(there).startswith("access-ada-")
    assert worker.bench.read("read").startswith("access-eve-")
    assert [one.username for one in worker.bench.session.accounts()] == ["eve@example.com"]


# ── nobody is asked ─────────────────────────────────────────────────────────────────────────


def nothing(bench: Bench) -> None:
    pass


def expired(bench: Bench) -> None:
    bench.sign_in("read")
    bench.clock.advance(4000)
    bench.engine.live.clear()


def without_consent(bench: Bench) -> None:
    bench.sign_in("write")
    bench.engine.ungranted.add("read")


@pytest.mark.parametrize("before", [nothing, expired, without_consent])
@pytest.mark.parametrize("flow", ["auto", "device", "browser", "password"])
def test_the_kernel_asks_nobody(
    notebook: Bench, worker: Worker, before: Callable[[Bench], None], flow: str
) -> None:
    before(notebook)
    notebook.session.configure(flow=flow)
    shown = len(notebook.screen.shown)
    there = worker.load(credential(notebook, interactive=True))
    kind = ConsentRequired if before is without_consent else InteractionRequired
    with pytest.raises(kind) as caught:
        token(there)
    what, hint = caught.value.lines()
    assert what.endswith("A worker process asks nobody to sign in.")
    assert hint.startswith("→ Run %login")
    assert hint.endswith(" in the notebook, then repeat the work.")
    assert len(notebook.screen.shown) == shown
    assert notebook.session.pending() == worker.bench.screen.shown == []


def test_a_worker_does_not_wait_for_a_sign_in(notebook: Bench, worker: Worker) -> None:
    there = worker.load(credential(notebook))
    gate = notebook.engine.hold("poll_device")
    sign_in = notebook.session.login("read", background=True)
    assert isinstance(sign_in, SignIn)
    until(gate.reached.is_set)
    with pytest.raises(InteractionRequired, match="sign-in is running"):
        token(there)
    gate.open()
    sign_in.wait(5)
    assert token(there) == notebook.read("read")


def test_the_error_of_a_sign_in_is_left_for_the_person(notebook: Bench, worker: Worker) -> None:
    """It is told once: to the next call of the notebook, not to a worker."""
    there = worker.load(credential(notebook))
    notebook.engine.will("poll_device", refusal("access_denied"))
    sign_in = notebook.session.login("read", background=True)
    assert isinstance(sign_in, SignIn)
    sign_in.ended.wait(5)
    with pytest.raises(InteractionRequired):
        token(there)
    with pytest.raises(SignInError) as caught:
        notebook.session.acquire("read")
    assert caught.value.code == "access_denied"


def test_a_provider_that_is_down(notebook: Bench, worker: Worker) -> None:
    notebook.sign_in("read")
    notebook.clock.advance(4000)
    there = worker.load(credential(notebook))
    notebook.engine.will("refresh", unreachable())
    for _ in range(5):  # workers try again at once, and each would ask the provider
        with pytest.raises(NbAuthError) as caught:
            token(there)
        assert caught.value.code == "no_connection"
        assert len(caught.value.lines()) == 2
    assert notebook.refreshes == 1
    notebook.clock.advance(1.1)
    assert token(there)


def test_a_fault_of_the_kernel_is_an_error_of_the_worker(notebook: Bench, worker: Worker) -> None:
    notebook.sign_in("read")
    notebook.clock.advance(4000)
    there = worker.load(credential(notebook))
    notebook.engine.will("refresh", ZeroDivisionError("secret-in-a-message"))
    with pytest.raises(TokenError, match="ZeroDivisionError") as caught:
        token(there)
    assert "secret" not in str(caught.value)


# ── hosts that refuse ───────────────────────────────────────────────────────────────────────


@pytest.fixture
def api(notebook: Bench, server: Server, certificates: Certificates) -> Api:
    """At Entra."""
    return Api(notebook, server, certificates)


@pytest.fixture
def other(notebook: Bench, server: Server, certificates: Certificates) -> Api:
    """At another OpenID Connect issuer."""
    return Api(notebook, server, certificates, notebook.environ["NBAUTH_AUTHORITY"])


@pytest.mark.parametrize("how", HOW)
def test_a_claims_challenge_is_satisfied_by_the_kernel(api: Api, worker: Worker, how: str) -> None:
    api.session = worker.load(api.session)
    before = api.refuse_present()
    assert api.call(how).status_code == 200
    assert api.sent()[0] == before != api.sent()[1]
    assert api.asked == [CLAIMS]
    refresh = next(one for one in api.bench.engine.calls if one.method == "refresh")
    assert refresh.arguments["scopes"].declares, "Entra is told that challenges are answered"
    assert api.call(how).status_code == 200
    assert api.sent()[2:] == [api.sent()[1]]


def test_a_refused_token_is_replaced_once_for_all_workers(other: Api, worker: Worker) -> None:
    second = Worker(other.bench)
    sessions = [worker.load(other.session), second.load(other.session)]
    other.challenge = "Bearer"
    for other.session in sessions:
        assert other.call("requests").status_code == 200
    other.session = sessions[0]
    other.refuse_present()
    for other.session in sessions:
        assert other.call("requests").status_code == 200
    assert other.asked == [None]
    second.bench.session.rest()


@pytest.mark.parametrize("how", HOW)
def test_step_up_needs_the_person_in_the_notebook(other: Api, worker: Worker, how: str) -> None:
    home, other.challenge = other.session, STEP_UP
    other.session = worker.load(home)
    other.refuse_present()
    with pytest.raises(InteractionRequired) as caught:
        other.call(how)
    what, hint = caught.value.lines()
    assert "gold silver" in what
    assert other.host in what
    assert "%login" in hint
    assert "--max-age 60" in hint
    assert other.asked == other.bench.screen.shown == []
    other.session = home
    assert other.call(how).status_code == 200  # asks the person, in the notebook
    other.session = worker.load(home)
    assert other.call(how).status_code == 200
    assert other.sent()[-1] == other.sent()[-3]


@pytest.mark.parametrize("how", HOW)
def test_missing_scopes_come_silently_or_the_response_is_returned(
    other: Api, worker: Worker, how: str
) -> None:
    other.bench.session.configure(hosts={other.host: ["read", "write"]})
    good = set[str]()

    def answer(request: Seen) -> bytes:
        if request.headers["authorization"] in good:
            return reply(200)
        header = 'Bearer error="insufficient_scope", scope="read write"'
        return reply(403, "{}", WWW_Authenticate=header)

    other.server.answer = answer
    home = other.bench.session.authorised_session("read")
    other.session = worker.load(home)
    other.bench.engine.ungranted.add("write")
    assert other.call(how).status_code == 403
    assert other.bench.screen.shown == []
    (line,) = worker.bench.screen.said
    assert "write" in line
    assert "%login" in line
    wide = other.bench.read("read", "write")  # asks the person
    good.add(f"Bearer {wide}")
    assert len(other.bench.screen.shown) == 1
    other.session = worker.load(home)
    assert other.call(how).status_code == 200
    assert other.sent()[-1] == wide


# ── identities without a person ─────────────────────────────────────────────────────────────


def test_a_service_identity_works_in_the_kernel_only(notebook: Bench, worker: Worker) -> None:
    notebook.engine.credential = ClientSecret(lambda: refusal("never"))  # type: ignore[arg-type, return-value]
    notebook.session.configure(flow="app")
    there = worker.load(credential(notebook))  # not signed in yet
    first = token(there)
    notebook.clock.advance(3600)
    assert token(there) != first
    assert worker.bench.engine.calls == []


class OwnCredential:
    """A credential object of the Azure SDKs."""

    def __init__(self) -> None:
        self.given = 0
        self.lock = threading.Lock()  # it could not be pickled

    def get_token(self, *scopes: str, **_: Any) -> Any:
        from azure.core.credentials import AccessToken

        self.given += 1
        return AccessToken(f"own-{self.given}", 2**31)


def test_a_credential_object_stays_in_the_kernel(notebook: Bench, worker: Worker) -> None:
    own = OwnCredential()
    notebook.session.configure(
        credential=own, authority="https://login.microsoftonline.com/contoso.com"
    )
    there = worker.load(credential(notebook))
    assert token(there, "User.Read").startswith("own-")
    assert own.given >= 1


@pytest.mark.parametrize("client_id", ["notebooks", None])
def test_an_application_that_the_environment_names(
    notebook: Bench, worker: Worker, monkeypatch: pytest.MonkeyPatch, client_id: str | None
) -> None:
    """It signs in in the kernel, and not on the worker, whose environment names it too."""
    for bench in (notebook, worker.bench):
        bench.environ["NBAUTH_AUTHORITY"] = AUTHORITY
        if client_id is None:
            del bench.environ["NBAUTH_CLIENT_ID"]
        bench.screen.is_attended = False
        bench.session.new_cell()
    for name, value in APPLICATION.items():
        monkeypatch.setenv(name, value)
    made = credential(notebook)
    there = worker.load(made)
    first = token(there, "User.Read")
    assert first == token(made, "User.Read")
    notebook.clock.advance(3600)
    assert token(there, "User.Read") != first
    assert not any(engine.calls for engine in worker.bench.engines.values())


def test_a_host_that_refuses_all_tokens_causes_one_refresh(other: Api, worker: Worker) -> None:
    """Each task loads its arguments anew, and what is known of the host has to outlive it."""
    home, other.server.answer = other.session, reply(401, "{}", WWW_Authenticate="Bearer")
    other.bench.engine.calls.clear()
    for _ in range(10):
        other.session = worker.load(home)
        assert other.call("requests").status_code == 401
    assert other.asked == [None]


def test_the_provider_is_asked_once_in_vain(notebook: Bench, worker: Worker) -> None:
    """Not by each of a thousand tasks; and again after a sign-in, or a minute."""
    notebook.sign_in("read")
    notebook.clock.advance(4000)
    notebook.engine.will("refresh", *[refusal("interaction_required")] * 9)
    made = credential(notebook)
    there, second = worker.load(made), Worker(notebook)

    def ask() -> int:
        before = notebook.refreshes
        for one in (there, second.load(made), there):
            with pytest.raises(InteractionRequired):
                token(one)
        return notebook.refreshes - before

    assert [ask(), ask()] == [1, 0]
    notebook.clock.advance(61)
    assert ask() == 1
    notebook.sign_in("read", force=True)
    assert token(there) == token(second.load(made)) == notebook.read("read")
    second.bench.session.rest()


def test_a_worker_goes_on_at_once_after_the_person_has_signed_in(
    other: Api, worker: Worker
) -> None:
    home, other.challenge = other.session, STEP_UP
    other.session = worker.load(home)
    other.refuse_present()
    for _ in range(2):
        with pytest.raises(InteractionRequired) as caught:
            other.call("requests")
        assert "--max-age 60" in caught.value.hint
    refused, other.session = other.session, home
    assert other.call("requests").status_code == 200  # asks the person, in the notebook
    other.session = refused
    assert other.call("requests").status_code == 200

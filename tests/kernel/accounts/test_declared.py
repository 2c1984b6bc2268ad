"""Tokens that declare a client capability: stored, restored and renewed apart from the others."""

from __future__ import annotations

import json
from typing import NoReturn

import pytest
import requests

from nbauth.core.errors import ConsentRequired
from nbauth.core.scopes import Scopes, undeclared
from nbauth.kernel.accounts.refresh_errors import as_consent
from nbauth.kernel.session import Session
from nbauth.kernel.workers import no_pipe
from nbauth.oauth.authorities import parse
from nbauth.oauth.challenge import Requirement
from nbauth.testing.clock import FakeClock
from nbauth.testing.engine import FakeEngine, refusal
from tests.kernel.accounts.machine import Machine
from tests.kernel.conftest import redirect

ENTRA = "https://login.microsoftonline.com/contoso.com"


class AtEntra(Machine):
    """Kernels whose accounts are at Entra."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock)
        self.engine = FakeEngine(parse(ENTRA), clock=clock.time)

    def kernel(self, *, attended: bool = False, **settings: str) -> Session:
        return super().kernel(attended=attended, authority=ENTRA, **settings)

    def signed_in(self, user: str = "ada") -> Session:
        kernel = self.kernel()
        self.engine.user = user
        kernel.login("User.Read", web_ui=redirect, force=True)
        return kernel


@pytest.fixture
def entra(machine: Machine, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> AtEntra:
    made = AtEntra(clock)
    made.shelf, made.kernels = machine.shelf, machine.kernels
    return made


def of_calls(kernel: Session) -> str:
    """The token that nbauth's own calls send."""
    request = requests.Request("GET", "https://graph.microsoft.com/v1.0/me").prepare()
    sent = kernel.authorise("User.Read")(request).headers["Authorization"]
    return str(sent).removeprefix("Bearer ")


def plain(kernel: Session) -> str:
    return str(kernel.acquire("User.Read").access_token)


def test_the_next_kernel_has_both_tokens_without_a_request(entra: AtEntra) -> None:
    one = entra.signed_in()
    calls, others = of_calls(one), plain(one)
    assert calls != others
    assert entra.refreshes == 1
    next_one = entra.kernel()
    assert (of_calls(next_one), plain(next_one)) == (calls, others)
    assert str(next_one.token("User.Read")) == others
    assert entra.refreshes == 1


def test_another_kernels_refresh_of_one_keeps_the_other(entra: AtEntra) -> None:
    """Each refresh deleted the other kind, and the kernels refreshed in turn."""
    one, other = entra.signed_in(), entra.kernel()
    calls = of_calls(one)
    assert of_calls(other) == calls
    fresh = str(other.acquire("User.Read", force_refresh=True).access_token)
    before = entra.refreshes
    one.acquire("Mail.Read")  # reads what the other kernel has stored
    assert (of_calls(one), plain(one)) == (calls, fresh)
    assert (of_calls(other), plain(other)) == (calls, fresh)
    assert entra.refreshes == before + 1
    assert entra.engine.reused == []


def test_a_record_without_the_word_has_plain_tokens(entra: AtEntra) -> None:
    one = entra.signed_in()
    of_calls(one)
    ((entry, (stamp, data)),) = entra.shelf.kept_records.items()
    record = json.loads(data)
    assert sorted(token["declares"] for token in record["tokens"]) == [False, True]
    record["tokens"] = [token for token in record["tokens"] if not token.pop("declares")]
    entra.shelf.kept_records[entry] = stamp, json.dumps(record).encode()
    next_one = entra.kernel()
    assert plain(next_one) == plain(one)
    assert of_calls(next_one) != plain(one)


def test_the_scopes_of_a_grant_do_not_depend_on_it(entra: AtEntra) -> None:
    one = entra.kernel(attended=True)
    of_calls(one)  # signs in
    (record,) = one.cache.signed_in.values()
    (grant,) = record.grants
    assert undeclared(grant.asked) == grant.asked
    wanted = one.client().scopes(("User.Read",))
    assert record.grants_for(wanted.declaring().key) == record.grants_for(wanted.key) == [grant]
    one.login("User.Read", web_ui=redirect, force=True)
    assert len(record.grants) == 1, "the later grant covers the first"


def test_a_missing_consent_is_told_as_such(entra: AtEntra) -> None:
    one = entra.signed_in()
    entra.engine.ungranted = {"https://graph.microsoft.com/User.Read"}
    (record,) = one.cache.signed_in.values()
    record.grants[0].scopes = frozenset()
    one.cache.tokens.clear()
    with pytest.raises(ConsentRequired):
        of_calls(one)


def test_an_invalid_scope_that_was_granted_is_told_as_such() -> None:
    wanted = Scopes.parse(["User.Read"], microsoft=True)
    error = refusal("invalid_scope")
    assert as_consent(error, wanted.declaring(), wanted.key) is error
    assert isinstance(as_consent(error, wanted.declaring(), frozenset()), ConsentRequired)


def no_parent(*_: object) -> NoReturn:
    raise no_pipe()


def test_a_forked_kernel_uses_the_token_that_is_there(entra: AtEntra) -> None:
    """The parent cannot be asked here."""
    one = entra.signed_in()
    one.cache.forked(lambda _: no_parent)
    before = entra.refreshes
    assert of_calls(one) == of_calls(one) == plain(one)
    assert entra.refreshes == before


def test_a_token_in_use_is_refreshed_ahead_as_what_it_is(entra: AtEntra) -> None:
    from nbauth.kernel.accounts.background import RefreshAhead

    one = entra.signed_in()
    one.configure(refresh_ahead=True)
    before = of_calls(one), plain(one)
    worker = RefreshAhead(one.cache, one._renewal)
    worker._share = 1.0
    for token in one.cache.tokens.values():
        token.client = one.client()
    entra.clock.advance(3600 - 400)
    worker.tick()
    after = of_calls(one), plain(one)
    assert not set(before) & set(after)
    sent = [
        one.arguments["scopes"].declares for one in entra.engine.calls if one.method == "refresh"
    ]
    assert sorted(sent[1:]) == [False, True]


def test_declaring_is_reversible() -> None:
    scopes = Scopes.parse(["User.Read"], microsoft=True)
    declaring = scopes.declaring()
    assert declaring.declares
    assert not scopes.declares
    assert str(declaring) == str(scopes)
    assert [*declaring] == [*scopes]
    assert declaring.declaring() == declaring
    assert declaring.undeclared() == scopes


def test_requirements_are_compared_by_what_they_ask_for() -> None:
    assert Requirement("{}", renewable=False, host="a") == Requirement("{}", host="b")
    assert Requirement("{}") != Requirement(acr_values="{}")
    assert Requirement.of(Requirement(max_age=5)) == Requirement(max_age=5)
    assert Requirement.of(Requirement()) is None

"""Variables that ``%token`` sets: refreshed without a sign-in, removed by account key."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from nbauth.core.errors import ConfigurationError
from nbauth.core.tokens import Token
from nbauth.jupyter.magic_state import MagicState
from nbauth.jupyter.variables import Variables
from tests.kernel.conftest import Bench, bench, clock  # noqa: F401 - fixtures
from tests.kernel.test_by_key import twins  # noqa: F401


class Cell:
    """A notebook's variables, an environment, and the ``Variables`` over both."""

    def __init__(self, bench: Bench) -> None:  # noqa: F811
        self.bench = bench
        self.names: dict[str, Any] = {}
        self.environ: dict[str, str] = {"PATH": "/bin", "MINE": "my own"}
        self.variables = Variables(lambda: self.names, bench.screen, self.environ)
        bench.session.changed.connect(
            lambda: self.variables.keep_only(set(bench.session.cache.signed_in))
        )

    def token(self, **options: Any) -> Token:
        return self.bench.session.token("read", interactive=False, **options)


def put(cell: Cell, how: str, name: str) -> None:
    token = cell.token()
    if how == "put_text":
        cell.variables.put_text(name, token)
    else:
        cell.variables.put(name, token, token)


@pytest.fixture
def cell(bench: Bench) -> Cell:  # noqa: F811
    return Cell(bench)


@pytest.mark.parametrize("end", ["dead grant", "sign-out elsewhere"])
def test_a_variable_of_an_ended_sign_in_never_prompts_and_gives_one_message(
    cell: Cell, end: str
) -> None:
    cell.bench.sign_in("read")
    cell.variables.put_text("secret", cell.token())
    cell.variables.put_environment("TOKEN", cell.token())
    cell.bench.clock.advance(4000)
    if end == "dead grant":
        cell.bench.engine.live.clear()
    else:
        cell.bench.session.cache.signed_in.clear()
    for _ in range(5):
        cell.variables.refresh()
    assert cell.bench.screen.shown == []
    lines = [line for line in cell.bench.screen.said if "could not be refreshed" in line]
    assert len(lines) == 2
    assert all("%login" in line for line in lines)
    assert lines[0].startswith("secret ")
    assert lines[1].startswith("TOKEN ")


def test_a_variable_is_refreshed_again_and_a_second_end_gives_a_message(
    cell: Cell,
) -> None:
    cell.bench.sign_in("read")
    cell.variables.put_text("secret", cell.token())
    for round_ in (1, 2):
        cell.bench.clock.advance(4000)
        live, cell.bench.engine.live = dict(cell.bench.engine.live), {}
        from nbauth.testing.engine import unreachable

        cell.bench.engine.will("refresh", unreachable())
        cell.variables.refresh()
        cell.bench.engine.live = live
        cell.variables.refresh()
        assert cell.names["secret"].startswith("access-ada-")
        said = [line for line in cell.bench.screen.said if "could not" in line]
        assert len(said) == round_


@pytest.mark.parametrize("which", [0, 1])
def test_a_sign_out_removes_only_the_variables_of_that_account(
    cell: Cell,
    twins: Any,  # noqa: F811
    which: int,
) -> None:
    """Two accounts with the same user name at two clients."""
    for number, account in enumerate(twins):
        call = {"authority": account.authority, "client_id": account.client_id}
        cell.variables.put_text(f"text_{number}", cell.token(account=account, **call))
        cell.variables.put_environment(f"ENV_{number}", cell.token(account=account, **call))
    cell.bench.session.logout(twins[which])
    assert f"text_{which}" not in cell.names
    assert f"ENV_{which}" not in cell.environ
    assert cell.names[f"text_{1 - which}"]
    assert cell.environ[f"ENV_{1 - which}"]


@pytest.mark.parametrize("times", [1, 3])
def test_the_previous_value_of_an_environment_variable_is_restored(cell: Cell, times: int) -> None:
    cell.bench.sign_in("read")
    for _ in range(times):
        cell.variables.put_environment("MINE", cell.token())
        cell.bench.clock.advance(4000)
        cell.variables.refresh()
    assert cell.environ["MINE"].startswith("access-ada-")
    cell.bench.session.logout()
    assert cell.environ == {"PATH": "/bin", "MINE": "my own"}


def test_an_environment_variable_without_a_previous_value_is_removed(cell: Cell) -> None:
    cell.bench.sign_in("read")
    cell.variables.put_environment("NEW", cell.token())
    cell.variables.keep_only()
    assert "NEW" not in cell.environ


def test_a_variable_that_the_user_changed_is_left_alone(cell: Cell) -> None:
    cell.bench.sign_in("read")
    cell.variables.put_environment("MINE", cell.token())
    cell.variables.put_text("secret", cell.token())
    cell.environ["MINE"], cell.names["secret"] = "changed", "changed"
    cell.variables.refresh()
    cell.bench.session.logout()
    assert (cell.environ["MINE"], cell.names["secret"]) == ("changed", "changed")


@pytest.mark.parametrize(
    "name",
    ["", "1a", "a-b", "a b", "class", "None", "True", "await", "In", "Out", "_", "__", "___", "_1",
     "_i", "_ii", "_i3", "_oh", "_dh", "_ih", "get_ipython", "exit", "quit"],
)  # fmt: skip
@pytest.mark.parametrize("how", ["put", "put_text"])
def test_names_that_cannot_be_variables_are_refused(cell: Cell, name: str, how: str) -> None:
    cell.bench.sign_in("read")
    with pytest.raises(ConfigurationError) as caught:
        put(cell, how, name)
    assert caught.value.code == "bad_name"
    assert cell.names == {}


@pytest.mark.parametrize("name", ["token", "_token", "_x1", "i", "In_", "type_", "ünïcode"])
def test_other_names_are_accepted(cell: Cell, name: str) -> None:
    cell.bench.sign_in("read")
    put(cell, "put", name)
    assert list(cell.names) == [name]


@pytest.mark.parametrize(
    "name",
    ["PATH", "Path", "HOME", "LD_PRELOAD", "PYTHONPATH", "HTTPS_PROXY", "http_proxy",
     "NBAUTH_CLIENT_ID", "SSL_CERT_FILE", "LC_ALL"],
)  # fmt: skip
def test_variables_that_programs_read_are_refused(cell: Cell, name: str) -> None:
    cell.bench.sign_in("read")
    before = dict(cell.environ)
    for use in (
        lambda: cell.variables.check(env=name),
        lambda: cell.variables.put_environment(name, cell.token()),
    ):
        with pytest.raises(ConfigurationError, match="Programs read a setting") as caught:
            use()
        assert caught.value.code == "bad_name"
    assert cell.environ == before


@pytest.mark.parametrize("name", ["GH_TOKEN", "MY_PATH", "HOMEPAGE_TOKEN", "CORP_PROXY_TOKEN"])
def test_other_environment_variables_are_set(cell: Cell, name: str) -> None:
    cell.bench.sign_in("read")
    cell.variables.put_environment(name, cell.token())
    assert name in cell.environ


@pytest.mark.parametrize("name", ["", "1A", "A-B", "A B", "A=B", "Ä", "A\0"])
def test_names_that_no_environment_variable_can_have(cell: Cell, name: str) -> None:
    cell.bench.sign_in("read")
    with pytest.raises(ConfigurationError):
        cell.variables.put_environment(name, cell.token())
    assert set(cell.environ) == {"PATH", "MINE"}


@pytest.mark.parametrize("kind", ["text", "environment"])
def test_a_sign_out_during_a_refresh_removes_the_variable(cell: Cell, kind: str) -> None:
    """In the past, the refresh set the old token again, and it stayed."""
    cell.bench.sign_in("read")
    if kind == "text":
        cell.variables.put_text("secret", cell.token())
    else:
        cell.variables.put_environment("MINE", cell.token())
    cell.bench.clock.advance(4000)
    gate = cell.bench.engine.hold("refresh")
    refresh = threading.Thread(target=cell.variables.refresh)
    refresh.start()
    assert gate.reached.wait(5)
    cell.bench.session.logout()
    gate.open()
    refresh.join(5)
    for _ in range(2):
        assert cell.names == {}
        assert cell.environ["MINE"] == "my own"
        cell.variables.refresh()


@pytest.mark.parametrize(
    "name",
    ["__builtins__", "__name__", "__doc__", "__spec__", "__loader__", "_exit_code", "ﬁn ally",
     "class", "1x", "In", "_", "display"],
)  # fmt: skip
def test_an_invalid_name_is_refused_before_a_token_is_requested(cell: Cell, name: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        cell.variables.check(into=name)
    assert caught.value.hint
    cell.bench.sign_in("read")
    with pytest.raises(ConfigurationError):
        put(cell, "put", name)
    assert cell.names == {}


def test_a_name_is_normalized_as_in_python(cell: Cell) -> None:
    cell.bench.sign_in("read")
    put(cell, "put", "ﬁle")
    assert list(cell.names) == ["file"]


def test_a_variable_that_is_set_again_during_a_sign_out_stays(cell: Cell) -> None:
    """The new variable belongs to another account than the one that signs out."""
    ada = cell.bench.sign_in("read", user="ada")
    cell.variables.put_text("secret", cell.token())
    cell.variables.put_environment("TOKEN", cell.token())
    bob = cell.bench.sign_in("read", user="bob", force=True)
    lock = cell.variables._lock

    class SetAnewBefore:
        def __enter__(self) -> None:
            cell.variables._lock = lock
            cell.variables.put_text("secret", cell.token(account=bob))
            cell.variables.put_environment("TOKEN", cell.token(account=bob))
            lock.acquire()

        def __exit__(self, *_: object) -> None:
            lock.release()

    cell.variables._lock = SetAnewBefore()  # type: ignore[assignment]
    cell.variables.keep_only({bob.key})
    assert str(cell.names["secret"]) == cell.environ["TOKEN"] == str(cell.token(account=bob))
    cell.variables.keep_only({ada.key})
    assert "secret" not in cell.names
    assert "TOKEN" not in cell.environ


def test_the_notebook_has_only_variables_of_signed_in_accounts(
    bench: Bench,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names: dict[str, Any] = {}
    state = MagicState(lambda: bench.session, lambda: names)
    account = bench.sign_in("read")
    token = bench.session.token("read", interactive=False)
    text = token.value
    bench.session.logout(account)
    monkeypatch.setattr(Token, "value", property(lambda _: text))  # read just before the sign-out
    state.variables.put_text("secret", token)
    state.remove_signed_out()
    assert names == {}
    state.undo()
    before = len(bench.session.changed)
    state.remove_signed_out()  # a signal that was being sent during undo()
    assert len(bench.session.changed) == before
    assert state._variables is None

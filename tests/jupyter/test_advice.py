"""The lines that messages advise to run can be run unchanged."""

from __future__ import annotations

import re
from importlib.metadata import metadata
from pathlib import Path

import pytest

import nbauth
from nbauth.core.errors import NbAuthError
from nbauth.core.settings import NAMES
from nbauth.core.settings_reader import OTHER_VARIABLES
from nbauth.jupyter.magics import AuthMagics
from nbauth.testing.engine import FakeEngine
from tests.jupyter.advice import magics_advised, magics_in, texts
from tests.jupyter.typed import Shell, shell

ADVICE = sorted(magics_advised())
ODD = ("o'brien", "conan o'brien", "$x {y}", 'say "hi" #1', "--force", "a\\b", "山田")


def test_the_advice_is_found() -> None:
    for line in (
        "%login",
        "%login --flow device",
        "%login --tenant contoso.com",
        "%logout --forget",
        "%logout --account one --profile work",
        "%accounts drop one",
        "%login --force",
        "%token User.Read",
    ):
        assert line in ADVICE
    assert len(ADVICE) >= 15


@pytest.mark.parametrize("line", ADVICE)
def test_the_magic_accepts_the_advised_line(line: str) -> None:
    magic, _, rest = line[1:].partition(" ")
    magics = vars(AuthMagics)
    elsewhere = {name: each for each in ("login", "token") for name in magics[each].options}
    asked = magics[magic].read(rest, {}, None, elsewhere)
    assert asked is not None
    if rest:
        assert any(value for value in vars(asked).values())


def named_in_texts(pattern: str) -> list[str]:
    """What a pattern's group finds in the texts, each once."""
    searched = re.compile(pattern)
    return sorted({found[1] for text in texts(searched) for found in searched.finditer(text)})


IN_NO_SETTING = set(OTHER_VARIABLES)


def test_settings_functions_and_packages_that_messages_name_exist() -> None:
    variables = named_in_texts(r"\b(NBAUTH_[A-Z_]+)\b")
    assert "NBAUTH_CLIENT_ID" in variables
    assert {name for name in variables if name[7:].lower() not in NAMES} <= IN_NO_SETTING
    traits = named_in_texts(r"\bNbAuth\.(\w+)")
    assert "client_id" in traits
    assert set(traits) <= set(NAMES)
    functions = named_in_texts(r"\bnbauth\.(\w+)\(")
    assert "login" in functions
    assert all(callable(getattr(nbauth, name)) for name in functions)
    extras = named_in_texts(r"pip install 'nbauth\[(\w+)\]'")
    assert "server" in extras
    assert set(extras) <= set(metadata("nbauth").get_all("Provides-Extra") or ())


def advised(error_text: str) -> list[str]:
    found = list(magics_in(error_text))
    assert found, error_text
    return found


def run(here: Shell, line: str) -> None:
    answer = here.type(line)
    assert not re.search(r"Error|NotSignedIn", answer), (line, answer)


@pytest.mark.parametrize("name", ODD)
def test_the_advice_for_an_account_that_is_not_signed_in_works(name: str) -> None:
    with shell("ada") as here:
        here.shell.user_ns["who"] = f"{name}@example.com"
        said = here.type("%logout --account $who")
        (line,) = advised(said)
        run(here, line)
        assert here.shell.user_ns["_"].username == f"{name}@example.com"


@pytest.mark.parametrize("name", ODD)
def test_the_advice_for_the_wrong_account_works(name: str) -> None:
    with shell("eve") as here:
        here.shell.user_ns["who"] = f"{name}@example.com"
        engine = here.bench.engine
        for scopes in (("read",), ("write",)):
            engine.will("poll_device", lambda s=scopes: FakeEngine.response(engine, s, user=name))
            said = here.type(f"%login {scopes[0]} --account ada@example.com --force")
            again, use, drop = advised(said)
            run(here, use)
            assert here.bench.session.cache.accounts()[0].username == f"{name}@example.com"
            run(here, drop)
            run(here, again)


def test_without_a_current_account_the_advice_signs_out() -> None:
    with shell() as here:
        engine = here.bench.engine
        engine.will("poll_device", lambda: FakeEngine.response(engine, ("read",), user="o'brien x"))
        here.type("%login --account ada@example.com")
        one, everybody = advised(here.type("%logout"))
        assert one == '%logout --account "o\'brien x@example.com"'
        run(here, one)
        run(here, everybody)


def test_the_advice_for_scopes_of_two_resources_works() -> None:
    with shell() as here:
        here.bench.session.configure(authority="https://login.microsoftonline.com/contoso.com")
        said = here.type("%token User.Read https://vault.azure.net/.default")
        lines = [line for line in advised(said) if line.startswith("%token")]
        assert len(lines) == 2
        for line in lines:
            run(here, line)


def test_the_advice_for_a_token_that_needs_a_sign_in_works() -> None:
    with shell("ada") as here:
        here.bench.screen.is_attended = False
        (line,) = advised(here.type("%token 'a$$b' --account ada@example.com"))
        assert line == r'%login --account ada@example.com "a\$b"'
        here.bench.screen.is_attended = True
        run(here, line)


@pytest.mark.parametrize(
    ("line", "advice"),
    [
        ("%token api.write", "--account ada@example.com api.write"),
        ("%token api.write --account ada@example.com", "--account ada@example.com api.write"),
        ("%logout --account eve@example.com", "--account eve@example.com"),
        ("%accounts use eve@example.com", "--account eve@example.com"),
        ("%whoami --account eve@example.com", "--account eve@example.com"),
        ("%token --account eve@example.com", None),
    ],
)
def test_the_advice_is_for_the_profile_that_was_named(
    line: str, advice: str | None, tmp_path: Path
) -> None:
    config = tmp_path / "config.toml"
    config.write_text('[profiles."my idp"]\nclient_id = "other"\n', "utf-8")
    with shell("ada") as here:
        here.bench.session.reader._find_paths = lambda: [config]
        here.bench.session.reader._paths = (None, ())
        here.type('%login --profile "my idp" --login-hint ada@example.com')
        here.bench.screen.is_attended = False
        said = here.type(f'{line} --profile "my idp"')
        if advice is None:  # nobody of that name has been here: any notebook will do
            assert "Nobody can" in said
            return
        (found,) = advised(said)
        assert found == f'%login --profile "my idp" {advice}'
        here.bench.screen.is_attended = True
        run(here, found)
        assert here.shell.user_ns["_"].profile == "my idp"


def test_the_advice_for_the_wrong_account_is_for_the_profile(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text('[profiles.idp]\nclient_id = "other"\n', "utf-8")
    with shell() as here:
        here.bench.session.reader._find_paths = lambda: [config]
        here.bench.session.reader._paths = (None, ())
        here.type("%login --profile idp --login-hint ada@example.com")
        said = here.type(
            "%login --profile idp --login-hint ada@example.com --account eve@x --force"
        )
        assert advised(said)[0] == "%login --profile idp --account eve@x"


def test_config_lines_of_messages_are_accepted() -> None:
    from nbauth.oauth.client import NO_CLIENT_ID_HINT

    found = re.search(r"%config NbAuth\.\w+ = '[^']*'", NO_CLIENT_ID_HINT)
    assert found is not None
    with shell() as here:
        assert here.type(found[0]) == ""
        assert here.bench.session.settings().client_id == "<appId>"
        here.type("%config NbAuth.client_id = None")


def test_every_hint_of_an_error_class_is_advice_that_can_be_run() -> None:
    def classes(root: type[NbAuthError]) -> list[type[NbAuthError]]:
        return [root, *(each for child in root.__subclasses__() for each in classes(child))]

    lines = [line for each in classes(NbAuthError) for line in magics_in(each.hint)]
    assert len(lines) >= 5
    assert set(lines) <= set(ADVICE) | {"%login --flow browser"}

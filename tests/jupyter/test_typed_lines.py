"""Typed lines give the output in ``typed_lines.txt``; no output contains a secret."""

from __future__ import annotations

import pytest

from nbauth.jupyter.magics import AuthMagics
from tests.jupyter.typed import SECRET, Typed, shell, typed_lines

LINES = typed_lines()


@pytest.mark.parametrize("typed", LINES, ids=[str(number) for number in range(len(LINES))])
def test_the_output_of_a_typed_line(typed: Typed) -> None:
    with shell(*typed.signed_in) as here:
        answer = here.type(typed.cell)
    assert answer == typed.answer
    assert SECRET not in answer
    assert "Traceback" not in answer


def test_there_are_many_lines_of_every_magic() -> None:
    assert len(LINES) >= 100
    for magic in ("login", "logout", "token", "accounts", "whoami", "%auth"):
        assert any(f"%{magic}" in typed.cell for typed in LINES)


def test_unloading_leaves_ipythons_reading_of_lines_as_it_was() -> None:
    with shell() as here:
        read = here.shell.input_transformer_manager.token_transformers
        loaded = list(read)
    assert [each.__module__ for each in read] == ["IPython.core.inputtransformer2"] * len(read)
    assert len(loaded) == len(read) + 1


def test_the_help_of_a_cell_magic_lists_its_options() -> None:
    described = vars(AuthMagics)["auth"]
    assert described.options == ["--host", "--profile", "--account", "--quiet"]
    for option in described.options:
        assert option in described.help
    with shell("ada") as here:
        for cell in ("%%auth --help", "%%auth read -h\n1 / 0", "%%auth\t--help;\n"):
            assert here.type(cell) == described.help
        assert here.type("%%auth --quiet # --help\n5") == "5"
        assert "--host" in here.type("%%auth?")
        assert "authorise_cell" in here.type("%%auth??")


@pytest.mark.parametrize("magic", ["login", "logout", "token", "accounts", "whoami"])
def test_help_lists_only_available_options(magic: str) -> None:
    described = vars(AuthMagics)[magic]
    for option in described.options:
        assert option in described.help
    with shell() as here:
        for line in (f"%{magic} --help", f"%{magic} read -h", f"x = %{magic} --help"):
            assert here.type(line) == described.help


@pytest.mark.parametrize(
    "line",
    [
        "%login --profile nope",
        "%login --flow nope",
        "%login --persist nope",
        "%login --prompt nope",
        "%login --claims nope",
        "%login --max-age -1",
        "%login --timeout 0",
        "%login --authority nope",
        '%login --account " "',
        "%token --into 1st",
        "%token --into in",
        "%token --env A-B",
        '%token --env ""',
        "%token --profile nope",
        "%token --header --str",
    ],
)
def test_a_name_is_checked_before_any_prompt_or_request(line: str) -> None:
    with shell() as here:
        answer = here.type(line)
        assert here.bench.screen.shown == []
        assert [call for engine in here.bench.engines.values() for call in engine.calls] == []
    assert answer.startswith(("UsageError: ", "ConfigurationError: "))

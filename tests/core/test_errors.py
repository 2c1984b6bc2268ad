from __future__ import annotations

import ast
import inspect

import pytest

from nbauth.core import errors
from nbauth.core.errors import NbAuthError, SignInExpired
from nbauth.core.interrupted import SignInInterrupted

CLASSES = [
    value
    for value in vars(errors).values()
    if isinstance(value, type) and issubclass(value, NbAuthError)
]


@pytest.fixture
def debug(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(NbAuthError, "wants_traceback", staticmethod(lambda: True))


@pytest.mark.parametrize("kind", [kind for kind in CLASSES if kind is not NbAuthError])
def test_every_error_class_has_its_own_code_and_a_hint(kind: type[NbAuthError]) -> None:
    error = kind("It happened.")
    assert error.code not in {"", "nbauth_error"}
    assert error.hint.endswith(".")
    assert kind.__doc__


def test_error_codes_are_unique() -> None:
    codes = [kind.code for kind in CLASSES]
    assert len(codes) == len(set(codes))


def test_lines_gives_two_lines() -> None:
    error = SignInExpired("Nobody came.", hint="Come.", code="late", correlation_id="c-1")
    assert error.lines() == [
        "SignInExpired: Nobody came. (correlation id c-1)",
        "→ Come.",
    ]
    assert error.code == "late"
    assert str(error) == "Nobody came."


def test_missing_arguments_default_to_the_class() -> None:
    error = SignInExpired("Nobody came.")
    assert (error.code, error.hint) == (SignInExpired.code, SignInExpired.hint)
    assert error.correlation_id is None
    assert error.suggested_flow is None
    assert error.lines()[0] == "SignInExpired: Nobody came."


def test_a_hint_of_one_error_does_not_change_the_class() -> None:
    SignInExpired("x", hint="mine", code="mine")
    assert SignInExpired("x").hint != "mine"
    assert SignInExpired("x").code != "mine"


def raised() -> NbAuthError:
    try:
        try:
            raise OSError("the cable")
        except OSError as cause:
            raise SignInExpired("Nobody came.") from cause
    except NbAuthError as error:
        return error


def test_ipython_shows_two_lines() -> None:
    assert raised()._render_traceback_() == raised().lines()


@pytest.mark.usefixtures("debug")
def test_debug_shows_the_traceback_with_its_cause() -> None:
    text = "\n".join(raised()._render_traceback_())
    assert "OSError: the cable" in text
    assert "direct cause" in text
    assert "in raised" in text


@pytest.mark.parametrize("debug", [False, True])
def test_control_characters_in_an_error_are_written_out(
    debug: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = NbAuthError("\x1b[31mred", hint="Run\u202e it.")
    monkeypatch.setattr(error, "wants_traceback", lambda: debug)
    shown = "\n".join(error._render_traceback_())
    assert r"\x1b[31mred" in shown
    assert debug or r"Run\u202e it." in shown
    assert "\x1b" not in shown
    assert "\u202e" not in shown


def test_an_interrupt_is_a_keyboard_interrupt_shown_in_one_line() -> None:
    error = SignInInterrupted()
    assert isinstance(error, KeyboardInterrupt)
    assert not isinstance(error, Exception)
    assert len(error._render_traceback_()) == 1


def test_the_docstring_shows_the_class_tree() -> None:
    drawn = inspect.getdoc(errors) or ""
    source = ast.parse(inspect.getsource(errors))
    names = [node.name for node in source.body if isinstance(node, ast.ClassDef)]
    assert not [name for name in names if name not in drawn]

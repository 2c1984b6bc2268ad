"""Magics with a lazy parser: for IPython they are the same as those of ``magic_arguments``."""

from __future__ import annotations

from typing import Any

import pytest
from IPython.core import magic_arguments as ipythons
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic import Magics, line_magic, magics_class

from nbauth.core.settings import NAMES
from nbauth.jupyter import lazy_parser as ours
from nbauth.jupyter.config import HELP


def made(argument: Any, with_arguments: Any) -> Any:
    """A class with one magic, made with IPython's decorators or nbauth's."""

    @magics_class
    class Some(Magics):
        @with_arguments
        @argument("scopes", nargs="*", metavar="SCOPE", help="what for")
        @argument("--consent-also", nargs="+", metavar="SCOPE", help="used later")
        @argument("--timeout", type=float, help="how long")
        @argument("--quiet", action="store_true")
        @line_magic
        def try_this(self, line: str) -> Any:
            """Try it. Returns the arguments."""
            if not isinstance(line, str):  # nbauth's: it has been parsed
                return {**vars(line), "scopes": [word.text for word in line.scopes]}
            return vars(self.try_this.parser.parse_argstring(line))

    return Some


@pytest.fixture
def shell() -> Any:
    yield InteractiveShell.instance()
    InteractiveShell.clear_instance()


@pytest.fixture(params=["ours", "IPython's"])
def magic(request: Any, shell: Any) -> Any:
    theirs = made(ipythons.argument, ipythons.magic_arguments())
    chosen = theirs if request.param != "ours" else made(ours.argument, ours.lazily_parsed)
    shell.register_magics(chosen)
    yield shell
    del shell.magics_manager.magics["line"]["try_this"]


@pytest.mark.parametrize("before", ["", "--quiet"])
def test_the_help_is_the_same_as_ipythons(magic: Any, before: str) -> None:
    magic.run_line_magic("try_this", before)
    shown = magic.object_inspect_mime("%try_this")["text/plain"]
    assert "%try_this [--consent-also SCOPE [SCOPE ...]] [--timeout TIMEOUT]" in shown
    assert "Try it. Returns the arguments." in shown
    assert "--consent-also <SCOPE [SCOPE ...]>" in shown
    assert "test_lazy_parser.py" in shown
    assert "class" not in shown.lower()  # which IPython prints for an object that is not a function
    source = magic.object_inspect_mime("%try_this", detail_level=1)["text/plain"]
    assert "parser" in source
    assert "consent-also" in source
    facts = magic.object_inspect("%try_this", detail_level=1)
    assert "try_this(line" in facts["definition"]
    assert "Some.try_this of" in facts["string_form"]
    assert magic.magics_manager.lsmagic_docs()["line"]["try_this"].startswith("::\n\n  %try_this")


def test_the_arguments_are_the_same_as_ipythons(magic: Any) -> None:
    asked = magic.run_line_magic("try_this", "a b --timeout 3 --consent-also c d")
    expected = {"scopes": ["a", "b"], "timeout": 3.0, "consent_also": ["c", "d"], "quiet": False}
    assert asked == expected
    with pytest.raises(UsageError, match="long"):
        magic.run_line_magic("try_this", "--timeout long")
    with pytest.raises(UsageError, match="--loud"):
        magic.run_line_magic("try_this", "--loud")


def test_the_parser_is_created_on_first_use() -> None:
    magic = made(ours.argument, ours.lazily_parsed).try_this
    assert "parser" not in vars(magic)
    assert magic.__doc__ == magic.__doc__
    assert "parser" in vars(magic)


def test_every_setting_is_configurable() -> None:
    assert tuple(sorted(HELP)) == tuple(sorted(NAMES))

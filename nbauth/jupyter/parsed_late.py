"""IPython's ``magic_arguments``, late: a parser is made when its magic is first used or described.

IPython's own decorator makes the parser and the help text when the magic is defined. For our four
magics that takes longer than all else that ``%load_ext`` does.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from types import MethodType
from typing import Any


def argument(*names: str, **how: Any) -> Callable[[Any], Any]:
    """An argument of the magic that it decorates, as ``ArgumentParser.add_argument`` takes it."""

    def noted(function: Any) -> Any:
        vars(function).setdefault("arguments", []).append((names, how))
        return function

    return noted


class parsed_late:  # noqa: N801 - a decorator
    """A magic that is parsed by the arguments noted on it, and described by its parser's help.

    To IPython it looks like any method: ``inspect`` finds source and signature by ``__wrapped__``,
    and the ``__doc__`` of a bound method is read from what it binds.

    Args:
        function: the magic, a method.
    """

    def __init__(self, function: Any) -> None:
        self.__wrapped__ = function
        self.__name__ = function.__name__
        self.__qualname__ = function.__qualname__

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        return self if instance is None else MethodType(self, instance)

    def __call__(self, *arguments: Any) -> Any:
        return self.__wrapped__(*arguments)

    @cached_property
    def parser(self) -> Any:
        """Parses the magic's line."""
        from IPython.core import magic_arguments

        function = self.__wrapped__
        for names, how in function.arguments:
            magic_arguments.argument(*names, **how)(function)
        return magic_arguments.construct_parser(function)

    @property
    def __doc__(self) -> str:  # type: ignore[override]
        return str(self.parser.format_help())

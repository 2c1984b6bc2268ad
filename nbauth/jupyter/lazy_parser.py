"""Lazy ``magic_arguments`` of IPython: the parser of a magic is created on first use.

IPython's own decorator creates the parser and the help text when the magic is defined. For these
magics that takes longer than the rest of ``%load_ext``. The line itself is parsed by
``magic_line``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cached_property
from inspect import Parameter, Signature
from types import MethodType
from typing import Any


def argument(*names: str, **how: Any) -> Callable[[Any], Any]:
    """Add an argument to the decorated magic; for ``ArgumentParser.add_argument``."""

    def noted(function: Any) -> Any:
        vars(function).setdefault("arguments", []).append((names, how))
        return function

    return noted


class lazily_parsed:  # noqa: N801 - a decorator
    """A magic that is called with the parsed arguments. Its docstring is the help of its parser.

    For IPython it is like any method with the parameter ``line``: ``inspect`` finds its source by
    ``__wrapped__``, and a bound method takes its ``__doc__`` from this object.

    Args:
        function: the magic, a method with the parsed arguments as its parameter.
    """

    completes_lines = False
    """Whether the lines of a cell below its magic are completed like the line of the magic."""
    _ipython_magic_no_var_expand = True  # as IPython's decorators set them
    needs_local_scope = True
    __signature__ = Signature(
        [Parameter(name, Parameter.POSITIONAL_OR_KEYWORD) for name in ("self", "line")]
    )

    def __init__(self, function: Any) -> None:
        self.__wrapped__ = function
        self.__name__ = function.__name__
        self.__qualname__ = function.__qualname__

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        return self if instance is None else MethodType(self, instance)

    def __call__(
        self, magics: Any, line: str = "", local_ns: Mapping[str, Any] | None = None
    ) -> Any:
        args = self._args(magics, line, local_ns)
        return None if args is None else self.__wrapped__(magics, args)

    def _args(self, magics: Any, line: str, local_ns: Mapping[str, Any] | None) -> Any:
        loaded = [type(each) for each in magics.shell.magics_manager.registry.values()]
        every = (each for kind in [*loaded, type(magics)] for each in vars(kind).values())
        others = [each for each in every if isinstance(each, lazily_parsed)]
        elsewhere = {name: each.prog for each in others for name in each.options}
        return self.read(line, magics.shell.user_ns, local_ns, elsewhere)

    @property
    def prog(self) -> str:
        """The name of the magic after its first percent sign."""
        return str(self.__name__)

    @property
    def options(self) -> list[str]:
        """The names of the magic's options."""
        noted = reversed(self.__wrapped__.arguments)  # decorators are applied from below
        found = [name for names, _ in noted for name in names]
        return [name for name in found if name.startswith("-")]

    def read(
        self,
        line: str,
        user_ns: Mapping[str, Any],
        local_ns: Mapping[str, Any] | None = None,
        elsewhere: Mapping[str, str] | None = None,
    ) -> Any:
        """The arguments of a line. Prints the help and returns ``None`` if the line has ``--help``.

        Raises ``UsageError``. ``elsewhere`` maps options of other magics to these magics.
        """
        from nbauth.jupyter.expansions import Names
        from nbauth.jupyter.magic_options import asks_for_help, read_words

        words = self.words(line, Names(user_ns, local_ns))
        if asks_for_help(words):
            from nbauth.core.output import write

            write(self.help)
            return None
        return read_words(words, self.parser, elsewhere or {})

    def words(self, line: str, names: Any) -> list[Any]:
        """The words of a line. Raises ``UsageError``."""
        from nbauth.jupyter.magic_line import words_of

        return words_of(line, names)

    def offered(self, typed: Any, positionals: tuple[str, ...]) -> tuple[str, list[str]] | None:
        """What the magic itself completes: the fragment and its values; ``None`` for nothing."""
        return None

    @cached_property
    def parser(self) -> Any:
        """Describes the magic's arguments."""
        from IPython.core import magic_arguments

        function = self.__wrapped__
        for names, how in function.arguments:
            magic_arguments.argument(*names, **how)(function)
        parser = magic_arguments.construct_parser(function)
        parser.prog = self.prog
        return parser

    @property
    def help(self) -> str:
        """The help as plain text; ``__doc__`` has IPython's markup."""
        text = re.sub(r"<(.+?\])>", r"\1", self.__doc__.removeprefix("::\n\n  "))
        usage, blank, rest = text.partition("\n\n")
        return f"{re.sub(r' {9,}', '        ', usage)}{blank}{rest}".rstrip()

    @property
    def __doc__(self) -> str:  # type: ignore[override]
        return str(self.parser.format_help())


class lazily_parsed_cell(lazily_parsed):  # noqa: N801 - a decorator
    # A cell magic that is called with the parsed arguments of its first line, and its body.
    __doc__ = vars(lazily_parsed)["__doc__"]  # the help

    __signature__ = Signature(
        [Parameter(name, Parameter.POSITIONAL_OR_KEYWORD) for name in ("self", "line", "cell")]
    )

    def __call__(  # type: ignore[override]
        self,
        magics: Any,
        line: str = "",
        cell: str | None = None,
        local_ns: Mapping[str, Any] | None = None,
    ) -> Any:
        args = self._args(magics, line, local_ns)
        return None if args is None else self.__wrapped__(magics, args, cell)

    @property
    def prog(self) -> str:
        return f"%{self.__name__}"

"""IPython's ``magic_arguments``, late: a parser is made when its magic is first used or described.

IPython's own decorator makes the parser and the help text when the magic is defined. For our
magics that takes longer than all else that ``%load_ext`` does. The line is read by us as well, see
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
    """An argument of the magic that it decorates, as ``ArgumentParser.add_argument`` takes it.

    ``later`` are values that the documentation names and this version does not have.
    """

    def noted(function: Any) -> Any:
        vars(function).setdefault("arguments", []).append((names, how))
        return function

    return noted


class parsed_late:  # noqa: N801 - a decorator
    """A magic that is called with what its line asks for, and described by its parser's help.

    To IPython it looks like any method that takes a line: ``inspect`` finds its source by
    ``__wrapped__``, and the ``__doc__`` of a bound method is read from what it binds.

    Args:
        function: the magic, a method that takes what was asked for.
    """

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
        others = [each for each in vars(type(magics)).values() if isinstance(each, parsed_late)]
        elsewhere = {name: each.__name__ for each in others for name in each.options}
        asked = self.read(line, magics.shell.user_ns, local_ns, elsewhere)
        return None if asked is None else self.__wrapped__(magics, asked)

    @property
    def options(self) -> list[str]:
        """The names of its options."""
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
        """What a line asks for; ``None`` for help, which is printed. Raises ``UsageError``.

        ``elsewhere``: options of other magics, and whose they are.
        """
        from nbauth.jupyter.expansions import Names
        from nbauth.jupyter.magic_line import words_of
        from nbauth.jupyter.magic_options import asks_for_help, read_words

        words = words_of(line, Names(user_ns, local_ns))
        if asks_for_help(words):
            from nbauth.core.output import write

            write(self.help)
            return None
        return read_words(words, self.parser, elsewhere or {})

    @cached_property
    def parser(self) -> Any:
        """Describes the magic's arguments."""
        from IPython.core import magic_arguments

        function = self.__wrapped__
        for names, how in function.arguments:
            known = {name: value for name, value in how.items() if name != "later"}
            magic_arguments.argument(*names, **known)(function)
        made = magic_arguments.construct_parser(function)
        for names, how in function.arguments:
            if "later" in how:
                made._option_string_actions[names[0]].later = how["later"]
        return made

    @property
    def help(self) -> str:
        """The help for a person; ``__doc__`` has it in IPython's markup."""
        text = re.sub(r"<(.+?\])>", r"\1", self.__doc__.removeprefix("::\n\n  "))
        usage, blank, rest = text.partition("\n\n")
        return f"{re.sub(r' {9,}', '        ', usage)}{blank}{rest}".rstrip()

    @property
    def __doc__(self) -> str:  # type: ignore[override]
        return str(self.parser.format_help())

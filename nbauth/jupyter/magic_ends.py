"""Reads the end of a magic's name and the end of its line.

For IPython, only a blank ends the name of a magic, so ``%login;`` and ``%login<tab>--force`` are
unknown magics. A ``;`` at the end of a cell hides its value, but not after a magic.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from tokenize import TokenInfo
from typing import Any

from IPython.core.inputtransformer2 import (
    EscapedCommand,
    MagicAssign,
    TokenTransformBase,
    assemble_continued_line,
    find_end_of_continued_line,
)


def add_to(shell: Any, names: Collection[str], cell_names: Collection[str]) -> Any:
    """Add the transformation of such lines to a shell. Returns a function that removes it.

    Args:
        shell: the shell.
        names: the names of the line magics.
        cell_names: the names of the cell magics. Below the first line they are mistakes.
    """
    every = "|".join([*names, *(f"%{name}" for name in cell_names)])
    begin = re.compile(rf"%(?P<name>{every})(?P<end>\Z|[^\w.?!])")

    class MagicEnds(TokenTransformBase):  # type: ignore[misc]
        priority = 1  # before IPython reads the name

        @classmethod
        def find(cls, tokens_by_line: list[list[TokenInfo]]) -> MagicEnds | None:
            for line in tokens_by_line:
                for kind in (EscapedCommand, MagicAssign):
                    found = kind.find([line])
                    if found and _needs_us(line, found.start_line + 1, found.start_col):
                        return cls((found.start_line + 1, found.start_col))
            return None

        def transform(self, lines: list[str]) -> list[str]:
            first, column = self.start_line, self.start_col
            last = find_end_of_continued_line(lines, first)
            text = assemble_continued_line(lines, (first, column), last)
            begun = begin.match(text)
            assert begun is not None
            rest = text[begun.end("name") :].strip()
            quiet = ";" if rest.endswith(";") and not rest.endswith("\\;") else ""
            name = begun["name"]
            if name.startswith("%"):
                call = f"get_ipython().run_cell_magic({name[1:]!r}, {rest!r}, {begun[0]!r})\n"
            else:
                call = f"get_ipython().run_line_magic({name!r}, {rest!r}){quiet}\n"
            return [*lines[:first], lines[first][:column] + call, *lines[last + 1 :]]

    def _needs_us(line: list[TokenInfo], row: int, column: int) -> bool:
        at = next(token for token in line if token.start == (row, column))
        return begin.match(at.line[column:]) is not None

    transformers = shell.input_transformer_manager.token_transformers
    transformers.append(MagicEnds)

    def undo() -> None:
        if MagicEnds in transformers:
            transformers.remove(MagicEnds)

    return undo

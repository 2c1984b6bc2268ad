"""The magics ``%graph`` and ``%%graph``. Their first use imports what they need."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from IPython.core.magic import Magics, line_cell_magic, magics_class

from nbauth.jupyter.lazy_parser import argument, lazily_parsed_cell
from nbauth.jupyter.magic_arguments import common_arguments
from nbauth.jupyter.magic_state import MagicState


class _lazily_parsed_graph(lazily_parsed_cell):  # noqa: N801 - a decorator
    # A line or cell magic whose words are paths and OData.
    __doc__ = vars(lazily_parsed_cell)["__doc__"]  # the help

    @property
    def prog(self) -> str:
        return str(self.__name__)

    def __call__(  # type: ignore[override]
        self,
        magics: Any,
        line: str = "",
        cell: str | None = None,
        local_ns: Mapping[str, Any] | None = None,
    ) -> Any:
        from nbauth.jupyter.expansions import Names

        args = self._args(magics, line, local_ns)
        if args is None:
            return None
        args.names = Names(magics.shell.user_ns, local_ns)
        return self.__wrapped__(magics, args, cell)

    completes_lines = True  # a line of the cell is a request

    def words(self, line: str, names: Any) -> list[Any]:
        from nbauth.msgraph.magic.words import graph_words

        takes_value = {
            name: action.nargs != 0
            for action in self.parser._actions
            for name in action.option_strings
        }
        return graph_words(line, names, takes_value)

    def offered(self, typed: Any, positionals: tuple[str, ...]) -> tuple[str, list[str]] | None:
        from nbauth.msgraph.magic.paths import offered

        return offered(typed, positionals)


@magics_class
class GraphMagics(Magics):  # type: ignore[misc]
    """The magics of Microsoft Graph."""

    def __init__(self, shell: Any, state: MagicState) -> None:
        super().__init__(shell)
        self._state = state

    @_lazily_parsed_graph
    @argument("method", nargs="?", metavar="METHOD", help="GET, POST, PATCH, PUT or DELETE")
    @argument("path", nargs="?", metavar="PATH", help="such as me/messages, or a full URL")
    @argument("body", nargs="?", metavar="JSON", help="what to send; not with GET and DELETE")
    @argument(
        "-o", "--into", dest="into", metavar="NAME",
        help="put the result into this variable, and show nothing",
    )  # fmt: skip
    @argument("--all", action="store_true", help="all pages, not only the first one")
    @argument("--limit", type=int, metavar="ROWS", help="the most rows, of as many pages as needed")
    @argument("--select", metavar="NAMES", help="the properties, separated by commas")
    @argument("--filter", metavar="TEXT", help="such as: --filter surname eq '$name'")
    @argument("--expand", metavar="TEXT", help="related objects to include")
    @argument("--orderby", metavar="TEXT", help="such as: --orderby displayName desc")
    @argument("--search", metavar="TEXT", help="what to search for")
    @argument("--top", type=int, metavar="ROWS", help="the rows of one page")
    @argument("--count", action="store_true", help="also request how many rows there are")
    @argument("--header", nargs="+", metavar="TEXT", help="such as: --header 'Prefer: ...'")
    @argument("--beta", action="store_true", help="the beta version of Graph")
    @argument(
        "--cloud", choices=("public", "usgov", "dod", "china"), metavar="CLOUD",
        help="public, usgov, dod or china",
    )  # fmt: skip
    @argument("--df", action="store_true", help="a DataFrame, also of a single object")
    @argument("--json", action="store_true", help="lists and dicts, as Graph sent them")
    @common_arguments
    @line_cell_magic
    def graph(self, args: Any, cell: str | None) -> Any:
        """Call Microsoft Graph. Lists become a DataFrame, or a plain table without pandas.

        %graph users?$filter=surname eq 'O''Brien' --select id,mail --all -o df

        Names of OData such as $select are no variables; all other $name and {expression} are
        replaced by values of the notebook. A value is one segment of the path, or one value of
        the query; at the beginning of the path, it is the path. %graph me/messages? shows what
        is documented of a path.

        %%graph with a method and a path in its first line sends the cell as JSON; there, $name
        and {expression} become JSON. Without a path, each line of the cell is one request of a
        batch: [METHOD] PATH [JSON].
        """
        from nbauth.msgraph.magic.calls import call

        return call(self._state.session, args, cell, self.shell.user_ns)

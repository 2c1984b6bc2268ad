"""Sends the requests of ``%graph`` and ``%%graph``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError

from nbauth.core.errors import GraphError, NbAuthError
from nbauth.core.output import OutputGone, write
from nbauth.jupyter.variable_names import python_variable
from nbauth.msgraph.client import Graph, graph_for
from nbauth.msgraph.content import Content
from nbauth.msgraph.frames.frame import To, frame
from nbauth.msgraph.magic.body import Body, body_of
from nbauth.msgraph.magic.words import graph_words
from nbauth.msgraph.pages import NEXT_LINK, selected

if TYPE_CHECKING:
    from nbauth.kernel.session import Session
    from nbauth.msgraph.batch.items import BatchRequest

_QUERY = ("filter", "expand", "orderby", "search", "top")
_ONLY_ONE = ("all", "limit", "select", *_QUERY, "count", "df", "json")
_HEADER = re.compile(r"\s*([!#$%&'*+.^_`|~0-9A-Za-z-]+)\s*:\s*(.*?)\s*")
_HELP = re.compile(r"[^?]*\?{1,2}")


def call(session: Session, args: Any, cell: str | None, user_ns: dict[str, Any]) -> Any:
    """The result of a line or cell, or ``None`` if it goes into a variable."""
    into = None if args.into is None else python_variable(args.into)
    if args.path is not None and cell is None and _HELP.fullmatch(args.path.typed):
        from nbauth.msgraph.magic.paths import documented

        _print(*documented(args.method.text or "GET", args.path.text))
        return None
    send = _request_of(args, cell)
    graph = _graph_of(session, args)
    try:
        result = send(graph)
    except BaseException:
        _keep_partial(session, graph)
        raise
    if into is None:
        if hasattr(result, "columns") and not len(result) and not args.quiet:
            _print("No rows.")  # pandas displays only the names of the columns, or nothing
        return result
    user_ns[into] = result
    return None


def _request_of(args: Any, cell: str | None) -> Any:
    """What to send. Raises ``UsageError`` before anything is sent."""
    if cell is not None and re.match(r"\s*%%graph\b", cell):
        raise UsageError("%%graph has to be the first line of its cell.")
    if args.df and args.json:
        raise UsageError("--df and --json exclude each other.")
    if args.limit is not None and args.limit < 1:
        raise UsageError("--limit needs a number above 0.")
    headers = dict(map(_header, args.header or ()))
    if args.path is not None:
        return _one(args, cell, headers)
    if cell is None:
        raise UsageError("%graph needs a path before its options, such as %graph me --select id.")
    for name in _ONLY_ONE:
        if getattr(args, name) not in (None, False):
            raise UsageError(
                f"--{name} is for one request. For a batch, write the query into its paths."
            )
    requests = list(_requests(cell, args.names, headers))
    if not requests:
        raise UsageError("%%graph has no request. Each line is one: [METHOD] PATH [JSON].")
    return lambda graph: graph.batch(requests, progress=not args.quiet)


def _one(args: Any, cell: str | None, headers: Mapping[str, str]) -> Any:
    method, path = args.method.text or "GET", args.path.text
    body = None if args.body is None else _body(args.body)
    if cell is not None:
        if body is not None:
            raise UsageError("The body is given twice: in the first line and below it.")
        if method == "GET":
            raise UsageError(
                f"GET sends no body. Write the method: %%graph POST {args.path.typed}. For a batch,"
                " write each request on its own line below %%graph."
            )
        body = body_of(cell, args.names)
    if body is not None and method in ("GET", "DELETE"):
        raise UsageError(f"{method} sends no body. Methods with a body are POST, PATCH and PUT.")
    options = {name: value for name in _QUERY if (value := getattr(args, name)) is not None}
    if args.select is not None:
        options["select"] = [name for name in re.split(r"[\s,]+", args.select) if name]
    if args.count:
        options["count"] = True
    if headers:
        options["headers"] = headers
    if method != "GET":
        for name in ("all", "limit"):
            if getattr(args, name):
                raise UsageError(f"--{name} is for GET.")
        return lambda graph: _shown(
            graph.request(method, path, None if body is None else body.value, **options),
            graph,
            args,
            options,
        )
    if args.all or args.limit:
        return lambda graph: _pages(graph, args, options)
    return lambda graph: _first_page(graph, args, options)


def _body(word: Any) -> Body:
    if isinstance(word.value, Body):
        return word.value
    raise UsageError(f"{word.typed} is not JSON. A path with blanks has to be in quotes.")


def _header(text: str) -> tuple[str, str]:
    found = _HEADER.fullmatch(text)
    if found is None or not text.isprintable():
        raise UsageError("--header needs a name and a value: --header 'Name: value'.")
    if found[1].lower() in ("authorization", "proxy-authorization", "cookie"):
        raise UsageError(
            f"--header does not accept {found[1]}. nbauth adds the token; --account names whose."
        )
    return found[1], found[2]


def _graph_of(session: Session, args: Any) -> Graph:
    options = {name: value for name in ("profile", "cloud") if (value := getattr(args, name))}
    version = "beta" if args.beta else "v1.0"
    return graph_for(session, version, args.account, **options)


def _keep_partial(session: Session, graph: Graph) -> None:
    """Messages name ``nbauth.graph.partial``, so it has the rows of another account too."""
    with suppress(NbAuthError):
        if graph.partial is not None:
            graph_for(session).partial = graph.partial


# ── results ─────────────────────────────────────────────────────────────────────────────────


def _pages(graph: Graph, args: Any, options: Mapping[str, Any]) -> Any:
    to: To | None = "table" if args.json else "pandas" if args.df else None
    try:
        found = graph.df(
            args.path.text, limit=args.limit, progress=not args.quiet, to=to, **options
        )
    except GraphError as error:
        if error.code != "not_a_list":
            raise
        option = "--all" if args.all else "--limit"
        raise GraphError(
            str(error), code=error.code, hint=f"Leave out {option}.", status=error.status
        ) from None
    return list(found) if args.json else found


def _first_page(graph: Graph, args: Any, options: Mapping[str, Any]) -> Any:
    content = graph.request("GET", args.path.text, **options)
    if isinstance(content, dict) and content.get(NEXT_LINK) and not args.quiet:
        rows, count = len(content.get("value", ())), content.get("@odata.count")
        of = f" of {count:,}" if isinstance(count, int) else ""
        _print(f"The first page: {rows:,}{of} rows. For more, add --all or --limit ROWS.")
    return _shown(content, graph, args, options)


def _shown(content: Any, graph: Graph, args: Any, options: Mapping[str, Any]) -> Any:
    """A response in the form that was asked for."""
    if isinstance(content, bytes):
        content = Content(content)
    is_list = isinstance(content, dict) and isinstance(content.get("value"), list)
    if args.json or not (is_list or args.df):
        return content["value"] if is_list else content
    if not isinstance(content, dict):
        raise UsageError(f"The response is a {type(content).__name__}. Leave out --df.")
    names = {name: value for name, value in options.items() if name != "headers"}
    columns = selected(graph.root.url(args.path.text, names))
    to: To | None = "pandas" if args.df else None
    if not is_list:
        return frame([content], select=columns, to=to)
    notes = {name: value for name, value in content.items() if name[:1] == "@"}
    return frame(content["value"], select=columns, to=to, attrs=notes)


# ── batches ─────────────────────────────────────────────────────────────────────────────────


def _requests(cell: str, names: Any, headers: Mapping[str, str]) -> Iterator[BatchRequest]:
    from nbauth.msgraph.batch.items import BatchRequest

    for number, line in enumerate(cell.splitlines(), 2):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            words = graph_words(line, names, {})
            if any(word.is_option for word in words):
                raise UsageError("Options belong into the first line.")
            method, path, *rest = words
            body = _body(rest[0]).value if rest else None
        except UsageError as error:
            raise UsageError(f"Line {number}: {error} Nothing was sent.") from None
        yield BatchRequest(method.text or "GET", path.text, body, headers)


def _print(*lines: str) -> None:
    with suppress(OutputGone):
        write(*lines)

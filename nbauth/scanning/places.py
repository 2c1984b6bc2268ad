"""Names the place of a string in a notebook, as a person finds it there."""

from __future__ import annotations

from typing import Any

Path = tuple[str | int, ...]
_NAMES = {"source": "source", "input": "source", "metadata": "metadata"}
_OF_AN_ERROR = ("ename", "evalue", "traceback")


def is_notebook(document: Any) -> bool:
    """Whether a JSON document is a notebook of any version of nbformat."""
    if not isinstance(document, dict) or "nbformat" not in document:
        return False
    return isinstance(document.get("cells", document.get("worksheets")), list)


def place_of(path: Path, document: Any) -> str:
    """The place: ``cell 2, output 1, text/html``. Cells and outputs are counted from 1."""
    if path[:1] == ("worksheets",) and len(path) > 3:  # nbformat 3
        document, path = document["worksheets"][path[1]], path[2:]
    match path:
        case ("cells", int(cell), *rest):
            return f"cell {cell + 1}, {_in_cell(rest, document['cells'][cell])}"
        case ("metadata", "widgets", _, "state", model, *rest):
            name = str(rest[1]) if len(rest) > 1 else ""
            return f"widget state of model {model}" + (f", {name}" if name else "")
        case _:
            return ".".join(map(str, path)) or "the whole file"


def _in_cell(path: list[Any], cell: Any) -> str:
    match path:
        case ("outputs", int(at), *rest):
            return f"output {at + 1}, {_in_output(rest, cell['outputs'][at])}"
        case ("attachments", name, *_):
            return f"attachment {name}"
        case ("metadata", name, *_):
            return f"metadata {name}"
        case (str(name), *_):
            return _NAMES.get(name, name)
        case _:
            return "the cell"


def _in_output(path: list[Any], output: Any) -> str:
    match path:
        case ("data", mime, *_):
            return str(mime)
        case ("metadata", name, *_):
            return f"metadata {name}"
        case ("text", *_) if output.get("output_type") == "stream":
            return stream_of(output)
        case (str(name), *_):
            return "error" if name in _OF_AN_ERROR else name
        case _:
            return "the output"


def stream_of(output: Any) -> str:
    """The name of the stream of an output."""
    return str(output.get("name", output.get("stream", "stdout")))


def joined_with(path: Path, document: Any) -> Path:
    """Strings with the same value are parts of one text: lines, and outputs of one stream."""
    match path:
        case (*_, "outputs", int(at), "text") | (*_, "outputs", int(at), "text", int()):
            depth = len(path) - path[::-1].index("outputs")
            output = document
            for step in path[: depth + 1]:
                output = output[step]
            if output.get("output_type") == "stream":
                return (*path[:depth], "stream", stream_of(output))
            return (*path[:depth], at, "text")
        case (*_, "source" | "input", int()):
            return path[:-1]
        case (*_, "data" | "attachments", str(mime), int()) if not _is_json(mime):
            return path[:-1]
        case (*_, "attachments", str(), str(mime), int()) if not _is_json(mime):
            return path[:-1]
        case _:
            return path


def _is_json(mime: str) -> bool:
    return mime == "application/json" or mime.endswith("+json")

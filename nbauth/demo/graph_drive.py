"""OneDrive of the local Graph: `me/drive/...`, addressed by path or by id."""

from __future__ import annotations

import mimetypes
from collections.abc import Sequence

from .drive import Drives, File
from .graph_answers import Answer, Call, Refused, Row, stamp
from .graph_query import Kind, entity, order_of, ordered, page

_PROPERTIES = (
    "id", "name", "size", "createdDateTime", "lastModifiedDateTime", "eTag", "cTag", "webUrl",
    "parentReference", "file", "folder", "@microsoft.graph.downloadUrl",
)  # fmt: skip
ITEMS = Kind(
    name="driveItems",
    type_name="driveItem",
    properties=frozenset(_PROPERTIES),
    default=_PROPERTIES,
    page=200,
    largest=999,
    size_error=("invalidRequest", "Invalid value of $top: '{}'."),
)
_CONFLICTS = ("fail", "replace", "rename")
_FORBIDDEN = frozenset('"*/:<>?\\|')


class OneDrive:
    """Answers below `me/drive`; `storage` is where files travel, another host than Graph."""

    def __init__(self, drives: Drives, storage: str) -> None:
        self._drives = drives
        self._storage = storage

    def answer(self, call: Call) -> Answer:
        rest = call.segments[2:]
        if rest == ("root", "children") and call.method == "GET":
            return self._children(call, "")
        if len(rest) in (2, 3) and rest[0] == "items":
            file, path = self._by_key(call, rest[1])
            return self._on_file(call, path, file, rest[2:])
        if len(rest) > 1 and rest[0] == "root:":
            path, action = _path_of(rest[1:])
            if action == ("children",) and call.method == "GET":
                return self._children(call, f"{path}/")
            return self._on_file(call, path, self._drives.files(call.owner).get(path), action)
        text = f"Resource not found for the segment '{'/'.join(rest)}'."
        raise Refused(400, "BadRequest", text)

    def _on_file(self, call: Call, path: str, file: File | None, action: Sequence[str]) -> Answer:
        match call.method, tuple(action):
            case "PUT", ("content",):
                conflict = _conflict(call.query.get("@microsoft.graph.conflictBehavior", "replace"))
                stored, is_new = self._drives.put(call.owner, path, call.body, conflict)
                return entity(call, ITEMS, self._row(stored, path), 201 if is_new else 200)
            case "POST", ("createUploadSession",):
                return self._start_upload(call, path)
        if file is None:
            raise Refused(404, "itemNotFound", "The resource could not be found.")
        match call.method, tuple(action):
            case "GET", ():
                return entity(call, ITEMS, self._row(file, path))
            case "GET", ("content",):
                return Answer(302, None, {"Location": self._download_url(file)})
            case "DELETE", ():
                del self._drives.files(call.owner)[path]
                return Answer(204)
        raise Refused(405, "Request_BadRequest", "Specified HTTP method is not allowed.")

    def _start_upload(self, call: Call, path: str) -> Answer:
        item = call.json().get("item")
        given = item if isinstance(item, dict) else {}
        conflict = _conflict(given.get("@microsoft.graph.conflictBehavior", "replace"))
        size = given.get("fileSize")
        key = self._drives.start_upload(
            call.owner, path, conflict, size if isinstance(size, int) else None
        )
        body = {
            "@odata.context": f"{call.root}/$metadata#microsoft.graph.uploadSession",
            "uploadUrl": f"{self._storage}/upload/{key}",
            **self._drives.upload(key).state(),
        }
        return Answer(200, body)

    def _children(self, call: Call, folder: str) -> Answer:
        rows: list[Row] = []
        folders: dict[str, int] = {}
        for path, file in self._drives.files(call.owner).items():
            if not path.startswith(folder):
                continue
            name, slash, _ = path[len(folder) :].partition("/")
            if slash:
                folders[name] = folders.get(name, 0) + 1
            else:
                rows.append(self._row(file, path))
        rows += [_folder(name, count) for name, count in folders.items()]
        if folder and not rows:
            raise Refused(404, "itemNotFound", "The resource could not be found.")
        keys = order_of(call, ITEMS) or (("name", False),)
        return page(call, ITEMS, ordered(rows, keys), counts=True)

    def _by_key(self, call: Call, key: str) -> tuple[File, str]:
        for path, file in self._drives.files(call.owner).items():
            if file.key == key:
                return file, path
        raise Refused(404, "itemNotFound", "The resource could not be found.")

    def _download_url(self, file: File) -> str:
        return f"{self._storage}/download/{self._drives.offer(file)}"

    def _row(self, file: File, path: str) -> Row:
        return item_of(file, path) | {"@microsoft.graph.downloadUrl": self._download_url(file)}


def item_of(file: File, path: str) -> Row:
    """The `driveItem` resource of a file."""
    kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    parent = path.rpartition("/")[0]
    return {
        "id": file.key,
        "name": file.name,
        "size": len(file.content),
        "createdDateTime": stamp(file.created),
        "lastModifiedDateTime": stamp(file.modified),
        "eTag": file.etag,
        "cTag": file.etag,
        "webUrl": f"https://demo.example/personal/{path}",
        "parentReference": {"path": f"/drive/root:/{parent}" if parent else "/drive/root:"},
        "file": {"mimeType": kind},
    }


def _folder(name: str, count: int) -> Row:
    return {"id": f"FOLDER-{name}", "name": name, "size": 0, "folder": {"childCount": count}}


def _conflict(value: object) -> str:
    if value not in _CONFLICTS:
        raise Refused(400, "invalidRequest", f"conflictBehavior is one of {', '.join(_CONFLICTS)}.")
    return str(value)


def _path_of(segments: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """`("a", "b.csv:", "content")` is the path `a/b.csv` and the action `("content",)`."""
    ends = [index for index, name in enumerate(segments) if name.endswith(":")]
    end = ends[0] if ends else len(segments) - 1
    names = [*segments[:end], segments[end].removesuffix(":")]
    if any(not name.strip() or name in (".", "..") or _FORBIDDEN & set(name) for name in names):
        text = "The provided name cannot be blank or contain any of the characters "
        raise Refused(400, "invalidRequest", text + " ".join(sorted(_FORBIDDEN)))
    return "/".join(names), tuple(segments[end + 1 :])

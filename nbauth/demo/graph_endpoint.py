"""The local Graph over https, and the host of file contents beside it."""

from __future__ import annotations

import json
import re
import uuid
from urllib.parse import quote

from tornado.web import Application, HTTPError, RequestHandler

from .drive import Drives
from .endpoint import LOOPBACK_HOSTS
from .graph import LocalGraph
from .graph_answers import Answer, Refused
from .graph_drive import item_of
from .identity_provider import no_log


class _JsonEndpoint(RequestHandler):
    def prepare(self) -> None:
        if self.request.host_name not in LOOPBACK_HOSTS:
            raise HTTPError(421)

    def set_default_headers(self) -> None:
        self.clear_header("Server")
        self.set_header("Cache-Control", "no-store")
        self.set_header("request-id", str(uuid.uuid4()))

    def reply(self, answer: Answer) -> None:
        self.set_status(answer.status)
        self.clear_header("Content-Type")
        if answer.body is not None:
            self.set_header("Content-Type", "application/json")
        for name, value in answer.headers.items():
            self.set_header(name, value)
        body = answer.body
        self.finish(body if body is None or isinstance(body, bytes | str) else json.dumps(body))


class GraphEndpoint(_JsonEndpoint):
    """`/v1.0/...` and `/beta/...`, every method."""

    def get(self, version: str) -> None:
        graph: LocalGraph = self.application.settings["graph"]
        scheme, _, bearer = self.request.headers.get("Authorization", "").partition(" ")
        given = self.request.headers.get("client-request-id")
        answer = graph.answer(
            self.request.method or "GET",
            f"https://{self.request.host}/{version}",
            # Tornado decodes the groups of a route, and a decoded "#" or "?" would end the path.
            self.request.uri.removeprefix(f"/{version}/"),
            bearer.strip() if scheme.lower() == "bearer" else "",
            self.request.body,
            {name.lower(): value for name, value in self.request.headers.items()},
        )
        if given and given.isascii() and given.isprintable():
            self.set_header("client-request-id", given)
        self.reply(answer)

    post = patch = put = delete = get


class _StorageEndpoint(_JsonEndpoint):
    """A pre-authorised address: who knows it may use it, and a token has no business here."""

    def prepare(self) -> None:
        super().prepare()
        if "Authorization" in self.request.headers:
            text = "This address is pre-authorised; send no Authorization header."
            self.reply(Refused(401, "unauthenticated", text).answer)

    @property
    def drives(self) -> Drives:
        drives: Drives = self.application.settings["drives"]
        return drives


class UploadEndpoint(_StorageEndpoint):
    """An upload session: slices, its state, its end."""

    def get(self, key: str) -> None:
        try:
            self.reply(Answer(200, self.drives.upload(key).state()))
        except Refused as refused:
            self.reply(refused.answer)

    def put(self, key: str) -> None:
        try:
            given = self.request.headers.get("Content-Range", "")
            stored = self.drives.receive(key, given, self.request.body)
            if stored is None:
                self.reply(Answer(202, self.drives.upload(key).state()))
            else:
                file, is_new = stored
                self.reply(Answer(201 if is_new else 200, item_of(file, file.name)))
        except Refused as refused:
            self.reply(refused.answer)

    def delete(self, key: str) -> None:
        try:
            self.drives.cancel(key)
            self.reply(Answer(204))
        except Refused as refused:
            self.reply(refused.answer)


class DownloadEndpoint(_StorageEndpoint):
    """The content of one file, whole or one range of it (RFC 9110 section 14)."""

    def get(self, key: str) -> None:
        try:
            file = self.drives.offered(key)
        except Refused as refused:
            self.reply(refused.answer)
            return
        content, status = file.content, 200
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Disposition": f"attachment; filename*=UTF-8''{quote(file.name)}",
            "Accept-Ranges": "bytes",
            "ETag": file.etag,
        }
        asked = re.fullmatch(r"bytes=(\d{1,15})-(\d{0,15})", self.request.headers.get("Range", ""))
        if asked and self.request.headers.get("If-Range", file.etag) == file.etag:
            first, size = int(asked[1]), len(content)
            last = min(int(asked[2] or size - 1), size - 1)
            if first > last:
                self.reply(Answer(416, b"", {"Content-Range": f"bytes */{size}"}))
                return
            content, status = content[first : last + 1], 206
            headers["Content-Range"] = f"bytes {first}-{last}/{size}"
        self.reply(Answer(status, content, headers))


def make_graph_application(graph: LocalGraph) -> Application:
    """The https side of the local Graph."""
    return Application([(r"/(v1\.0|beta)/.*", GraphEndpoint)], log_function=no_log, graph=graph)


def make_storage_application(drives: Drives) -> Application:
    """The https host that sends and receives the contents of files."""
    routes = [(r"/upload/([\w-]+)", UploadEndpoint), (r"/download/([\w-]+)", DownloadEndpoint)]
    return Application(routes, log_function=no_log, drives=drives)

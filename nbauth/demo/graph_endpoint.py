"""The local Graph over https."""

from __future__ import annotations

import json
import uuid

from tornado.web import Application, HTTPError, RequestHandler

from .endpoint import LOOPBACK_HOSTS
from .graph import LocalGraph
from .identity_provider import no_log


class GraphEndpoint(RequestHandler):
    """`/v1.0/...` and `/beta/...`, every method."""

    def prepare(self) -> None:
        if self.request.host_name not in LOOPBACK_HOSTS:
            raise HTTPError(421)

    def set_default_headers(self) -> None:
        self.clear_header("Server")
        self.set_header("Cache-Control", "no-store")
        self.set_header("request-id", str(uuid.uuid4()))

    def get(self, version: str, path: str) -> None:
        graph: LocalGraph = self.application.settings["graph"]
        scheme, _, bearer = self.request.headers.get("Authorization", "").partition(" ")
        given = self.request.headers.get("client-request-id")
        answer = graph.answer(
            self.request.method or "GET",
            f"https://{self.request.host}/{version}",
            f"{path}?{self.request.query}",
            bearer.strip() if scheme.lower() == "bearer" else "",
            self.request.body,
        )
        if given and given.isascii() and given.isprintable():
            self.set_header("client-request-id", given)
        self.set_status(answer.status)
        for name, value in answer.headers.items():
            self.set_header(name, value)
        self.set_header("Content-Type", "application/json")
        self.finish(json.dumps(answer.body))

    post = patch = put = delete = get


def make_graph_application(graph: LocalGraph) -> Application:
    """The https side of the local Graph."""
    return Application([(r"/(v1\.0|beta)/(.*)", GraphEndpoint)], log_function=no_log, graph=graph)

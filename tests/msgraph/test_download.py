"""Downloads: complete, of one version, and without a token at the storage."""

from __future__ import annotations

import asyncio
import errno
import io
import logging
import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import nbauth.msgraph
from nbauth.core.errors import ConfigurationError, GraphError
from nbauth.core.interrupted import TransferInterrupted
from nbauth.msgraph.client import Graph
from nbauth.msgraph.files import download, preauthorised, targets
from tests.harness.faulty_graph import FaultyGraph
from tests.harness.graph import changes, replies
from tests.harness.graph.files import File
from tests.harness.graph.listener import Recorded
from tests.harness.graph.replies import Reply
from tests.harness.graph.routes import PHOTO
from tests.kernel.lines import interrupted
from tests.msgraph.test_upload import shown

CONTENT = os.urandom(700_001)
PATH = "me/drive/root:/d/ä #1.bin"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "pause", lambda _: None)
    monkeypatch.setattr("nbauth.msgraph.throttle.pause", lambda _: None)


@pytest.fixture(autouse=True)
def no_leak(faulty_graph: FaultyGraph) -> Iterator[None]:
    yield
    assert faulty_graph.leaks == []


@pytest.fixture(autouse=True)
def file(faulty_graph: FaultyGraph) -> File:
    return faulty_graph.drive.put("d/ä #1.bin", CONTENT)


def ranges(faulty_graph: FaultyGraph) -> list[str | None]:
    return [each.headers.get("range") for each in faulty_graph.storage.requests]


@pytest.mark.parametrize(
    "form", ["{path}", "{path}:", "{path}:/content", "by id", "content by id", "list", "whole list"]
)
def test_paths(graph: Graph, faulty_graph: FaultyGraph, file: File, form: str) -> None:
    by_id = ["me", "drive", "items", file.ident]
    path: Any = form.format(path=PATH)
    lists = {
        "by id": by_id,
        "content by id": [*by_id, "content"],
        "list": ["me", "drive", "root:", "d", "ä #1.bin"],
        "whole list": ["me", "drive", "root:", "d", "ä #1.bin:", "content"],
    }
    path = lists.get(form, path)
    assert graph.download(path) == CONTENT
    assert [each.token is not None for each in faulty_graph.requests] == [True]
    assert len(faulty_graph.storage.requests) == 1


def test_content_without_a_redirect(graph: Graph, faulty_graph: FaultyGraph) -> None:
    assert graph.download("me/photo/$value") == PHOTO
    assert not faulty_graph.storage.requests


def test_a_report_is_a_redirect(graph: Graph, faulty_graph: FaultyGraph, tmp_path: Path) -> None:
    csv = "\ufeffUser,Count\nada,1\n".encode()
    url = faulty_graph.drive.download_url(faulty_graph.drive.put("r.csv", csv))
    path = "/v1.0/reports/getEmailActivityUserDetail(period='D7')"
    faulty_graph.fail("GET", path, answer=replies.redirect(url))
    at = graph.download(path.removeprefix("/v1.0/"), tmp_path / "r.csv")
    assert at.read_bytes() == csv


def test_to_a_path(graph: Graph, tmp_path: Path) -> None:
    target = tmp_path / "b.bin"
    for given in (str(target), target):
        assert graph.download(PATH, given) == target
        assert target.read_bytes() == CONTENT and os.listdir(tmp_path) == ["b.bin"]
    umask = os.umask(0)
    os.umask(umask)
    assert target.stat().st_mode & 0o777 == 0o666 & ~umask


def test_to_a_link_and_a_folder(graph: Graph, tmp_path: Path) -> None:
    real, link = tmp_path / "real.bin", tmp_path / "link.bin"
    link.symlink_to(real)
    graph.download(PATH, link)
    assert link.is_symlink() and real.read_bytes() == CONTENT
    assert graph.download(PATH, tmp_path) == tmp_path / "ä #1.bin"


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ('attachment; filename="a b.pdf"', "a b.pdf"),
        ("attachment; filename*=UTF-8''%C3%A4%2520.pdf", "ä%20.pdf"),
        ('attachment; filename="../../../etc/x"', "_.._.._etc_x"),
        ('attachment; filename="..\\\\..\\\\x"', None),
        ('attachment; filename=".."', ""),
        ('attachment; filename="con.txt"', ""),
        ("attachment", ""),
    ],
)
def test_the_name_in_a_folder(
    graph: Graph, faulty_graph: FaultyGraph, tmp_path: Path, header: str, name: str | None
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    answer = changes.with_headers(Content_Disposition=header)
    faulty_graph.fail("GET", "/v1.0/me/photo/$value", answer=answer)
    if name == "":
        with pytest.raises(ConfigurationError, match="name"):
            graph.download("me/photo/$value", folder)
        assert os.listdir(folder) == []
        return
    made = graph.download("me/photo/$value", folder)
    assert made.parent == folder and made.read_bytes() == PHOTO
    assert name is None or made.name == name
    assert os.listdir(tmp_path) == ["folder"]


def test_to_an_object(graph: Graph, tmp_path: Path) -> None:
    file = io.BytesIO(b"before")
    file.seek(6)
    assert graph.download(PATH, file) is file and file.getvalue() == b"before" + CONTENT
    with (tmp_path / "x").open("wb", buffering=0) as raw:
        graph.download(PATH, raw)
    assert (tmp_path / "x").read_bytes() == CONTENT


@pytest.mark.parametrize("to", [io.StringIO(), 5, "/no/such/folder/x", "/dev/null", "a\0b"])
def test_what_is_no_target(graph: Graph, faulty_graph: FaultyGraph, to: Any) -> None:
    with pytest.raises(ConfigurationError):
        graph.download(PATH, to)
    assert faulty_graph.requests == []


@pytest.mark.parametrize("shares", [[0.0], [0.4], [0.5, 0.5], [0.9, 0.0]])
def test_a_cut_download_goes_on(
    graph: Graph, faulty_graph: FaultyGraph, tmp_path: Path, shares: list[float]
) -> None:
    for number, share in enumerate(shares, 1):
        faulty_graph.fail("GET", "/download/*", on=number, answer=changes.cut_at(share))
    assert graph.download(PATH, tmp_path / "x").read_bytes() == CONTENT
    assert len(faulty_graph.storage.requests) == len(shares) + 1
    if shares[0]:
        last = faulty_graph.storage.requests[-1]
        assert last.headers["range"].startswith("bytes=") and last.headers["if-range"]


def test_two_versions_are_not_mixed(
    graph: Graph, faulty_graph: FaultyGraph, tmp_path: Path
) -> None:
    other = os.urandom(len(CONTENT))

    def change(normal: Reply, request: Recorded) -> Reply:
        faulty_graph.drive.put("d/ä #1.bin", other)
        return replace(normal, cut=400_000)

    faulty_graph.fail("GET", "/download/*", on=1, answer=change)
    assert graph.download(PATH, tmp_path / "x").read_bytes() == other


def lie(**headers: str) -> changes.Change:
    """A part with other headers, and of another content."""
    return lambda normal, _: replace(
        normal.with_headers(**headers), body=bytes(len(normal.content))
    )


LIES = {
    "another version": lie(ETag='"other"'),
    "another place": lie(Content_Range="bytes 0-9/700001"),
    "another total": lie(Content_Range="bytes 350000-700000/800000"),
    "a weak tag": lie(ETag='W/"x"'),
}


@pytest.mark.parametrize("part", LIES.values(), ids=LIES)
def test_a_wrong_part_is_not_used(graph: Graph, faulty_graph: FaultyGraph, part: Any) -> None:
    faulty_graph.fail("GET", "/download/*", on=1, answer=changes.cut_at(0.5))
    faulty_graph.fail("GET", "/download/*", on=2, answer=part)
    assert graph.download(PATH) == CONTENT


@pytest.mark.parametrize("tag", ["", 'W/"x"'])
def test_without_a_strong_tag_all_is_read_again(
    graph: Graph, faulty_graph: FaultyGraph, tag: str
) -> None:
    def cut(normal: Reply, _: Recorded) -> Reply:
        return replace(normal.with_headers(ETag=tag), cut=300_000)

    faulty_graph.fail("GET", "/download/*", on=1, answer=cut)
    assert graph.download(PATH) == CONTENT
    assert ranges(faulty_graph) == [None, None]


def test_an_object_that_cannot_seek_is_not_written_twice(
    graph: Graph, faulty_graph: FaultyGraph
) -> None:
    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

    faulty_graph.fail("GET", "/download/*", on=1, answer=changes.cut_at(0.5))
    pipe = Pipe()
    graph.download(PATH, pipe)
    assert pipe.getvalue() == CONTENT, "a range was read"
    cut = changes.sent_as(cut=300_000, headers={})
    faulty_graph.fail("GET", "/download/*", answer=cut)
    with pytest.raises(GraphError, match="cannot go on"):
        graph.download(PATH, Pipe())


@pytest.mark.parametrize("share", [0.0, 0.2])
def test_cuts_end(graph: Graph, faulty_graph: FaultyGraph, tmp_path: Path, share: float) -> None:
    faulty_graph.fail("GET", "/download/*", answer=changes.cut_at(share))
    with pytest.raises(GraphError):
        graph.download(PATH, tmp_path / "x")
    assert os.listdir(tmp_path) == [] and len(faulty_graph.storage.requests) < 9


@pytest.mark.parametrize("change", [changes.gzipped, changes.chunked,
    changes.sent_as(gzipped=True, chunked=True)], ids=["gzip", "chunked", "both"])  # fmt: skip
@pytest.mark.parametrize("path", ["/download/*", "/v1.0/me/photo/$value"])
def test_encodings(graph: Graph, faulty_graph: FaultyGraph, change: Any, path: str) -> None:
    faulty_graph.fail("GET", path, answer=change)
    if "photo" in path:
        assert graph.download("me/photo/$value") == PHOTO
    else:
        assert graph.download(PATH) == CONTENT


@pytest.mark.parametrize("how", ["gzip", "chunked", "length"])
def test_cuts_of_encodings_are_found(graph: Graph, faulty_graph: FaultyGraph, how: str) -> None:
    change = {
        "gzip": changes.sent_as(gzipped=True, cut=400_000),
        "chunked": changes.sent_as(chunked=True, cut=400_000),
        "length": changes.wrong_length(10),
    }[how]
    faulty_graph.fail("GET", "/download/*", on=1, answer=change)
    assert graph.download(PATH) == CONTENT
    assert len(faulty_graph.storage.requests) in (2, 3)


@pytest.mark.parametrize("path", ["/download/*", "/v1.0/me/drive/*"])
@pytest.mark.parametrize("answer", [replies.throttled(0.01), replies.throttled(None, 503),
    replies.proxy_page(502), replies.cut()], ids=["429", "503", "502", "cut"])  # fmt: skip
def test_refusals_are_repeated(
    graph: Graph, faulty_graph: FaultyGraph, path: str, answer: Reply
) -> None:
    faulty_graph.fail("GET", path, on=1, answer=answer)
    assert graph.download(PATH) == CONTENT


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_an_address_that_has_expired(
    graph: Graph, faulty_graph: FaultyGraph, tmp_path: Path, status: int
) -> None:
    faulty_graph.fail("GET", "/download/*", on=1, answer=replies.refusal(status, "x"))
    assert graph.download(PATH) == CONTENT
    faulty_graph.fail("GET", "/download/*", answer=replies.refusal(status, "itemNotFound"))
    with pytest.raises(GraphError) as caught:
        graph.download(PATH, tmp_path / "x")
    assert caught.value.status == status and os.listdir(tmp_path) == []


def test_no_such_file(graph: Graph, faulty_graph: FaultyGraph, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"old")
    with pytest.raises(GraphError) as caught:
        graph.download("me/drive/root:/nothing", tmp_path / "x")
    assert caught.value.status == 404 and caught.value.correlation_id
    assert (tmp_path / "x").read_bytes() == b"old" and len(os.listdir(tmp_path)) == 1


@pytest.mark.parametrize(
    "target",
    ["{insecure}/x", "http://x/", "ftp://x/", "https://u:p@x/", "file:///etc/passwd"],
)
@pytest.mark.parametrize("at", ["/v1.0/me/drive/*", "/download/*"])
def test_redirects_that_are_not_https(
    graph: Graph, faulty_graph: FaultyGraph, target: str, at: str
) -> None:
    url = target.format(insecure=faulty_graph.insecure.root)
    faulty_graph.fail("GET", at, answer=replies.redirect(url))
    with pytest.raises(GraphError) as caught:
        graph.download(PATH)
    assert caught.value.code == "foreign_link" and not faulty_graph.insecure.requests


def test_redirects_end(graph: Graph, faulty_graph: FaultyGraph) -> None:
    faulty_graph.fail("GET", "/x*", answer=replies.redirect("/x?again"))
    url = f"{faulty_graph.elsewhere.root}/x"
    faulty_graph.fail("GET", "/v1.0/me/*", answer=replies.redirect(url))
    with pytest.raises(GraphError) as caught:
        graph.download(PATH)
    assert caught.value.code == "redirected" and len(faulty_graph.elsewhere.requests) == 5


def test_a_redirect_within_graph_and_one_back_to_graph(
    graph: Graph, faulty_graph: FaultyGraph
) -> None:
    faulty_graph.fail("GET", "/v1.0/me/photo/x", answer=replies.redirect("/v1.0/me/photo/$value"))
    assert graph.download("me/photo/x") == PHOTO
    back = replies.redirect(f"{faulty_graph.root}/v1.0/me/photo/$value")
    faulty_graph.fail("GET", "/download/*", answer=back)
    with pytest.raises(GraphError):
        graph.download(PATH)
    assert faulty_graph.requests[-1].token is None


class Full(io.RawIOBase):
    """A file on a disk that becomes full."""

    def __init__(self, room: int) -> None:
        self.room = room

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        if self.room < len(data):
            raise OSError(errno.ENOSPC, "No space left on device")
        self.room -= len(data)
        return len(data)


@pytest.mark.parametrize("room", [300_000, 690_000])
def test_disk_full(
    graph: Graph,
    faulty_graph: FaultyGraph,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    room: int,
) -> None:
    def full(path: Path, *_: Any, **__: Any) -> io.BufferedWriter:
        path.touch()
        return io.BufferedWriter(Full(room), 350_000)

    monkeypatch.setattr(targets, "open", full, raising=False)
    for to in (tmp_path / "x", Full(room)):
        with pytest.raises(GraphError, match="No space left") as caught:
            graph.download(PATH, to)  # type: ignore[arg-type]
        assert caught.value.code == "disk_full"
    assert os.listdir(tmp_path) == [] and len(faulty_graph.storage.requests) == 2


def test_an_interrupt_removes_the_file(
    graph: Graph, faulty_graph: FaultyGraph, tmp_path: Path
) -> None:
    sent = threading.Event()

    def slow(normal: Reply, _: Recorded) -> Reply:
        sent.set()
        return replace(normal, pace=50.0)

    faulty_graph.fail("GET", "/download/*", answer=slow)

    def interrupt() -> None:
        sent.wait(10)
        time.sleep(0.05)
        signal.pthread_kill(main, signal.SIGINT)

    main = threading.get_ident()
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    threading.Thread(target=interrupt).start()
    began = time.monotonic()
    with pytest.raises(TransferInterrupted) as caught:
        graph.download(PATH, tmp_path / "x")
    signal.signal(signal.SIGINT, before)
    assert time.monotonic() - began < 15 and os.listdir(tmp_path) == []
    secrets = [each.url for each in faulty_graph.storage.requests]
    assert secrets and not any(secret in shown(caught.value) for secret in secrets)


@pytest.mark.parametrize("room", ["progress", "files/targets"])
def test_an_interrupt_at_any_line_leaves_no_part_of_a_file(
    graph: Graph, faulty_graph: FaultyGraph, tmp_path: Path, room: str
) -> None:
    target = tmp_path / "x"
    prefix = str(Path(nbauth.msgraph.__file__).parent / room)
    faulty_graph.fail("GET", "/v1.0/me/photo/$value", answer=Reply(200, b"small"))
    for where in interrupted(lambda: graph.download("me/photo/$value", target), prefix):
        assert {*os.listdir(tmp_path)} <= {"x"}, where
        assert not target.exists() or target.read_bytes() == b"small", where
        target.unlink(missing_ok=True)


class Odd(io.BytesIO):
    """A file object that is closed, or takes nothing more, during the download."""

    how = ""

    def write(self, data: Any) -> int:
        if len(data) and self.how == "closed":
            self.close()
        return 0 if self.how == "takes nothing" else super().write(data)

    def flush(self) -> None:
        if self.how == "full":
            raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("how", ["closed", "takes nothing", "full"])
def test_an_object_that_fails(graph: Graph, how: str) -> None:
    target = Odd()
    target.how = how
    with pytest.raises(GraphError, match="The file object cannot be written"):
        graph.download(PATH, target)


def test_what_an_object_buffers_is_written(graph: Graph, tmp_path: Path) -> None:
    with (tmp_path / "x").open("wb", buffering=10**7) as file:
        graph.download(PATH, file)
        assert (tmp_path / "x").read_bytes() == CONTENT


def test_a_folder_that_is_removed_meanwhile(
    graph: Graph, faulty_graph: FaultyGraph, tmp_path: Path
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()

    def remove(normal: Reply, _: Recorded) -> Reply:
        shutil.rmtree(folder)
        folder.touch()
        return normal

    faulty_graph.fail("GET", "/download/*", answer=remove)
    with pytest.raises(GraphError, match="cannot be written"):
        graph.download(PATH, folder / "x")


def test_a_slow_response_ends(
    graph: Graph, faulty_graph: FaultyGraph, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preauthorised, "MOST_SECONDS", 0.05)
    faulty_graph.fail("GET", "/download/*", answer=changes.sent_as(pace=0.03))
    with pytest.raises(GraphError) as caught:
        graph.download(PATH)
    assert caught.value.code == "too_slow"


def test_the_secret_address_is_nowhere(
    graph: Graph,
    faulty_graph: FaultyGraph,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    bench: Any,
) -> None:
    caplog.set_level(logging.DEBUG)
    texts = []
    faults = (replies.cut(), changes.cut_at(0.1), replies.refusal(403, "x"), replies.throttled(999))
    for fault in (*faults, replies.redirect(f"{faulty_graph.insecure.root}/y?a=1")):
        faulty_graph.faults.clear()
        faulty_graph.fail("GET", "/download/*", answer=fault)
        with pytest.raises(GraphError) as caught:
            graph.download(PATH, tmp_path / "x")
        texts.append(shown(caught.value))
    texts += [record.getMessage() for record in caplog.records]
    texts += [repr(vars(graph)), *bench.screen.said]
    urls = [each.url for each in faulty_graph.storage.requests]
    secrets = [part for url in urls for part in (url, url.partition("?")[2])]
    assert secrets and not [text for text in texts if any(secret in text for secret in secrets)]


def test_awaited(graph: Graph, tmp_path: Path) -> None:
    assert asyncio.run(graph.aio.download(PATH, tmp_path / "x")) == tmp_path / "x"

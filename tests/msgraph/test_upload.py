"""Uploads: complete, resumed, and without a token at the storage (contract test 8)."""

from __future__ import annotations

import asyncio
import copy
import io
import json
import logging
import os
import pickle
import threading
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest

from nbauth.core.errors import ConfigurationError, GraphError, TokenError
from nbauth.core.interrupted import TransferInterrupted
from nbauth.core.secret import MASK, SecretStr
from nbauth.msgraph.client import Graph
from nbauth.msgraph.files import preauthorised, slices, sources, upload
from nbauth.msgraph.files.file_paths import item_of
from nbauth.msgraph.files.unfinished import Kept
from tests.harness.faulty_graph import FaultyGraph
from tests.harness.graph import changes, replies
from tests.harness.graph.files import UNIT
from tests.harness.graph.listener import Recorded
from tests.harness.graph.replies import Reply
from tests.kernel.conftest import until

CONTENT = os.urandom(10 * UNIT + 77)
PATH = "me/drive/root:/a b/ö#%.bin:"
NAME = "a b/ö#%.bin"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small files go in slices too; waits are short."""
    monkeypatch.setattr(upload, "SMALL", UNIT)
    monkeypatch.setattr(slices, "FIRST_WAIT", 0.001)
    monkeypatch.setattr(upload, "pause", lambda _: None)
    monkeypatch.setattr("nbauth.msgraph.throttle.pause", lambda _: None)


@pytest.fixture(autouse=True)
def no_leak(faulty_graph: FaultyGraph) -> Iterator[None]:
    yield
    assert faulty_graph.leaks == []


def puts(faulty_graph: FaultyGraph) -> list[Recorded]:
    return [each for each in faulty_graph.storage.requests if each.method == "PUT"]


def stored(faulty_graph: FaultyGraph, name: str = NAME) -> bytes:
    return faulty_graph.drive.files[name].content


def urls(faulty_graph: FaultyGraph) -> list[str]:
    """The secret addresses of all sessions."""
    return list({each.url for each in faulty_graph.storage.requests})


def sent(graph: Graph, data: Any = CONTENT, path: str = PATH, **options: Any) -> Any:
    return graph.upload(path, data, chunk=2 * UNIT, **options)


def test_upload_cut_at_37_percent_416_and_an_expired_session(
    graph: Graph, faulty_graph: FaultyGraph
) -> None:
    """Contract test 8."""
    faulty_graph.drive.cut_uploads_at = 0.37
    faulty_graph.fail("PUT", "/upload/*", on=5, answer=replies.refusal(416, "invalidRange"))
    expired = replies.refusal(404, "itemNotFound")
    faulty_graph.fail("PUT", "/upload/*", on=7, answer=expired)
    item = sent(graph)
    assert stored(faulty_graph) == CONTENT and item["size"] == len(CONTENT)
    assert item["file"]["hashes"] == faulty_graph.drive.files[NAME].item()["file"]["hashes"]
    recorded = puts(faulty_graph)
    assert len(recorded) > 8 and faulty_graph.drive.cut_uploads_at is None
    assert all("authorization" not in each.headers for each in faulty_graph.storage.requests)
    assert {each.headers["content-range"].partition("/")[2] for each in recorded} == {
        str(len(CONTENT))
    }
    opened = [each for each in faulty_graph.requests if each.method == "POST"]
    assert len(opened) == 2 and all(each.token for each in opened)


PLACES = {
    "me/drive/root:/x y.bin": "x y.bin",
    "me/drive/root:/x y.bin:/content": "x y.bin",
    "me/drive/root:/x.bin:/createUploadSession": "x.bin",
    "drives/b!1/root:/d/content": "d/content",
    "drives/b!1/items/{known}:/new.bin:": "new.bin",
    "drives/b!1/items/{known}": "known.bin",
    "me/drive/items/{known}/content": "known.bin",
    "{root}/v1.0/me/drive/root:/full.bin": "full.bin",
}


@pytest.mark.parametrize("size", [0, 2 * UNIT])
@pytest.mark.parametrize("path", PLACES)
def test_places(graph: Graph, faulty_graph: FaultyGraph, path: str, size: int) -> None:
    known = faulty_graph.drive.put("known.bin", b"old")
    place = path.format(known=known.ident, root=faulty_graph.root)
    sent(graph, CONTENT[:size], place)
    assert stored(faulty_graph, PLACES[path]) == CONTENT[:size]
    assert bool(puts(faulty_graph)) == (size > 0)


@pytest.mark.parametrize("path", ["me/photo/$value", "me/drive/root", "users", PATH + "?x=1"])
def test_other_paths(graph: Graph, faulty_graph: FaultyGraph, path: str) -> None:
    with pytest.raises(ConfigurationError, match="Nothing was sent"):
        sent(graph, path=path)
    assert faulty_graph.requests == []


def test_items_of_lists_and_sites() -> None:
    assert item_of("https://g/v1.0/sites/s/lists/l/items/1") is None
    site = "https://g/v1.0/sites/contoso.example:/teams/x:/drive/root:/a"
    assert item_of(site) == site + ":"


class Unseekable(io.RawIOBase):
    def __init__(self, data: bytes) -> None:
        self._inner = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._inner.readinto(memoryview(buffer)[:1000])


KINDS = ["str", "path", "bytes", "bytearray", "memoryview", "BytesIO", "file", "unseekable", "pipe"]


@pytest.mark.parametrize("kind", KINDS)
def test_kinds_of_content(
    graph: Graph, faulty_graph: FaultyGraph, tmp_path: Path, kind: str
) -> None:
    data, path = CONTENT[: 3 * UNIT + 1], tmp_path / "ä.bin"
    path.write_bytes(data)
    file: Any = {
        "str": lambda: str(path),
        "path": lambda: path,
        "bytes": lambda: data,
        "bytearray": lambda: bytearray(data),
        "memoryview": lambda: memoryview(data),
        "BytesIO": lambda: io.BytesIO(data),
        "file": lambda: path.open("rb"),
        "unseekable": lambda: Unseekable(data),
        "pipe": lambda: os.popen(f"cat '{path}'").buffer,  # type: ignore[attr-defined]
    }[kind]()
    sent(graph, file)
    assert stored(faulty_graph) == data
    if hasattr(file, "close"):
        assert not file.closed
        file.close()


class Failing(io.BytesIO):
    """A file object that fails at its third slice."""

    how = ""
    reads = 0

    def read(self, size: int | None = -1) -> Any:
        self.reads += size is not None and size > 1
        if self.reads == 3 and self.how == "closed":
            self.close()
        return "text" if self.reads == 3 and self.how == "text" else super().read(size)


@pytest.mark.parametrize("how", ["closed", "text"])
def test_a_file_object_that_fails(graph: Graph, faulty_graph: FaultyGraph, how: str) -> None:
    file = Failing(CONTENT)
    file.how = how
    with pytest.raises(ConfigurationError, match="cannot be read"):
        sent(graph, file)
    assert NAME not in faulty_graph.drive.files


def test_a_view_need_not_be_contiguous(graph: Graph, faulty_graph: FaultyGraph) -> None:
    sent(graph, memoryview(CONTENT)[::2])
    assert stored(faulty_graph) == CONTENT[::2]


def test_a_file_without_an_end_that_can_be_found(graph: Graph) -> None:
    with pytest.raises(ConfigurationError, match="/proc/self/status cannot be read"):
        sent(graph, "/proc/self/status")


def test_a_file_object_is_read_from_its_position(graph: Graph, faulty_graph: FaultyGraph) -> None:
    file = io.BytesIO(CONTENT)
    file.seek(100)
    sent(graph, file)
    assert stored(faulty_graph) == CONTENT[100:] and file.tell() == len(CONTENT)


@pytest.mark.parametrize("file", [io.StringIO("x"), None, 5, "/no/such/file", "/", object()])
def test_what_cannot_be_uploaded(graph: Graph, faulty_graph: FaultyGraph, file: Any) -> None:
    with pytest.raises(ConfigurationError):
        sent(graph, file)
    assert faulty_graph.requests == []


@pytest.mark.parametrize("size", [1, 60 * 2**20, -1, 0, "x"])
def test_sizes_of_slices(graph: Graph, size: Any) -> None:
    with pytest.raises(ConfigurationError):
        graph.upload(PATH, CONTENT, chunk=size)


def test_slices_are_rounded(graph: Graph, faulty_graph: FaultyGraph) -> None:
    graph.upload(PATH, CONTENT, chunk=3 * UNIT - 1)
    assert [len(each.body) for each in puts(faulty_graph)] == [2 * UNIT] * 5 + [77]


@pytest.mark.parametrize("conflict", ["replace", "rename", "fail"])
@pytest.mark.parametrize("size", [5, 3 * UNIT])
def test_conflict(graph: Graph, faulty_graph: FaultyGraph, conflict: Any, size: int) -> None:
    faulty_graph.drive.put(NAME, b"old")
    if conflict == "fail":
        with pytest.raises(GraphError) as caught:
            sent(graph, CONTENT[:size], conflict=conflict)
        assert caught.value.code == "nameAlreadyExists" and "replace" in caught.value.hint
        assert stored(faulty_graph) == b"old" and caught.value.status == 409
        return
    sent(graph, CONTENT[:size], conflict=conflict)
    assert stored(faulty_graph) == (b"old" if conflict == "rename" else CONTENT[:size])
    assert len(faulty_graph.drive.files) == (2 if conflict == "rename" else 1)


FAULTS = {
    "429": replies.throttled(0.01),
    "503": replies.throttled(0.01, 503),
    "503 without a time": replies.throttled(None, 503),
    "500": replies.refusal(500),
    "502 of a proxy": replies.proxy_page(502),
    "cut before": replies.cut(),
    "lost after": changes.lost,
    "cut within the response": changes.cut_at(0.5),
    "no JSON": changes.edited(lambda data: data.clear()),
    "416": replies.refusal(416, "invalidRange"),
    "404": replies.refusal(404, "itemNotFound"),
    "410": replies.refusal(410, "x"),
    "401": replies.refusal(401, "unauthenticated"),
}


@pytest.mark.parametrize("on", [2, 6])
@pytest.mark.parametrize("answer", FAULTS.values(), ids=FAULTS)
def test_faults_of_a_slice(graph: Graph, faulty_graph: FaultyGraph, answer: Any, on: int) -> None:
    faulty_graph.fail("PUT", "/upload/*", on=on, answer=answer)
    assert sent(graph)["size"] == len(CONTENT)
    assert stored(faulty_graph) == CONTENT
    assert not faulty_graph.drive.uploads or answer in (FAULTS["404"], FAULTS["410"], FAULTS["401"])


@pytest.mark.parametrize("answer", list(FAULTS.values())[:8], ids=list(FAULTS)[:8])
def test_faults_of_the_question_what_the_session_has(
    graph: Graph, faulty_graph: FaultyGraph, answer: Any
) -> None:
    faulty_graph.drive.cut_uploads_at = 0.37
    faulty_graph.fail("GET", "/upload/*", on=1, answer=answer)
    sent(graph)
    assert stored(faulty_graph) == CONTENT


@pytest.mark.parametrize("name", ["416", "500", "cut before", "429", "404"])
def test_faults_that_stay_end(graph: Graph, faulty_graph: FaultyGraph, name: str) -> None:
    faulty_graph.fail("PUT", "/upload/*", answer=FAULTS[name])
    with pytest.raises(GraphError):
        sent(graph)
    assert len(faulty_graph.storage.requests) < 20


def test_a_session_that_takes_nothing(graph: Graph, faulty_graph: FaultyGraph) -> None:
    faulty_graph.fail("PUT", "/upload/*", answer=Reply(202, {"nextExpectedRanges": ["0-"]}))
    with pytest.raises(GraphError) as caught:
        sent(graph)
    assert caught.value.code == "no_progress" and len(puts(faulty_graph)) < 6


ODD: list[Any] = [
    {},
    [],
    {"nextExpectedRanges": None},
    {"nextExpectedRanges": "5-"},
    {"nextExpectedRanges": [None, 5, {}, "x", "-3", ""]},
    {"nextExpectedRanges": ["9" * 5000 + "-"]},
    {"nextExpectedRanges": [f"{4 * UNIT}-{5 * UNIT}", f"{6 * UNIT}-"]},
    {"expirationDateTime": 5, "uploadUrl": "https://x"},
]


@pytest.mark.parametrize("state", ODD, ids=range(len(ODD)))
def test_odd_states(graph: Graph, faulty_graph: FaultyGraph, state: Any) -> None:
    """After a slice. Where the session goes on is then a guess, which it corrects."""
    faulty_graph.fail("PUT", "/upload/*", on=2, answer=lambda *_: Reply(202, state))

    def opened(normal: Reply, _: Recorded) -> Reply:
        return normal.with_data({"uploadUrl": normal.data["uploadUrl"], "x": state})

    faulty_graph.fail("POST", "*", answer=opened)
    sent(graph)
    assert stored(faulty_graph) == CONTENT


@pytest.mark.parametrize("ranges", [["99999999-"], [f"{len(CONTENT) + 1}-"]])
def test_a_session_that_expects_too_much(
    graph: Graph, faulty_graph: FaultyGraph, ranges: list[str]
) -> None:
    state = {"nextExpectedRanges": ranges}
    faulty_graph.fail("PUT", "/upload/*", on=2, answer=Reply(202, state))
    with pytest.raises(GraphError) as caught:
        sent(graph)
    assert caught.value.code == "bad_session" and not graph._unfinished._kept


def test_a_session_that_has_lost_bytes(graph: Graph, faulty_graph: FaultyGraph) -> None:
    def forget(normal: Reply, request: Recorded) -> Reply:
        (session,) = faulty_graph.drive.uploads.values()
        del session.received[UNIT:]
        return Reply(202, session.state())

    faulty_graph.fail("PUT", "/upload/*", on=3, answer=forget)
    sent(graph)
    assert stored(faulty_graph) == CONTENT


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (replies.refusal(507, "insufficientStorage"), "full"),
        (replies.refusal(403, "quotaLimitReached"), "full"),
        (replies.refusal(413, "x"), "size"),
        (replies.refusal(423, "resourceLocked"), "opened"),
    ],
)
@pytest.mark.parametrize("at", ["slice", "session", "small"])
def test_refusals(
    graph: Graph, faulty_graph: FaultyGraph, answer: Reply, words: str, at: str
) -> None:
    method = "POST" if at == "session" else "PUT"
    path = "/upload/*" if at == "slice" else "*"
    faulty_graph.fail(method, path, answer=answer)
    with pytest.raises(GraphError) as caught:
        sent(graph, CONTENT[:5] if at == "small" else CONTENT)
    assert words in caught.value.hint
    assert bool(graph._unfinished._kept) == (at == "slice" and answer.status == 507)


@pytest.mark.parametrize("conflict", ["replace", "rename", "fail"])
def test_the_last_response_is_lost(graph: Graph, faulty_graph: FaultyGraph, conflict: Any) -> None:
    """The session has ended then: the file is there once, or an error says that it may be."""
    faulty_graph.fail("PUT", "/upload/*", on=6, answer=changes.lost)
    if conflict == "replace":
        sent(graph)
    else:
        with pytest.raises(GraphError) as caught:
            sent(graph, conflict=conflict)
        assert caught.value.code == "uncertain"
    assert stored(faulty_graph) == CONTENT and len(faulty_graph.drive.files) == 1


@pytest.mark.parametrize("answer", [replies.cut(), replies.throttled(0.01, 503), FAULTS["429"]])
def test_a_session_is_requested_again(
    graph: Graph, faulty_graph: FaultyGraph, answer: Reply
) -> None:
    faulty_graph.fail("POST", "*", on=1, answer=answer)
    sent(graph)
    assert stored(faulty_graph) == CONTENT


@pytest.mark.parametrize("url", ["{insecure}/upload/1", None, 5, "", "ftp://x", "https://u@h/x"])
def test_an_upload_url_has_to_be_https(graph: Graph, faulty_graph: FaultyGraph, url: Any) -> None:
    url = url.format(insecure=faulty_graph.insecure.root) if isinstance(url, str) else url
    faulty_graph.fail("POST", "*", answer=changes.edited(lambda data: data.update(uploadUrl=url)))
    with pytest.raises(GraphError) as caught:
        sent(graph)
    assert caught.value.code == "foreign_link" and not faulty_graph.insecure.requests


def test_an_upload_url_that_redirects(graph: Graph, faulty_graph: FaultyGraph) -> None:
    target = replies.redirect(f"{faulty_graph.elsewhere.root}/x", 307)
    faulty_graph.fail("PUT", "/upload/*", answer=target)
    with pytest.raises(GraphError):
        sent(graph)
    assert not faulty_graph.elsewhere.requests


def interrupted(graph: Graph, faulty_graph: FaultyGraph, data: Any, **options: Any) -> Any:
    """Upload until the fourth slice; return the error once the server has read all of it."""
    before = len(puts(faulty_graph))
    count = iter(range(100))

    def read(self: Any, size: int = 0) -> bytes:
        if len(self._data) - self._at == 2 * UNIT and next(count) == 3:
            raise KeyboardInterrupt
        return whole(self, size)

    whole = sources.Slice.read
    sources.Slice.read = read  # type: ignore[method-assign]
    try:
        with pytest.raises(TransferInterrupted) as caught:
            sent(graph, data, **options)
    finally:
        sources.Slice.read = whole  # type: ignore[method-assign]
    until(lambda: len(puts(faulty_graph)) == before + 4)
    return caught.value


@pytest.mark.parametrize("kind", ["path", "bytes", "BytesIO", "file"])
def test_the_same_call_goes_on_after_an_interrupt(
    graph: Graph, faulty_graph: FaultyGraph, tmp_path: Path, kind: str
) -> None:
    path = tmp_path / "x.bin"
    path.write_bytes(CONTENT)
    file: Any = {"path": path, "bytes": CONTENT, "BytesIO": io.BytesIO(CONTENT)}.get(kind)
    file = path.open("rb") if file is None else file
    error = interrupted(graph, faulty_graph, file)
    assert "same call goes on" in str(error) and f"{6 * UNIT:,}" in str(error)
    before = len(puts(faulty_graph))
    sent(graph, file)
    assert stored(faulty_graph) == CONTENT
    assert len(faulty_graph.requests) == 1, "one session"
    assert sum(len(each.body) for each in puts(faulty_graph)[before:]) == len(CONTENT) - 6 * UNIT
    assert not graph._unfinished._kept
    if kind == "file":
        file.close()


@pytest.mark.parametrize("other", ["content", "conflict", "path", "touched"])
def test_another_call_begins_anew(
    graph: Graph, faulty_graph: FaultyGraph, tmp_path: Path, other: str
) -> None:
    path = tmp_path / "x.bin"
    path.write_bytes(CONTENT)
    interrupted(graph, faulty_graph, path)
    data: Any = path
    if other == "content":
        data = bytes(len(CONTENT))
    if other == "touched":
        os.utime(path, ns=(1, 1))
    options = {"conflict": "rename"} if other == "conflict" else {}
    at = "me/drive/root:/other.bin" if other == "path" else PATH
    sent(graph, data, at, **options)
    name = "other.bin" if other == "path" else NAME
    assert stored(faulty_graph, name) == (data if isinstance(data, bytes) else CONTENT)
    assert len(faulty_graph.requests) == 2


def test_sessions_are_not_kept_for_a_child_or_in_a_pickle(
    graph: Graph, faulty_graph: FaultyGraph, bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted(graph, faulty_graph, CONTENT)
    (kept,) = graph._unfinished._kept.values()
    assert str(kept.url) not in repr(kept) and kept.usable
    bench.session.be_found_by(os.getpid)
    data = pickle.dumps(graph)
    assert not any(part.encode() in data for part in (kept.url, kept.url.partition("?")[2]))
    with pytest.raises(TypeError):
        pickle.dumps(kept)
    child = copy.copy(graph._unfinished)
    child._process += 1
    key = next(iter(child._kept))
    assert child.take(key) is None
    assert not Kept(SecretStr("https://x"), time.time()).usable
    assert graph._unfinished.take(key) is kept and graph._unfinished.take(key) is None


@pytest.mark.parametrize("how", ["expired", "ended"])
def test_a_kept_session_that_has_expired(graph: Graph, faulty_graph: FaultyGraph, how: str) -> None:
    interrupted(graph, faulty_graph, CONTENT)
    if how == "ended":
        (key,) = graph._unfinished._kept
        kept = graph._unfinished._kept[key]
        graph._unfinished._kept[key] = Kept(kept.url, time.time() - 1)
    else:
        faulty_graph.drive.expire()
    sent(graph)
    assert stored(faulty_graph) == CONTENT


@pytest.mark.parametrize("how", ["grown", "shrunk", "rewritten"])
def test_a_file_that_changes(
    graph: Graph, faulty_graph: FaultyGraph, tmp_path: Path, how: str
) -> None:
    path = tmp_path / "x.bin"
    path.write_bytes(CONTENT)

    def change(normal: Reply, _: Recorded) -> Reply:
        if how == "shrunk":
            os.truncate(path, 3 * UNIT)
        elif how == "grown":
            with path.open("ab") as file:
                file.write(b"x")
        else:
            os.utime(path, ns=(1, 1))
        return normal

    faulty_graph.fail("PUT", "/upload/*", on=2, answer=change)
    with pytest.raises(GraphError) as caught:
        sent(graph, path)
    assert caught.value.code == "content_changed" and NAME not in faulty_graph.drive.files


def test_the_secret_address_is_nowhere(
    graph: Graph, faulty_graph: FaultyGraph, caplog: pytest.LogCaptureFixture, bench: Any
) -> None:
    """Not in logs of any library, errors, chained errors, variables of frames, what was said."""
    caplog.set_level(logging.DEBUG)
    texts, data = [], b"a" * (9 * UNIT)
    for fault in (replies.cut(), replies.refusal(403, "x"), replies.throttled(1000)):
        faulty_graph.faults.clear()
        faulty_graph.fail("PUT", "/upload/*", answer=fault)
        with pytest.raises(GraphError) as caught:
            sent(graph, data)
        texts.append(shown(caught.value))
    faulty_graph.faults.clear()
    texts.append(shown(interrupted(graph, faulty_graph, data + data)))
    texts += [record.getMessage() for record in caplog.records]
    texts += [repr(graph.partial), repr(vars(graph)), *bench.screen.said]
    secrets = [part for url in urls(faulty_graph) for part in (url, url.partition("?")[2])]
    assert secrets and not [text for text in texts if any(secret in text for secret in secrets)]
    assert any("upload" not in text for text in texts)


def test_the_secret_address_in_a_response_is_masked(
    graph: Graph, faulty_graph: FaultyGraph
) -> None:
    """Also as JSON of .NET, which escapes & and +, and in parts."""

    def repeats(_: Reply, request: Recorded) -> Reply:
        where = urlsplit(request.url)
        values = [value for _, value in parse_qsl(where.query)]
        text = f"{request.url} {unquote(request.url)} {where.path}?{where.query} {where.path}"
        text = json.dumps({"error": {"code": where.query, "message": f"{text} {values}"}})
        text = text.replace("&", "\\u0026").replace("/", "\\/")
        return Reply(403, text.encode(), content_type="application/json")

    faulty_graph.fail("PUT", "/upload/*", answer=repeats)
    with pytest.raises(GraphError) as caught:
        sent(graph, CONTENT)
    (url,) = set(urls(faulty_graph))
    where = urlsplit(url)
    parts = [url, where.path, where.query, *(value for _, value in parse_qsl(where.query))]
    text = f"{caught.value} {caught.value.code}"
    assert MASK in text and not [part for part in parts if part in text and len(part) > 7]


def test_two_threads_hide_their_addresses_from_the_log() -> None:
    """One ends while the other one's record is filtered."""
    noisy = logging.getLogger("urllib3.connectionpool")
    begun, over, done = threading.Event(), threading.Event(), threading.Event()

    def other() -> None:
        with preauthorised._unlogged():
            begun.set()
            over.wait(5)
        done.set()

    class Record(logging.LogRecord):
        @property
        def thread(self) -> int:  # type: ignore[override]
            over.set()
            done.wait(5)
            return threading.get_ident()

        @thread.setter
        def thread(self, _: object) -> None:
            pass

    thread = threading.Thread(target=other)
    thread.start()
    assert begun.wait(5)
    record = Record("x", logging.DEBUG, "", 0, "a secret address", (), None)
    with preauthorised._unlogged():
        assert not noisy.filter(record)
    over.set()
    thread.join()
    assert noisy.filter(record)


def test_after_a_sign_out_a_kept_session_is_not_used(
    graph: Graph, faulty_graph: FaultyGraph, bench: Any
) -> None:
    interrupted(graph, faulty_graph, CONTENT)
    bench.session.logout(all=True)
    bench.screen.is_attended = False
    before = len(puts(faulty_graph))
    for _ in range(2):
        with pytest.raises(TokenError):
            sent(graph)
    assert len(puts(faulty_graph)) == before


def shown(error: BaseException) -> str:
    """All that a traceback with variables shows, of chained errors too."""
    pieces, one = [], error
    while one is not None:
        whole = traceback.TracebackException.from_exception(one, capture_locals=True)
        frames = [frame for frame in whole.stack if "/tests/" not in frame.filename]
        pieces += ["".join(whole.format_exception_only()), repr(one.__dict__)]
        pieces += [str(frame.locals) for frame in frames]
        one = one.__cause__ or one.__context__  # type: ignore[assignment]
    return "\n".join(pieces)


def test_awaited(graph: Graph, faulty_graph: FaultyGraph) -> None:
    interrupted(graph, faulty_graph, CONTENT)
    item = asyncio.run(graph.aio.upload(PATH, CONTENT, chunk=2 * UNIT))
    assert item["size"] == len(CONTENT) and stored(faulty_graph) == CONTENT
    assert len(faulty_graph.requests) == 1, "the session of the blocking call"


def test_a_cancelled_task_stops_and_the_same_call_goes_on(
    graph: Graph, faulty_graph: FaultyGraph
) -> None:
    arrived, go_on = threading.Event(), threading.Event()

    def hold(normal: Reply, _: Recorded) -> Reply:
        arrived.set()
        go_on.wait(10)
        return normal

    faulty_graph.fail("PUT", "/upload/*", on=3, answer=hold)

    async def cancelled() -> None:
        task = asyncio.create_task(graph.aio.upload(PATH, CONTENT, chunk=2 * UNIT))
        while not arrived.is_set():
            await asyncio.sleep(0.005)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not go_on.is_set(), "it does not wait for the response"

    asyncio.run(cancelled())
    go_on.set()
    until(lambda: graph._unfinished._kept)
    assert len(puts(faulty_graph)) == 3
    sent(graph)
    assert stored(faulty_graph) == CONTENT and len(faulty_graph.requests) == 1

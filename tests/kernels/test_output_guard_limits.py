"""What docs/security.md lists as not masked is really not masked. The list must stay honest."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator

import pytest

from nbauth.core.secret import MASK
from tests.kernels.conftest import wait_for
from tests.kernels.leaks import JWT, SET_UP, Watched


@pytest.fixture(scope="module")
def guarded() -> Iterator[Watched]:
    with Watched() as kernel:
        kernel.run("%load_ext nbauth")
        assert kernel.run(SET_UP).error == ""
        assert kernel.run("print(JWT)").text.startswith(MASK)
        yield kernel


@pytest.mark.parametrize(
    ("code", "shown"),
    [
        ("print(JWT[::-1])", JWT[::-1]),
        ("print(JWT[:200])", JWT[:200]),
        ("print(JWT[1:])", JWT[1:]),
        ("print(JWT.encode().hex())", JWT.encode().hex()),
        ("print(*JWT, sep='\\n')", "\n".join(JWT)),
        (
            "import zlib\nprint(zlib.compress(JWT.encode()).hex())",
            zlib.compress(JWT.encode()).hex(),
        ),
        ("print(JWT[:40], end='', flush=True); display(1); print(JWT[40:])", JWT[:40] + MASK),
        ("print(JWT[:7], end='', flush=True); print(JWT[7:])", JWT[:7] + MASK),
    ],
    ids=["reversed", "slice", "all but one", "hex", "lines", "compressed", "display", "seven"],
)
def test_parts_and_other_forms_are_shown(guarded: Watched, code: str, shown: str) -> None:
    assert guarded.run(code).text.startswith(shown)


def test_files_and_variables_of_the_environment_contain_the_text(guarded: Watched) -> None:
    guarded.run("open('written', 'w').write(JWT); os.environ['GIVEN'] = JWT")
    assert (guarded.home / "written").read_text() == JWT
    assert guarded.run("len(os.environ['GIVEN']) == len(JWT)").result == "True"


def test_the_network_gets_the_text(guarded: Watched) -> None:
    code = """
import http.server, urllib.request
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        got.append(self.path[1:])
        self.send_response(204)
        self.end_headers()
    def log_message(self, *args): pass
got, server = [], http.server.HTTPServer(("127.0.0.1", 0), Handler)
thread = threading.Thread(target=server.handle_request); thread.start()
urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/{JWT}").close()
thread.join(); server.server_close()
got == [JWT]
"""
    assert guarded.run(code).result == "True"


def test_the_history_contains_what_was_typed(guarded: Watched) -> None:
    guarded.text()
    assert guarded.run(f"typed = {JWT!r}", store_history=True).status == "ok"
    guarded.run("get_ipython().history_manager.writeout_cache()", store_history=True)
    (file,) = guarded.home.rglob("history.sqlite")
    files = file.parent
    wait_for(lambda: any(JWT.encode() in one.read_bytes() for one in files.glob("history.*")))
    assert not guarded.leaks(), "the echo of the source and the reply are masked"


def test_the_servers_log_contains_the_output_of_subprocesses(guarded: Watched) -> None:
    guarded.run("_ = subprocess.run(['echo', JWT]); time.sleep(0.2)")
    wait_for(lambda: JWT in guarded.log)
    assert MASK in json.dumps(guarded.seen, ensure_ascii=False, default=str)


def test_the_token_of_another_library_is_shown(guarded: Watched) -> None:
    other = JWT[:-4] + "aaaa"
    assert guarded.run(f"print({other!r})").text == f"{other}\n"

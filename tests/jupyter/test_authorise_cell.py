"""``%%auth`` in a shell: the cell runs as a plain one, and only its calls get tokens."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import requests
from IPython.core.interactiveshell import InteractiveShell
from requests.adapters import BaseAdapter

from nbauth.kernel.calls.execution import present
from tests.jupyter.typed import Shell, shell

CALL = "get_ipython().run_cell_magic('auth', '--quiet', None)"
OWN = (requests.Session.send, httpx.Client.send, threading.Thread.start)


class Recording(BaseAdapter):
    """Answers all requests, and records the ``Authorization`` header of each."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def send(self, request: Any, *_: Any, **__: Any) -> requests.Response:
        self.seen.append(f"{request.url} {request.headers.get('Authorization')}")
        response = requests.Response()
        response._content, response.status_code, response.request = b"", 200, request
        return response

    def close(self) -> None: ...


class Notebook:
    """A shell, in which ``call(host)`` calls a host with requests."""

    def __init__(self, here: Shell) -> None:
        self.here, self.shell = here, here.shell
        self.adapter = Recording()
        session = requests.Session()
        session.trust_env = False
        session.mount("https://", self.adapter)
        self.shell.user_ns["call"] = lambda host="api.example": session.get(f"https://{host}/")

    def run(self, cell: str, **options: Any) -> Any:
        return self.shell.run_cell(cell, **options)

    def sent(self) -> list[str]:
        """What the hosts got: ``""`` for no token."""
        seen = [line.split(" ", 1)[1] for line in self.adapter.seen]
        self.adapter.seen.clear()
        return ["" if header == "None" else header.partition(" ")[0] for header in seen]


@pytest.fixture
def notebook() -> Iterator[Notebook]:
    with shell("ada") as here:
        yield Notebook(here)
    assert (requests.Session.send, httpx.Client.send, threading.Thread.start) == OWN
    assert present() is None


def test_only_the_calls_of_the_cell_get_a_token(notebook: Notebook) -> None:
    notebook.run("call()")
    notebook.run("%%auth --quiet\ncall(); call('other.example:8443'); call('evil.example')")
    notebook.run("call()")
    assert notebook.sent() == ["", "Bearer", "Bearer", "", ""]


def test_the_options_restrict_it(notebook: Notebook) -> None:
    notebook.run("%%auth --host api.example --quiet\ncall(); call('other.example:8443')")
    notebook.run("%%auth write --quiet\ncall(); call('other.example:8443')")
    assert notebook.sent() == ["Bearer", "", "", "Bearer"]


@pytest.mark.parametrize("host", ["evil.example", "api.example:8443", "API.example.", "*.example"])
def test_a_host_that_is_not_listed_stops_the_cell(notebook: Notebook, host: str) -> None:
    result = notebook.run(f"%%auth --host {host}\ncall()")
    assert getattr(result.error_in_exec, "code", "") == "unlisted_host"
    assert notebook.sent() == []


def test_without_a_listed_host_the_cell_does_not_run(notebook: Notebook) -> None:
    notebook.here.bench.session.configure(hosts={})
    assert notebook.run("%%auth\ncall()").error_in_exec.code == "unlisted_host"
    assert notebook.sent() == []


def test_a_person_who_is_not_signed_in_signs_in_before_the_body_runs() -> None:
    with shell() as here:
        notebook = Notebook(here)
        body = "pool = __import__('concurrent.futures').futures.ThreadPoolExecutor(1)\n"
        assert notebook.run(f"%%auth\n{body}pool.submit(call).result()").success
        assert notebook.sent() == ["Bearer"]


def test_where_nobody_can_answer_the_body_does_not_run() -> None:
    with shell() as here:
        here.bench.screen.is_attended = False
        notebook = Notebook(here)
        result = notebook.run("%%auth\ncall()")
        assert result.error_in_exec.code
        assert notebook.sent() == []


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("1 + 1", 2),
        ("x = 3\n\n# the last\nx", 3),
        ("import asyncio\nawait asyncio.sleep(0, 4)", 4),
        ("from __future__ import annotations\nimport asyncio\nawait asyncio.sleep(0, 5)", 5),
        ("# a\n\nfrom __future__ import annotations, division # b\nawait later()", 6),
        ("y = %who_ls function\nlen(y) > 0", True),
        ("%%time\n7", 7),
        ("%%capture out\nprint(8)", None),
        ("a, *b = !echo 9\nb", []),
        ("if True:\n    1\n", None),
    ],
)
def test_the_value_is_that_of_the_plain_cell(notebook: Notebook, cell: str, value: Any) -> None:
    notebook.run("async def later(): return 6")
    plain = notebook.run(cell)
    result = notebook.run(f"%%auth --quiet\n{cell}")
    assert result.success
    assert plain.result == result.result == value


ERRORS = ["1 / 0", "call(", "raise SystemExit(1)", "raise KeyboardInterrupt", "nosuch",
          "def f():\n    return 1 / 0\n\nf()", "await no()", "%nosuch", "'''open"]  # fmt: skip


@pytest.mark.parametrize("cell", ERRORS)
@pytest.mark.filterwarnings("ignore:To exit")
def test_an_error_is_that_of_the_plain_cell_a_line_further_down(
    notebook: Notebook, cell: str, capsys: pytest.CaptureFixture[str]
) -> None:
    shown, kinds = [], []
    for text in (f"\n#\n{cell}", f"%%auth --quiet\n#\n{cell}", f"# {CALL}\n#\n{cell}"):
        notebook.shell.execution_count = 5
        result = notebook.run(text)
        kinds.append(type(result.error_before_exec or result.error_in_exec))
        shown.append(capsys.readouterr())
        notebook.run("call()")
    assert kinds[0] is kinds[1]
    if kinds[0] is not SystemExit:
        assert kinds[0] is not type(None)
    # The first line is shown as IPython shows magics; all else is the same as with a comment there.
    one, other = (re.sub(r"\x1b\[[0-9;]*m", "", each.out + each.err) for each in shown[1:])
    assert one.replace(CALL, "") == other.replace(f"# {CALL}", "")
    assert notebook.sent() == [""] * 3


def test_the_history_has_the_cell_as_typed(notebook: Notebook) -> None:
    notebook.run("%%auth --quiet\nx = 1", store_history=True)
    manager = notebook.shell.history_manager
    assert manager.input_hist_raw[-1] == "%%auth --quiet\nx = 1"
    assert manager.input_hist_parsed[-1] == f"{CALL}\nx = 1"


def test_a_silent_cell_ends_too(notebook: Notebook) -> None:
    notebook.run("%%auth\ncall()", silent=True)
    notebook.run("call()", silent=True)
    assert notebook.sent() == ["Bearer", ""]


def test_a_cell_within_the_cell_neither_ends_it_nor_extends_it(notebook: Notebook) -> None:
    run = "get_ipython().run_cell"
    notebook.run(f"%%auth --quiet\ncall(); {run}('call()'); {run}('1 / 0'); call()")
    assert notebook.sent() == ["Bearer"] * 3
    notebook.run(f"{run}('%%auth --quiet\\ncall()'); call()")
    assert notebook.sent() == ["Bearer", ""]
    notebook.run("%%capture\n%%auth --quiet\ncall()")
    notebook.run("%%time\n%%auth --quiet\ncall()")
    notebook.run("%%timeit -n 2 -r 1\n%%auth --quiet\ncall()")
    notebook.run("call()")
    assert notebook.sent() == ["Bearer"] * 4 + [""]


def test_its_call_outside_of_a_cell_authorises_nothing(notebook: Notebook) -> None:
    with pytest.raises(Exception, match="only in a cell"):
        notebook.shell.run_cell_magic("auth", "", None)
    late = f"def late():\n    try:\n        {CALL}\n    except Exception:\n        call()\n"
    notebook.run(f"import threading\n{late}")
    notebook.run("t = threading.Thread(target=late); t.start(); t.join()")
    assert notebook.sent() == [""]


def test_a_thread_that_goes_on_gets_no_token(notebook: Notebook) -> None:
    notebook.run("import threading\ngo = threading.Event()")
    late = "t = threading.Thread(target=lambda: (go.wait(9), call()))\nt.start()\ncall()"
    notebook.run(f"%%auth --quiet\n{late}")
    notebook.run("%%auth --quiet\ngo.set()\nt.join()")
    assert notebook.sent() == ["Bearer", ""]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("call()", ""),
        ("1", "It covers calls of requests and httpx, and no other HTTP library."),
        ("call('evil.example')", "evil.example is not a listed host."),
        ("call('a.test')\ncall('b.test')", "a.test, b.test are not listed hosts."),
        ("call('evil.example')\ncall()", ""),
        ("call('evil.example')\n1 / 0", ""),
    ],
)
def test_a_cell_of_which_no_call_got_a_token_says_so(
    notebook: Notebook, body: str, said: str
) -> None:
    answer = notebook.here.type(f"%%auth\n{body}")
    assert ("got a token" in answer) is bool(said)
    assert said in answer
    assert "got a token" not in notebook.here.type(f"%%auth --quiet\n{body}")


@pytest.mark.parametrize(
    ("text", "status"),
    [("%%auth", "incomplete"), ("%%auth\nx = 1", "incomplete"), ("%%auth\nx = 1\n\n", "complete")],
)
def test_a_terminal_reads_the_cell_to_its_blank_line(
    notebook: Notebook, text: str, status: str
) -> None:
    check = notebook.shell.input_transformer_manager.check_complete
    assert check(text)[0] == status == check(text.replace("auth", "time"))[0]


def test_unloading_leaves_no_trace() -> None:
    made = InteractiveShell.instance()
    magics = made.magics_manager.magics["cell"]
    before = list(made.input_transformers_cleanup), sorted(magics), made.run_cell_async
    with shell():
        assert "auth" in magics
        assert "run_cell_async" in vars(made)
    assert (list(made.input_transformers_cleanup), sorted(magics), made.run_cell_async) == before
    assert "run_cell_async" not in vars(made)


def test_unloading_in_the_cell_ends_with_the_cell(notebook: Notebook) -> None:
    notebook.run("%%auth --quiet\n%unload_ext nbauth\ncall()")
    notebook.run("call()")
    notebook.shell.run_line_magic("load_ext", "nbauth")
    notebook.run("%%auth --quiet\ncall()")
    assert notebook.sent() == ["Bearer", "", "Bearer"]

"""The output guard in real kernels: no secret leaves them in any message."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from nbauth.core.secret import MASK
from nbauth.jupyter.guard import NOTICE
from tests.harness.kernels import KERNEL_VERSIONS
from tests.kernels.leaks import CELLS, JWT, SECRETS, SET_UP, XMODES, Watched


@pytest.fixture(scope="module", params=KERNEL_VERSIONS)
def guarded(request: pytest.FixtureRequest) -> Iterator[Watched]:
    with Watched(request.param) as kernel:
        assert kernel.run("%load_ext nbauth").status == "ok"
        assert kernel.run(SET_UP).error == ""
        yield kernel


@pytest.fixture(autouse=True)
def masking(guarded: Watched) -> None:
    guarded.run("%config NbAuth.redact = None")
    guarded.text()


def leaking(kernel: Watched) -> dict[str, list[str]]:
    """What was found in the messages of each way to leak."""
    found = {}
    for name, code in CELLS.items():
        kernel.after(kernel.run(code.replace("{s}", "BOTH")), 0.02)
        found[name] = kernel.leaks()
    return found


def test_no_cell_shows_a_secret(guarded: Watched) -> None:
    found = leaking(guarded)
    assert {name: forms for name, forms in found.items() if forms} == {}


def test_without_the_guard_each_of_these_cells_shows_it(guarded: Watched) -> None:
    if guarded.version != KERNEL_VERSIONS[0]:
        return  # the cells are the same
    guarded.run("%config NbAuth.redact = False")
    found = leaking(guarded)
    assert [name for name, forms in found.items() if not forms] == []


@pytest.mark.parametrize("mode", XMODES)
def test_no_error_shows_a_secret(guarded: Watched, mode: str) -> None:
    guarded.run(f"%xmode {mode}")
    for secret in SECRETS:
        result = guarded.run(f"def call(sent):\n    raise ValueError(sent)\ncall('B ' + {secret})")
        assert result.status == "error"
        assert MASK in result.error
    assert guarded.leaks() == []
    guarded.run("%xmode Context")


def test_no_reply_shows_a_secret(guarded: Watched) -> None:
    guarded.run("%config IPCompleter.use_jedi = False")  # loading it takes seconds
    for name, secret in SECRETS.items():
        guarded.run(
            f"{name}\nkeyed = {{{name}: 1}}\nclass Held:\n    __doc__ = {name}\nheld = Held()"
        )
        guarded.run(f"print({secret!r})", store_history=True)
        asked = {
            "expressions": {"a": name},
            "inspect": guarded.ask("inspect_request", code=name, cursor_pos=2, detail_level=0),
            "detail": guarded.ask("inspect_request", code="held", cursor_pos=2, detail_level=1),
            "complete": guarded.ask("complete_request", code="keyed[", cursor_pos=6),
            "history": guarded.ask(
                "history_request", hist_access_type="tail", n=9, output=True, raw=True
            ),
        }
        assert MASK in str(asked["detail"])
        assert MASK in str(asked["complete"])
        assert MASK in str(asked["history"])
        guarded.run("1", user_expressions={"a": name, "b": f"dict(a={name})"})
        guarded.run("1", user_expressions={"a": f"int({name})"})
    assert guarded.leaks() == []


def test_no_prompt_shows_a_secret(guarded: Watched) -> None:
    cell = guarded.send("input(BOTH)", allow_stdin=True)
    asked = guarded.client.get_stdin_msg(timeout=20)
    assert asked["content"]["prompt"] == f"{MASK} {MASK}"
    guarded.client.input("")
    assert guarded.wait(cell)[cell].status == "ok"


def test_one_line_at_the_end_of_the_cell_says_so(guarded: Watched) -> None:
    result = guarded.run("print(JWT); print('between'); display(JWT); print(JWT, 'end')")
    assert result.text == f"{MASK}\nbetween\n{MASK} end\n{NOTICE}"
    stream = [one for one in guarded.seen if one["msg_type"] == "stream"][-1]["content"]
    assert stream == {"name": "stderr", "text": NOTICE}
    assert guarded.run("print('nothing')").text == "nothing\n"
    assert guarded.run("JWT").text == NOTICE
    assert guarded.run("raise ValueError(JWT)").text == NOTICE


def test_the_line_names_what_works(guarded: Watched) -> None:
    assert guarded.run("print(JWT)").text == f"{MASK}\n{NOTICE}"
    guarded.run("%config NbAuth.redact = False")
    assert guarded.run("print(JWT)").text == f"{JWT}\n"
    guarded.run("import nbauth; nbauth.configure(redact=True)")
    assert guarded.run("print(JWT)").text == f"{MASK}\n{NOTICE}"
    assert guarded.run("nbauth.configure(redact=False); print(JWT)").text == f"{JWT}\n"
    guarded.run("nbauth.configure(redact=None); os.environ['NBAUTH_REDACT'] = 'false'")
    assert guarded.run("print(JWT)").text == f"{JWT}\n"
    guarded.run("del os.environ['NBAUTH_REDACT']")
    assert guarded.run("print(JWT)").text == f"{MASK}\n{NOTICE}"


def test_what_is_kept_back_keeps_its_place(guarded: Watched) -> None:
    code = """
print("1 " + JWT[:50], end="", flush=True)
print("2", file=sys.stderr, flush=True)
print("3 " + JWT[:50], end="", flush=True)
display("4")
print("5 " + JWT[:50], end="", flush=True)
raise ValueError("6")
"""
    guarded.run(code)
    texts = [
        one["content"].get("text") or one["content"].get("evalue") or "display"
        for one in guarded.seen
        if one["msg_type"] in ("stream", "display_data", "error")
    ]
    head = JWT[:50]
    assert "".join(texts) == f"1 {head}2\n3 {head}display5 {head}6"


def test_an_interrupt_loses_no_output(guarded: Watched) -> None:
    cell = guarded.send("print('a ' + JWT[:50], end='', flush=True); time.sleep(30)")
    while "a " not in guarded.wait(cell, timeout=0.05)[cell].text:
        pass
    guarded.interrupt()
    result = guarded.wait(cell, timeout=10)[cell]
    assert result.error.startswith("KeyboardInterrupt")
    assert result.text == f"a {JWT[:50]}"


def test_a_thread_that_outlives_its_cell(guarded: Watched) -> None:
    cell = guarded.send(
        "def later():\n    time.sleep(0.2)\n    print('b ' + JWT[:50], end='', flush=True)\n"
        "    time.sleep(0.1)\n    print(JWT[50:], flush=True)\n    time.sleep(0.1)\n"
        "    print('c ' + JWT[:50], end='', flush=True)\n"
        "thread = threading.Thread(target=later); thread.start()"
    )
    result = guarded.after(guarded.wait(cell)[cell], 1.5)
    assert result.text == f"b {MASK}\n{NOTICE}c {JWT[:50]}"
    assert guarded.run("1").result == "1"


def test_a_failure_of_the_guard_loses_no_output(guarded: Watched) -> None:
    guarded.run(
        "from nbauth.jupyter import guard\nmask = guard.Guard.mask\n"
        "def fails(*_): raise RuntimeError('no')\nguard.Guard.mask = fails"
    )
    assert guarded.run("print('kept', flush=True); 5").text == "kept\n"
    assert guarded.run("5").result == "5"
    guarded.run("guard.Guard.mask = mask")
    assert guarded.run("print(JWT)").text == f"{MASK}\n{NOTICE}"

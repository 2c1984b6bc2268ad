"""A question to the person, in real kernels: it ends when nobody waits for the answer any more."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.harness.kernels import KERNEL_VERSIONS, Kernel
from tests.kernels.conftest import environment

ASK = """
from nbauth.jupyter.hidden_input import read_hidden, timeout_after
try:
    print("typed", read_hidden("Address: ", timeout_after({seconds})))
except TimeoutError:
    print("given up")
"""


@pytest.fixture(scope="module", params=KERNEL_VERSIONS)
def asked(request: pytest.FixtureRequest) -> Iterator[Kernel]:
    with Kernel(request.param, allow_stdin=True) as kernel:
        yield kernel


def question(kernel: Kernel) -> dict[str, object]:
    return kernel.client.get_stdin_msg(timeout=30)["content"]


def test_what_is_typed_comes_and_is_asked_for_unseen(asked: Kernel) -> None:
    ident = asked.send(ASK.format(seconds=60))
    assert question(asked) == {"prompt": "Address: ", "password": True}
    asked.client.input("here")
    assert asked.wait(ident)[ident].text == "typed here\n"


def test_nobody_answers_and_the_cell_goes_on(asked: Kernel) -> None:
    assert asked.run(ASK.format(seconds=0.2)).text == "given up\n"
    question(asked)
    asked.client.input("too late")
    ident = asked.send(ASK.format(seconds=60))
    question(asked)
    asked.client.input("in time")
    assert asked.wait(ident)[ident].text == "typed in time\n", "an old answer is for nobody"


def test_the_stop_button_ends_the_question(asked: Kernel) -> None:
    ident = asked.send(ASK.format(seconds=60))
    question(asked)
    asked.interrupt()
    assert asked.wait(ident)[ident].error.startswith("KeyboardInterrupt")
    assert asked.run("print(1)").text == "1\n"


def test_where_a_name_of_ipykernel_is_missing_it_asks_all_the_same(asked: Kernel) -> None:
    hidden = (
        "from nbauth.jupyter.ipykernel import stdin\n"
        "kernel = get_ipython().kernel\n"
        "class Other:\n"
        "    stdin_socket, session, _parent_ident = kernel.stdin_socket, kernel.session, {}\n"
        "assert stdin.can_ask(kernel) and not stdin.can_ask(Other)\n"
        "can_ask, stdin.can_ask = stdin.can_ask, lambda kernel: False\n"
    )
    ident = asked.send(hidden + ASK.format(seconds=60) + "\nstdin.can_ask = can_ask")
    question(asked)
    asked.client.input("here")
    assert asked.wait(ident)[ident].text == "typed here\n"


PASTE = """
import nbauth.jupyter.screen as screen
screen.PATIENCE = 0.1  # no front end shows a panel here
%load_ext nbauth
%login --flow paste --timeout {seconds}
"""


def test_the_question_for_an_address_ends_with_the_time_of_the_sign_in(demo) -> None:
    with Kernel(env=environment(demo), allow_stdin=True) as kernel:
        result = kernel.run(PASTE.format(seconds=1))
        assert question(kernel)["password"] is True, "it was asked"
        assert result.error.startswith("SignInExpired"), result.error
        assert kernel.run("print(1)").text == "1\n"


def test_the_question_ends_when_the_sign_in_does(demo) -> None:
    with Kernel(env=environment(demo), allow_stdin=True) as kernel:
        later = (
            "import threading\n"
            "def cancel():\n"
            "    import nbauth.api\n"
            "    asked.wait()\n"
            "    for one in nbauth.api.the_session().pending():\n"
            "        one.cancel()\n"
            "asked = threading.Event()\n"
            "threading.Thread(target=cancel).start()\n"
            "from nbauth.jupyter import hidden_input, terminal\n"
            "def ask(*arguments):\n"
            "    threading.Timer(0.3, asked.set).start()\n"
            "    return hidden_input.read_hidden(*arguments)\n"
            "terminal.read_hidden = ask\n"
        )
        ident = kernel.send(later + PASTE.format(seconds=60))
        question(kernel)
        assert kernel.wait(ident)[ident].error.startswith("SignInCancelled")


def test_a_passphrase_is_waited_for_no_longer_than_a_sign_in(demo) -> None:
    with Kernel(env=environment(demo, NBAUTH_PERSIST="file"), allow_stdin=True) as kernel:
        result = kernel.run("%load_ext nbauth\n%config NbAuth.timeout = 0.5\n%login")
        assert "passphrase" in str(question(kernel)["prompt"]).lower()
        assert "needs a passphrase, and none was given" in result.text

"""From the server's page to a kernel and back: each ipykernel version, also while a cell blocks."""

from __future__ import annotations

import os
import secrets
import signal
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from urllib.parse import urlsplit

import pytest

from tests.harness.kernels import KERNEL_VERSIONS
from tests.harness.served_kernel import holding_the_gil
from tests.server.conftest import ticket_of

BEGIN = """
import asyncio, secrets
from nbauth.kernel.sign_in.receivers.jupyter_server import CallbackReceiver
kernel = get_ipython().kernel
def begin():
    return CallbackReceiver(kernel, secrets.token_urlsafe(32), redirect_uri="http://here/")
receiver = begin()
print(receiver.state)
"""
WAYS_TO_WAIT = {
    "blocked": "print('waiting'); answer = receiver.answer.result(30)",
    "computing": "print('waiting', flush=True)\nwhile not receiver.answer.done(): sum(range(999))",
    "awaiting": "print('waiting')\nwhile not receiver.answer.done(): await asyncio.sleep(0.01)",
}
END = """
print(sorted(receiver.answer.result(0).items()))
receiver.finish("You are signed in", "Go back to your notebook.")
print("nbauth_deliver" in kernel.control_handlers)
"""


def begin(kernel) -> str:
    return kernel.run(BEGIN).text.strip()


def check_round_trip(server, kernel, wait: str) -> None:
    state, code = begin(kernel), secrets.token_urlsafe(24)
    ident = kernel.send(WAYS_TO_WAIT[wait] + END)
    kernel.wait_text(ident, "waiting")
    page = server.get({"code": code, "state": state, "iss": "https://id.example", "redirects": "1"})
    assert page.status_code == 200, page.text
    assert "<h1>You are signed in</h1><p>Go back to your notebook.</p>" in page.text
    assert code not in page.text
    assert state not in page.text
    result = kernel.wait(ident)[ident]
    _, answer, still_there = result.text.strip().splitlines()
    assert answer == str([("code", code), ("iss", "https://id.example"), ("state", state)])
    assert still_there == "False"


@pytest.mark.parametrize("wait", WAYS_TO_WAIT)
@pytest.mark.parametrize("version", KERNEL_VERSIONS)
def test_an_answer_reaches_a_waiting_cell(server, kernels, version, wait):
    check_round_trip(server, kernels(version), wait)


@pytest.mark.parametrize("wait", WAYS_TO_WAIT)
def test_an_answer_reaches_a_cell_behind_a_gateway(gateway_server, gateway_kernel, wait):
    check_round_trip(gateway_server, gateway_kernel, wait)


def test_what_is_unknown_behind_a_gateway(gateway_server, gateway_kernel):
    state = begin(gateway_kernel)
    assert gateway_server.get({"code": "c", "state": f"{state[:-1]}_"}).status_code == 404
    gone = state.replace(gateway_kernel.id, gateway_kernel.id[::-1])
    assert "is not on this server" in gateway_server.get({"code": "c", "state": gone}).text
    gateway_kernel.run("receiver.finish('', '')")
    unknown = gateway_server.get({"code": "c", "state": state})
    assert (unknown.status_code, "No sign-in waits" in unknown.text) == (404, True)


def test_forged_and_ended_get_one_and_the_same_answer(server, kernels):
    kernel = kernels("7.4")
    state = begin(kernel)
    forged = server.get({"code": "c", "state": f"{state[:-43]}{secrets.token_urlsafe(32)}"})
    ended = begin(kernel)
    kernel.run("receiver.finish('Not signed in', 'Cancelled.')")
    late = server.get({"code": "c", "state": ended})
    assert {page.status_code for page in (forged, late)} == {404}

    def said(page):
        return page.text.partition("<main>")[2]

    assert "No sign-in waits for this response" in said(late)
    assert said(forged) == said(late)


@pytest.mark.parametrize("code", ["c", "another"], ids=["reloaded", "sent twice by the provider"])
def test_a_response_to_a_sign_in_that_has_one_is_shown_how_it_ended(server, kernels, code):
    """A browser repeats a request that was cut off, and a double click can bring two codes."""
    kernel = kernels("7.4")
    state = begin(kernel)
    ident = kernel.send("receiver.finish(receiver.answer.result(30)['code'], '')")
    assert "<h1>c</h1>" in server.get({"code": "c", "state": state}).text
    kernel.wait(ident)
    page = server.get({"code": code, "state": state})
    assert (page.status_code, "<h1>c</h1>" in page.text) == (200, True)


def test_two_tabs_follow_one_sign_in_while_the_kernel_is_busy(server, kernels, tmp_path):
    kernel = kernels("7.4")
    state = begin(kernel)
    kernel.run(
        "import threading\n"
        "def end(one): one.answer.result(60); one.finish('You are signed in', '')\n"
        "threading.Thread(target=end, args=(receiver,), daemon=True).start()"
    )
    with holding_the_gil(kernel, tmp_path), ThreadPoolExecutor(2) as threads:
        tabs = list(threads.map(lambda code: server.get_once({"code": code, "state": state}), "cd"))
    assert [tab.status_code for tab in tabs] == [202, 202]
    ends = [server.get({"nbauth_follow": ticket_of(tab)}) for tab in tabs]
    assert all("<h1>You are signed in</h1>" in end.text for end in ends)


@pytest.mark.timing
def test_a_kernel_without_nbauth_is_recognised_at_once(server):
    kernel = server.start_kernel("py-6.29")
    state = f".{kernel.id}.{secrets.token_urlsafe(32)}"
    page = server.get({"code": "c", "state": state})
    assert (page.status_code, "No sign-in waits" in page.text) == (404, True)
    assert page.elapsed.total_seconds() < 5


def check_followed_up(server, kernel, folder) -> None:
    """The page says that the outcome is not known yet, and shows it later."""
    state, code = begin(kernel), secrets.token_urlsafe(24)
    kernel.run(
        "import threading\n"
        "def end(one): one.answer.result(60); one.finish('You are signed in', 'Go back.')\n"
        "threading.Thread(target=end, args=(receiver,), daemon=True).start()"
    )
    with holding_the_gil(kernel, folder):
        first = server.get_once({"code": code, "state": state})
    assert (first.status_code, "Delivered to your notebook" in first.text) == (202, True)
    assert "has not replied yet" in first.text
    assert "Not signed in" not in first.text
    assert code not in first.text
    assert state not in first.text
    ticket = ticket_of(first)
    last = server.get({"nbauth_follow": ticket})
    assert (last.status_code, "<h1>You are signed in</h1>" in last.text) == (200, True)
    assert ticket not in last.text
    again = server.get_once({"nbauth_follow": ticket})
    assert "<h1>You are signed in</h1>" in again.text, "a page that was cut off asks again"


def test_a_kernel_that_holds_the_gil_is_followed_until_the_outcome_is_known(
    server, kernels, tmp_path
):
    check_followed_up(server, kernels("7.4"), tmp_path)


def test_a_kernel_behind_a_gateway_is_followed_too(gateway_server, gateway_kernel, tmp_path):
    check_followed_up(gateway_server, gateway_kernel, tmp_path)


def test_a_kernel_that_was_restarted_before_it_read_the_answer(server):
    """The new process answers ``kernel_info_request``, and does not know the sign-in."""
    kernel = server.start_kernel("py-7.4")
    state = begin(kernel)
    os.kill(int(kernel.run("import os; print(os.getpid())").text), signal.SIGSTOP)
    first = server.get_once({"code": "c", "state": state})
    assert first.status_code == 202
    server.order(f"api/kernels/{kernel.id}/restart")
    last = server.get({"nbauth_follow": ticket_of(first)})
    assert (last.status_code, "No sign-in waits" in last.text) == (404, True)


def test_a_kernel_that_was_shut_down_is_gone(server):
    kernel = server.start_kernel("py-7.4")
    state = begin(kernel)
    os.kill(int(kernel.run("import os; print(os.getpid())").text), signal.SIGSTOP)
    first = server.get_once({"code": "c", "state": state})
    assert first.status_code == 202
    server.order(f"api/kernels/{kernel.id}", "DELETE")
    last = server.get({"nbauth_follow": ticket_of(first)})
    assert (last.status_code, "is not on this server" in last.text) == (404, True)


def test_if_the_kernel_does_not_tell_the_outcome_the_page_refers_to_the_notebook(server, kernels):
    """The kernel removes its handlers when nobody asks for a moment; here, at once."""
    kernel = kernels("7.4")
    state = begin(kernel)
    ident = kernel.send(
        "receiver.answer.result(30); receiver.told.set(); receiver._desk.leave(receiver)"
    )
    page = server.get({"code": "c", "state": state})
    kernel.wait(ident)
    assert (page.status_code, "Your notebook shows it" in page.text) == (200, True)


@pytest.mark.parametrize("ticket", ["x", "s" * 22, "'><script>", "..", "%00"])
def test_an_unknown_ticket_reveals_nothing(server, ticket):
    page = server.get_once({"nbauth_follow": ticket})
    assert (page.status_code, "This page does not know" in page.text) == (200, True)
    assert ticket not in page.text.partition("<main>")[2]


def test_a_delivery_is_shown_to_the_servers_owner_only(server):
    kernel = server.start_kernel("py-7.4")
    state = begin(kernel)
    process = int(kernel.run("import os; print(os.getpid())").text)
    os.kill(process, signal.SIGSTOP)
    first = server.get_once({"code": "c", "state": state})
    asked = {"nbauth_follow": ticket_of(first)}
    anonymous = server.get_once(asked, headers={})
    assert (anonymous.status_code, urlsplit(anonymous.headers["Location"]).path) == (302, "/login")
    refused = {"Authorization": f"token {server.token}", "X-Refuse": "1"}
    assert server.get_once(asked, headers=refused).status_code == 403
    assert server.get_once(asked, "POST").status_code == 405
    os.kill(process, signal.SIGKILL)


def test_the_page_tells_of_a_failure_in_the_kernels_words(server, kernels):
    kernel = kernels("7.4")
    state = begin(kernel)
    ident = kernel.send(
        "error = receiver.answer.result(30)['error_description']\n"
        "receiver.finish('Not signed in', f'The provider says: {error}')"
    )
    hostile = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>\u202e" + "x" * 2000
    page = server.get({"error": "access_denied", "error_description": hostile, "state": state})
    kernel.wait(ident)
    assert page.status_code == 200
    assert "The provider says: &lt;script&gt;alert(1)&lt;/script&gt;&quot;&#x27;&gt;" in page.text
    assert page.text.count("<script") == 1
    assert "<img" not in page.text


def test_interleaved_sign_ins_of_two_kernels_each_get_their_own(server, kernels):
    """Fifty in each, answered at the same time and in another order."""
    both = [kernels("7.4"), kernels("7.3")]
    states = []
    for kernel in both:
        kernel.run(BEGIN)
        run = kernel.run("many = [begin() for _ in range(50)]\nprint(*(one.state for one in many))")
        printed = run.text.split()
        assert len(printed) == 50, run.text  # nothing else was said in between
        states += [(kernel.id, state) for state in printed]
    for kernel in both:
        kernel.send(
            "import threading\n"
            "def end(one):\n"
            "    code = one.answer.result(60)['code']\n"
            "    one.finish('Done', f'{kernel.parent.connection_file} {code}')\n"
            "for one in many: threading.Thread(target=end, args=(one,), daemon=True).start()"
        )
    mixed = states[::2] + states[1::2][::-1]
    with ThreadPoolExecutor(8) as threads:
        pages = list(threads.map(lambda one: server.get({"code": one[1], "state": one[1]}), mixed))
    for (kernel_id, state), page in zip(mixed, pages, strict=True):
        assert page.status_code == 200
        assert f"kernel-{kernel_id}.json {state}" in page.text


def test_twenty_deliveries_of_one_answer_are_one(server, kernels):
    kernel = kernels("7.4")
    state = begin(kernel)
    kernel.run(
        "taken, take = [], receiver._desk.deliver\n"
        "def deliver(*message): taken.append(message); take(*message)\n"
        "kernel.control_handlers['nbauth_deliver'] = deliver"
    )
    ident = kernel.send(
        "receiver.answer.result(30); receiver.finish('Done', '')\nprint(len(taken))"
    )
    with ThreadPoolExecutor(8) as threads:
        pages = list(threads.map(lambda _: server.get({"code": "c", "state": state}), range(20)))
    assert kernel.wait(ident)[ident].text == "1\n"
    assert {(page.status_code, "<h1>Done</h1>" in page.text) for page in pages} == {(200, True)}


@pytest.mark.parametrize("length", [2048, 15_000])
def test_a_long_code_arrives_whole(server, kernels, length):
    kernel = kernels("7.4")
    state, code = begin(kernel), "+/=%&" * (length // 15) + secrets.token_hex(length // 3)
    ident = kernel.send(
        "import hashlib; code = receiver.answer.result(30)['code']\n"
        "receiver.finish('Done', hashlib.sha256(code.encode()).hexdigest())"
    )
    page = server.get({"code": code, "state": state})
    kernel.wait(ident)
    assert sha256(code.encode()).hexdigest() in page.text

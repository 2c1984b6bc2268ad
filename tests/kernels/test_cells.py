"""Cells that need a sign-in, a first one or a new one: they wait, and then continue."""

from __future__ import annotations

import contextlib
import time

import pytest

from nbauth.demo.tour import approve
from tests.harness.kernels import KERNEL_VERSIONS, Kernel
from tests.kernels.conftest import environment, wait_for

PANEL = "application/vnd.jupyter.widget-view+json"
NEW_SCOPE = "Sites.Read.All"
"""A scope that no other test consents to."""


AS_NEW = """
%unload_ext nbauth
import nbauth, time, asyncio
from nbauth.api import the_session
for pending in the_session().pending():
    pending.cancel()
nbauth.logout(all=True)
from nbauth.process_session import new_session
_ = new_session()
%reset -f
%load_ext nbauth
import nbauth, time, asyncio
"""
"""The extension and the session are new; only the modules stay imported."""


@pytest.fixture(scope="module")
def running(demo):
    """One kernel of each version; one that does not answer is replaced."""
    with contextlib.ExitStack() as stack:
        kernels = {}

        def of(version: str) -> Kernel:
            kernel = kernels.get(version)
            if kernel is None or kernel.run(AS_NEW).status != "ok":
                env = environment(demo, NBAUTH_FLOW="device")
                kernel = stack.enter_context(Kernel(version, env=env, allow_stdin=True))
                loaded = kernel.run("%load_ext nbauth\nimport nbauth, time, asyncio")
                assert loaded.status == "ok", loaded.traceback
                kernels[version] = kernel
            return kernel

        yield of


@pytest.fixture(params=["7.4"])
def kernel(request, running):
    """A kernel that signs in by device code; a test may ask for every version."""
    return running(request.param)


every_version = pytest.mark.parametrize("kernel", KERNEL_VERSIONS, indirect=True)


def begin(kernel: Kernel, cell: str) -> str:
    """Send a cell and wait until it runs."""
    ident = kernel.send("print('begun')\n" + cell)
    wait_for(lambda: "begun" in kernel.wait(ident, timeout=0)[ident].text)
    return ident


def code_shown(demo):
    """The device code, as soon as it is there."""
    wait_for(lambda: demo.provider.store.pending_devices())
    (device,) = demo.provider.store.pending_devices()
    return device


def sign_ins(demo) -> int:
    return len(demo.provider.store.devices)


@pytest.fixture(autouse=True)
def no_code_is_left_over(demo):
    yield
    for device in demo.provider.store.pending_devices():
        device.state = "declined"


@every_version
def test_background_leaves_the_kernel_free_and_calls_that_need_the_sign_in_wait(kernel, demo):
    assert kernel.run("attempt = %login --background").status == "ok"
    device = code_shown(demo)
    assert kernel.run("print(attempt.state)").text == "waiting\n"
    needs_it = begin(kernel, "print(nbauth.acquire().account.username)")
    queued = [kernel.send(f"print({number})") for number in range(3)]
    time.sleep(0.3)
    assert kernel.wait(needs_it, timeout=0)[needs_it].status == "unanswered"
    approve(demo, device)
    results = kernel.wait(needs_it, *queued)
    assert results[needs_it].text == "begun\nada.demo@demo.example\n"
    assert [results[ident].text for ident in queued] == ["0\n", "1\n", "2\n"]
    assert sum(PANEL in bundle for bundle in results[needs_it].data) == 1, "shown where it waits"


def test_a_background_error_is_raised_in_the_cell_that_needs_the_sign_in(kernel, demo):
    kernel.run("attempt = %login --background")
    code_shown(demo).state = "declined"
    kernel.run("while attempt.state == 'waiting': time.sleep(0.02)")
    result = kernel.run("%token")
    assert result.error.startswith("SignInDeclined: ")
    assert len(result.traceback.splitlines()) == 2
    assert kernel.run("print(attempt.error.code)").status == "ok"


@every_version
def test_stop_ends_the_wait_and_the_background_sign_in_continues(kernel, demo):
    kernel.run("attempt = %login --background")
    device = code_shown(demo)
    for cell in ("nbauth.token()", "await asyncio.sleep(0)\nnbauth.token()"):
        needs_it = begin(kernel, cell)
        kernel.interrupt()
        result = kernel.wait(needs_it, timeout=5)[needs_it]
        assert result.error.startswith(("SignInInterrupted", "CancelledError")), result.error
        assert kernel.run("print(attempt.state, attempt.error)").text == "waiting None\n"
    approve(demo, device)
    assert kernel.run("print(attempt.wait(9).username)").text == "ada.demo@demo.example\n"


@every_version
def test_an_awaited_login_can_be_stopped_and_signs_in(kernel, demo):
    awaited = begin(kernel, "await nbauth.login_async()")
    code_shown(demo)
    kernel.interrupt()
    assert kernel.wait(awaited, timeout=5)[awaited].error.startswith("CancelledError")
    pending = "from nbauth.api import the_session\nprint(the_session().pending())"
    assert kernel.run(pending).text == "[]\n"
    for device in demo.provider.store.pending_devices():
        device.state = "declined"
    awaited = begin(kernel, "who = await nbauth.login_async()\nprint(who.username)")
    approve(demo, code_shown(demo))
    result = kernel.wait(awaited)[awaited]
    assert result.text == "begun\nada.demo@demo.example\n", result.traceback


@every_version
def test_run_signs_in_from_a_plain_cell_and_queued_cells_survive(kernel, demo, willing_person):
    """The coroutine may await the sign-in or call blocking functions."""
    for work in ("(await nbauth.login_async()).username", "nbauth.acquire().account.username"):
        cell = f"async def work():\n    await asyncio.sleep(0.1)\n    return {work}\n"
        first = begin(kernel, cell + "print(nbauth.run(work()))")
        queued = [kernel.send(f"print({number})") for number in range(3)]
        results = kernel.wait(first, *queued)
        assert results[first].text == "begun\nada.demo@demo.example\n", results[first].traceback
        assert [results[ident].text for ident in queued] == ["0\n", "1\n", "2\n"]
        kernel.run("%logout --quiet")


ASYNCIO_AS_IT_IS = """
def asyncio_as_it_is():
    import tornado.concurrent
    loop = type(asyncio.get_running_loop())
    places = [asyncio, asyncio.tasks, asyncio.futures, asyncio.events, loop,
              type(asyncio.get_event_loop_policy())]
    names = [{name: id(value) for name, value in vars(place).items()} for place in places]
    return [*names, tornado.concurrent.Future]
async def answer():
    await asyncio.sleep(0.01)
    return 42
as_it_was = asyncio_as_it_is()
"""


@pytest.fixture(params=KERNEL_VERSIONS)
def untouched(request):
    """A kernel of the test's own, in which nothing has been called yet."""
    with Kernel(request.param) as own:
        own.run("%load_ext nbauth\nimport nbauth, asyncio")
        yield own


def test_run_leaves_asyncio_as_it_was(untouched):
    kernel = untouched
    kernel.run(ASYNCIO_AS_IT_IS)
    for _ in range(2):
        assert kernel.run("print(nbauth.run(answer()))").text == "42\n"
        assert kernel.run("print(asyncio_as_it_is() == as_it_was)").text == "True\n"
    failing = "async def fail(): await asyncio.sleep(0); raise ValueError\nnbauth.run(fail())"
    assert kernel.run(failing).error == "ValueError: "
    twice = "async def twice(): return nbauth.run(answer()) + nbauth.run(answer())\n"
    assert kernel.run(twice + "print(nbauth.run(twice()))").text == "84\n"
    left = "async def leave(): return asyncio.ensure_future(answer())\nleft = nbauth.run(leave())"
    assert kernel.run(left).status == "ok"
    assert kernel.run("print(await left)").text == "42\n", "a task that outlives the call continues"
    assert kernel.run("print(asyncio_as_it_is() == as_it_was)").text == "True\n"
    assert kernel.run("asyncio.run(answer())").error.startswith(
        "RuntimeError: asyncio.run() cannot"
    )
    assert kernel.run("print(await answer())").text == "42\n"


@pytest.fixture
def signed_in(kernel, demo, willing_person, monkeypatch):
    """Tokens that live for two seconds, so that a short loop has to refresh."""
    monkeypatch.setattr(demo.provider.store, "access_ttl", 2)
    result = kernel.run("account = %login --quiet\ntoken = %token")
    assert result.status == "ok", result.traceback
    return kernel


def revoke_all(demo) -> None:
    """Revoke all refresh and access tokens, as an administrator does."""
    store = demo.provider.store
    for record in list(store.refresh_tokens.values()):
        store.revoke_family(record.grant.family)


def test_a_held_token_asks_within_a_loop_and_the_loop_continues(signed_in, demo):
    loop = "texts = []\nfor step in range(16):\n    texts.append(str(token))\n    time.sleep(0.2)\n"
    before = sign_ins(demo)
    ident = begin(signed_in, loop + "print(len(texts), len(set(texts)) > 1)")
    revoke_all(demo)
    result = signed_in.wait(ident)[ident]
    assert result.status == "ok", result.traceback
    assert result.text.endswith("16 True\n")
    assert sum(PANEL in bundle for bundle in result.data) == 1, "the panel is under this cell"
    assert sign_ins(demo) == before + 1


def test_authorised_calls_ask_within_a_loop_and_the_loop_continues(signed_in, demo):
    url = f"{demo.graph_url}/me"
    signed_in.run("calls = nbauth.session()")
    loop = f"got = []\nfor step in range(8):\n    got.append(calls.get({url!r}).status_code)\n"
    before = sign_ins(demo)
    ident = begin(signed_in, loop + "    time.sleep(0.1)\nprint(got)")
    revoke_all(demo)
    result = signed_in.wait(ident)[ident]
    assert result.status == "ok", result.traceback
    assert result.text.endswith(f"{[200] * 8}\n")
    assert sum(PANEL in bundle for bundle in result.data) == 1
    assert sign_ins(demo) == before + 1


def test_a_new_consent_is_requested_in_the_cell_and_the_cell_continues(signed_in, demo):
    before = sign_ins(demo)
    result = signed_in.run(f"""
        steps = ["before"]
        sites = nbauth.acquire({NEW_SCOPE!r})
        steps.append(sites.source)
        steps.append({NEW_SCOPE!r} in " ".join(sites.scopes))
        print(steps)
    """)
    assert result.status == "ok", result.traceback
    assert result.text.endswith("['before', 'flow', True]\n")
    assert sum(PANEL in bundle for bundle in result.data) == 1
    assert sign_ins(demo) == before + 1


def test_stop_during_a_new_consent_leaves_the_kernel_and_the_account(kernel, demo):
    kernel.run("attempt = %login --background")
    approve(demo, code_shown(demo))
    kernel.run("attempt.wait()")
    ident = begin(kernel, "nbauth.acquire('Group.Read.All')")
    code_shown(demo)
    kernel.interrupt()
    assert kernel.wait(ident, timeout=5)[ident].error.startswith("SignInInterrupted")
    assert kernel.run("print(nbauth.accounts()[0].username)").text == "ada.demo@demo.example\n"


GET_CHATS = """
import os, requests
url = os.environ["NBAUTH_DEMO_GRAPH_URL"] + "/me/chats"
nbauth.configure(hosts={url.split("/")[2]: ["https://graph.microsoft.com/.default"]})
here = nbauth.session("User.Read")
"""


@every_version
def test_a_call_whose_token_lacks_a_scope_asks_under_its_cell_and_goes_on(kernel, demo):
    demo.provider.store.consents.clear()  # of the other versions
    signed_in = begin(kernel, "%login User.Read --quiet")
    approve(demo, code_shown(demo))
    assert kernel.wait(signed_in)[signed_in].status == "ok"
    prepared = kernel.run(GET_CHATS)
    assert prepared.status == "ok", prepared.traceback

    cancelled = begin(kernel, "print(here.get(url).status_code)")
    code_shown(demo)
    kernel.interrupt()
    assert kernel.wait(cancelled, timeout=5)[cancelled].error.startswith("SignInInterrupted")
    for device in demo.provider.store.pending_devices():
        device.state = "declined"

    asks = begin(kernel, "print(here.get(url).status_code, here.get(url).json()['value'])")
    queued = kernel.send("print('queued')")
    approve(demo, code_shown(demo))
    results = kernel.wait(asks, queued)
    assert results[asks].text == "begun\n200 []\n", results[asks].traceback
    assert results[queued].text == "queued\n"
    assert sum(PANEL in bundle for bundle in results[asks].data) == 1, (
        "the panel is under this cell"
    )

    from_a_thread = kernel.run(
        "import threading\nurl = url.replace('chats', 'messages')\nfound = []\n"
        "one = threading.Thread(target=lambda: found.append(here.get(url).status_code))\n"
        "one.start(); one.join(); print(found)"
    )
    assert "[403]" in from_a_thread.text
    assert "refused the request (403). The token has" in from_a_thread.text

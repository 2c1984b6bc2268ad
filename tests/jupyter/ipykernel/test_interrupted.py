"""After an interrupt at any line of a wait, the kernel is restored and nothing waits forever.

The tests try every line: in each run the tracer interrupts at a line that was not tried yet, until
a run ends without a new line.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from nbauth.jupyter import ipykernel
from nbauth.jupyter.ipykernel import pump, waiting
from nbauth.jupyter.ipykernel.reply_fix import fix_replies
from tests.jupyter.ipykernel.fake_kernel import OURS, FakeKernel

pytestmark = pytest.mark.long

ROOM = str(Path(ipykernel.__file__).parent)
MOST_LINES = 5000


class AtLine:
    """Calls ``act`` once, at the first new line that runs inside the wait.

    A line of nbauth counts as new each time that it runs; any other line only the first time.

    Args:
        known: the lines that were tried already; the new one is added.
        act: is called there; may raise.
        ours: use only lines of nbauth's files.
    """

    def __init__(self, known: set[tuple[str, int]], act: Callable[[], None], *, ours: bool) -> None:
        self.met = ""
        self._known = known
        self._act = act
        self._ours = ours
        self._times: Counter[str] = Counter()

    def __enter__(self) -> AtLine:
        sys.settrace(self._trace)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(None)

    def _trace(self, frame: FrameType, event: str, _argument: Any) -> Any:
        if event == "line" and not self.met and self._counts(frame):
            file = frame.f_code.co_filename
            line = f"{Path(file).name}:{frame.f_lineno}"
            self._times[line] += 1
            key = line, self._times[line] if file.startswith(ROOM) else 0
            if key not in self._known:
                self._known.add(key)
                self.met = line
                self._act()
        return self._trace

    def _counts(self, frame: FrameType) -> bool:
        if self._ours and not frame.f_code.co_filename.startswith(ROOM):
            return False
        above: FrameType | None = frame
        while above is not None:
            if above.f_code.co_name in {"wait", "wait_async"}:
                return above.f_code.co_filename.startswith(ROOM)
            above = above.f_back
        return False


def interrupt() -> None:
    raise KeyboardInterrupt


def fail() -> None:
    raise MemoryError


def press() -> None:
    signal.raise_signal(signal.SIGINT)


def press_twice() -> None:
    press()
    press()


@pytest.fixture(autouse=True)
def short_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pump, "TURN", 0.002)
    monkeypatch.setattr(waiting, "TURN", 0.002)


@pytest.fixture(autouse=True)
def handler() -> Iterator[Any]:
    """Set Python's own handler of SIGINT during the test."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield signal.default_int_handler
    signal.signal(signal.SIGINT, before)


class Run:
    """One wait, during which a message for nbauth's comm and one for another comm arrive.

    Args:
        ends: the message for nbauth's comm ends the wait. If it is lost, the third turn does.
    """

    def __init__(self, kernel: FakeKernel, *, ends: bool) -> None:
        self.kernel = kernel
        self.ended = threading.Event()
        self.error: BaseException | None = None
        self._ends = ends
        self._turns = 0
        if ends:
            kernel.handle = lambda data: self.ended.set()
        kernel.send_other()
        kernel.send_ours(n=1)

    def sync(self) -> None:
        self._guarded(
            lambda: waiting.wait(self.kernel, self.ended, lambda: {OURS}, meanwhile=self._count)
        )

    def awaited(self) -> None:
        def as_the_event_loop_does() -> None:
            self.kernel.stream.flush()
            self._count()

        async def cell() -> None:
            await waiting.wait_async(
                self.kernel, self.ended, lambda: {OURS}, meanwhile=as_the_event_loop_does
            )

        loop = asyncio.new_event_loop()
        self._guarded(lambda: loop.run_until_complete(cell()))
        loop.close()

    def _count(self) -> None:
        self._turns += 1
        if self._ends and self._turns == 3:
            self.ended.set()

    def _guarded(self, work: Callable[[], None]) -> None:
        guard = threading.Timer(5, self.ended.set)
        guard.start()
        try:
            work()
        except (KeyboardInterrupt, MemoryError) as error:
            self.error = error
        in_time = guard.is_alive()
        guard.cancel()
        assert in_time, "the wait did not end"


def lines(act: Callable[[], None], *, ours: bool) -> Iterator[AtLine]:
    """Yield one tracer for each line, until a run has no new line."""
    known: set[tuple[str, int]] = set()
    while len(known) < MOST_LINES:
        line = AtLine(known, act, ours=ours)
        yield line
        if not line.met:
            assert len(known) > 100, "the tracer saw too few lines"
            return
    raise AssertionError("there are too many lines")


@pytest.mark.parametrize("with_subshells", [False, True], ids=["6", "7"])
@pytest.mark.parametrize("way", ["sync", "awaited"])
@pytest.mark.parametrize("act", [interrupt, fail])
def test_an_error_at_any_line_of_nbauth_restores_the_kernel(act, way, with_subshells, handler):
    for line in lines(act, ours=True):
        with FakeKernel(with_subshells=with_subshells) as kernel:
            run = Run(kernel, ends=True)
            with line:
                getattr(run, way)()
            assert kernel.is_as_before(), line.met
            assert signal.getsignal(signal.SIGINT) is handler, line.met
            assert kernel.lost() <= 1, line.met


@pytest.mark.parametrize(
    ("act", "with_subshells"),
    [(press, False), (press, True), (press_twice, True)],
    ids=["once-6", "once-7", "twice-7"],
)
def test_the_stop_button_at_any_line_ends_the_wait_and_loses_no_message(
    act, with_subshells, handler
):
    """Also at lines of pyzmq, contextlib and threading, where an exception would do damage."""
    for line in lines(act, ours=False):
        with FakeKernel(with_subshells=with_subshells) as kernel:
            run = Run(kernel, ends=True)
            with line:
                run.sync()
            assert kernel.is_as_before(), line.met
            assert signal.getsignal(signal.SIGINT) is handler, line.met
            # The second press interrupts the handler, whose message is then used up.
            assert kernel.lost() <= (act is press_twice), line.met
            assert isinstance(run.error, KeyboardInterrupt) or not line.met, f"lost at {line.met}"


def test_the_stop_button_at_any_line_ends_an_endless_wait(handler):
    known: set[tuple[str, int]] = set()
    for _ in range(300):
        with FakeKernel() as kernel:
            run = Run(kernel, ends=False)
            with AtLine(known, press, ours=True) as line:
                run.sync()
            assert isinstance(run.error, KeyboardInterrupt), line.met
            assert kernel.is_as_before(), line.met
            assert kernel.lost() == 0, line.met


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, SystemExit])
def test_an_error_in_meanwhile_restores_the_kernel(error, handler):
    def meanwhile() -> None:
        raise error

    with FakeKernel(with_subshells=True) as kernel:
        with pytest.raises(error):
            waiting.wait(kernel, threading.Event(), set, meanwhile=meanwhile, timeout=5)
        assert kernel.is_as_before()
        with pytest.raises(error):
            asyncio.run(waiting.wait_async(kernel, threading.Event(), set, meanwhile=meanwhile))
        assert kernel.is_as_before()
        assert signal.getsignal(signal.SIGINT) is handler
        assert kernel.lost() == 0


def test_an_error_in_a_handler_is_logged_and_the_wait_continues(caplog):
    ended = threading.Event()

    def handle(data: dict[str, int]) -> None:
        if data["n"] == 1:
            raise ValueError("a bug")
        ended.set()

    with FakeKernel() as kernel:
        kernel.handle = handle
        kernel.send_ours(n=1)
        kernel.send_ours(n=2)
        waiting.wait(kernel, ended, lambda: {OURS}, timeout=5)
        assert kernel.handled == [{"n": 1}, {"n": 2}]
        assert [state for state, _ in kernel.said] == ["busy", "idle", "busy"] * 2
        assert kernel.is_as_before()
    assert "a bug" in caplog.text


def test_an_error_in_the_kernels_own_callback_is_not_caught(caplog):
    with FakeKernel() as kernel:
        kernel.stream.on_recv(lambda frames: 1 / 0, copy=False)
        ended = threading.Event()
        kernel.handle = lambda data: ended.set()
        kernel.send_other()
        kernel.send_ours(n=1)
        waiting.wait(kernel, ended, lambda: {OURS}, timeout=5)
        assert kernel.handled == [{"n": 1}]


def test_after_an_error_in_comm_ids_the_kernel_gets_the_message():
    with FakeKernel() as kernel:
        kernel.send_ours(n=1)
        waiting.wait(kernel, threading.Event(), lambda: 1 / 0, timeout=0.05)
        assert len(kernel.queued) == 1


def test_a_handler_that_hangs_is_interrupted_by_a_second_press(handler):
    with FakeKernel() as kernel:
        pressed: list[int] = []

        def hang(data: object) -> None:
            for _ in range(2):
                pressed.append(1)
                press()
            pressed.append(2)

        kernel.handle = hang
        kernel.send_ours(n=1)
        with pytest.raises(KeyboardInterrupt):
            waiting.wait(kernel, threading.Event(), lambda: {OURS}, timeout=5)
        assert pressed == [1, 1]
        assert kernel.is_as_before()
        assert ("idle", kernel.said[0][1]) in kernel.said, "the front end waits for idle"
        assert kernel.lost() == 0


class _PressesInItsDestructor:
    """Python drops an exception that leaves a destructor, such as that of a ZeroMQ frame."""

    def __del__(self) -> None:
        press_twice()


def catch_the_interrupt(data: object) -> None:
    with contextlib.suppress(KeyboardInterrupt):
        press_twice()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    "handle", [lambda data: _PressesInItsDestructor() and None, catch_the_interrupt]
)
def test_an_interrupt_that_a_handler_drops_or_catches_still_ends_the_wait(handle, handler):
    with FakeKernel() as kernel:
        kernel.handle = handle
        kernel.send_ours(n=1)
        ended = threading.Event()
        guard = threading.Timer(5, ended.set)
        guard.start()
        with pytest.raises(KeyboardInterrupt):
            waiting.wait(kernel, ended, lambda: {OURS})
        guard.cancel()
        assert kernel.is_as_before()
        assert kernel.lost() == 0


def test_a_sigint_handler_of_the_user_may_raise_any_exception(handler):
    """An ``Exception`` of a message's handler is logged; this one ends the wait."""

    def own(*_: object) -> None:
        raise ValueError("own")

    signal.signal(signal.SIGINT, own)
    with FakeKernel() as kernel:
        kernel.handle = lambda data: press_twice()
        kernel.send_ours(n=1)
        with pytest.raises(ValueError, match="own"):
            waiting.wait(kernel, threading.Event(), lambda: {OURS}, timeout=5)
        assert signal.getsignal(signal.SIGINT) is own
        assert kernel.is_as_before()


def test_presses_at_the_end_of_the_wait_restore_the_kernel(handler, monkeypatch):
    """One press at any line, such as at the begin of ``interrupts``, and more at the end."""
    end = pump.Pump.end

    def pressed_end(self: pump.Pump) -> None:
        press()
        end(self)

    monkeypatch.setattr(pump.Pump, "end", pressed_end)
    for line in lines(press, ours=False):
        with FakeKernel(with_subshells=True) as kernel:
            run = Run(kernel, ends=True)
            with line:
                run.sync()
            assert kernel.is_as_before(), line.met
            assert signal.getsignal(signal.SIGINT) is handler, line.met


def test_asynchronous_waits_end_in_any_order():
    async def cells(kernel: FakeKernel, order: list[int]) -> None:
        ended = [threading.Event() for _ in order]
        waits = [
            asyncio.ensure_future(waiting.wait_async(kernel, event, lambda: {OURS}))
            for event in ended
        ]
        for place in order:
            await asyncio.sleep(0.01)
            kernel.send_ours(n=place)
            kernel.stream.flush()
            assert kernel.handled.pop() == {"n": place}
            ended[place].set()
            await waits[place]

    for order in ([0, 1, 2], [2, 1, 0], [1, 0, 2]):
        with FakeKernel(with_subshells=True) as kernel:
            asyncio.run(cells(kernel, order))
            assert kernel.is_as_before()
            assert kernel.queued == []


def test_the_reply_fix_stays_until_its_last_user_ends():
    with FakeKernel(with_subshells=True) as kernel:
        undo = [fix_replies(kernel) for _ in range(3)]
        undo[0]()
        undo[2]()
        undo[0]()
        assert kernel.shell_channel_thread._shell_socket is not kernel.shell_socket
        assert kernel.shell_channel_thread.manager._shell_socket is not kernel.shell_socket
        undo[1]()
        assert kernel.is_as_before()


def test_a_wait_in_another_thread_does_not_change_stream_and_button(handler):
    with FakeKernel() as kernel:
        ended = threading.Event()
        thread = threading.Thread(target=waiting.wait, args=(kernel, ended, lambda: {OURS}))
        thread.start()
        assert kernel.is_as_before()
        assert signal.getsignal(signal.SIGINT) is handler
        ended.set()
        thread.join(5)
        assert not thread.is_alive()


def test_a_stream_that_is_closed_during_the_wait_raises_no_error():
    with FakeKernel() as kernel:
        close = iter([kernel.stream.close])
        waiting.wait(
            kernel, threading.Event(), set, meanwhile=lambda: next(close, int)(), timeout=0.1
        )

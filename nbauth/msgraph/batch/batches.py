"""Sends many requests as batches, several at once, and repeats those that were refused."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from nbauth.core.errors import GraphError, TokenError
from nbauth.core.interrupted import SignInInterrupted
from nbauth.core.interrupts import Flag
from nbauth.core.person import say_to
from nbauth.msgraph.arguments import checked_limit
from nbauth.msgraph.batch.checks import checked_width
from nbauth.msgraph.batch.envelopes import Answer, answers, envelope
from nbauth.msgraph.batch.items import BatchInterrupted, BatchItems, BatchRequest
from nbauth.msgraph.batch.members import Group, grouped, prepared
from nbauth.msgraph.batch.outcomes import Outcomes
from nbauth.msgraph.batch.queue import Queue
from nbauth.msgraph.collected import Partial
from nbauth.msgraph.errors import redirected
from nbauth.msgraph.later import Later, Stopped, check_stopped, stopped
from nbauth.msgraph.progress import Progress
from nbauth.msgraph.sender import Sender
from nbauth.msgraph.throttle import ANNOUNCED, MOST_SECONDS, THROTTLED
from nbauth.msgraph.transport import UNKNOWN, Reply

LAST_SECONDS = 5.0
"""Seconds that an error waits for the responses to the other batches."""
QUIET = 0.2
"""Seconds without new batches after a connection was lost: it may be lost for all."""
_LOOK_EVERY = 0.2
"""Seconds after which an awaited call looks whether its task was cancelled."""
Response = tuple[Reply, dict[int, Answer] | None]


class _Flight(NamedTuple):
    """A batch that was sent."""

    groups: list[Group]
    began: float
    later: Later[Response]


class Batches:
    """Requests that are sent as batches.

    Args:
        given: the requests.
        width: how many batches are sent at once.
        options: query options and headers for all.
        limit: the most rows of each collection.
        progress: whether a progress bar appears after a second.

    Raises:
        ConfigurationError: a request cannot be sent. Nothing was sent then.
    """

    def __init__(
        self,
        sender: Sender,
        given: Sequence[BatchRequest],
        width: int,
        options: Mapping[str, Any],
        *,
        limit: int | None = None,
        progress: bool = True,
    ) -> None:
        self._transport = sender.transport
        self._width = checked_width(width)
        self._progress = progress
        self._members = prepared(sender, given, options)
        self._groups = grouped(self._members)
        self._outcomes = Outcomes(self._transport, self._members, checked_limit(limit))
        self._queue = Queue(self._pause)
        self._flights: list[_Flight] = []
        self._bell = Flag()
        self._waited = 0.0
        self._announced = 0.0

    @property
    def partial(self) -> Partial:
        """The results so far, in order; ``None`` in the places of the others."""
        return Partial([member.item for member in self._members], None)

    def read(self) -> BatchItems:
        """Send all; return the results in order.

        Raises ``GraphInterrupted``, ``GraphError`` if Graph cannot be reached or refuses batches,
        and the errors of :func:`nbauth.token`; :attr:`partial` has the results so far then.
        """
        if not self._members:
            return BatchItems()
        try:
            self._get_token()
            self._queue.add(self._groups, time.monotonic())
            self._groups = []
            with Progress(len(self._members), "requests", self._progress) as bar:
                self._run(bar)
        except SignInInterrupted:
            raise
        except KeyboardInterrupt:
            raise BatchInterrupted(self.partial.rows, None) from None
        except GraphError as error:
            error.rows = self.partial.rows
            raise
        return BatchItems(self.partial.rows)

    def _get_token(self) -> None:
        transport = self._transport
        transport.get_token()
        transport.session.get_adapter(
            transport.root.address
        )  # a forked child gets new connections, before threads start

    def _run(self, bar: Progress) -> None:
        outcomes, finished, succeeded = self._outcomes, 0, 0
        try:
            while True:
                self._bell.clear()
                self._land()
                bar.update(outcomes.finished - finished)
                if outcomes.succeeded > succeeded:
                    self._waited = 0.0
                finished, succeeded = outcomes.finished, outcomes.succeeded
                self._launch()
                now = time.monotonic()
                due = self._queue.next_due(now)
                if not self._flights and due is None:
                    if not (again := outcomes.denied.again()):
                        return
                    outcomes.finished -= len(again)
                    self._queue.add(grouped(again), now)
                    continue
                self._wait(due, now)
        except Stopped:
            raise
        except Exception:
            self._land_last()
            raise

    def _launch(self) -> None:
        while len(self._flights) < self._width:
            now = time.monotonic()
            if not (groups := self._queue.take(now)):
                return
            later = Later(lambda groups=groups: self._send(groups), self._bell.set)  # type: ignore[misc]
            self._flights.append(_Flight(groups, now, later))

    def _send(self, groups: list[Group]) -> Response:
        reply = self._transport.once(envelope(groups, self._transport.root))
        return reply, answers(reply, groups) if 200 <= reply.status < 300 else None

    def _land(self) -> None:
        """Take the responses that have arrived."""
        for flight in [flight for flight in self._flights if flight.later.done]:
            self._flights.remove(flight)
            try:
                reply, found = self._response(flight)
            except GraphError as error:
                now = time.monotonic()
                self._queue.quiet_until = now + QUIET
                self._outcomes.of_nothing(flight.groups, error, flight.began, now)
            else:
                self._judge(flight, reply, found)
            self._queue.add(self._outcomes.rest(flight.groups), time.monotonic())

    def _land_last(self) -> None:
        """Take what arrives soon; nothing is sent any more."""
        end = time.monotonic() + LAST_SECONDS
        while self._flights and (left := end - time.monotonic()) > 0:
            self._bell.clear()
            done = [flight for flight in self._flights if flight.later.done]
            for flight in done:
                self._flights.remove(flight)
                with suppress(Exception):
                    reply, found = flight.later.result()
                    if found is not None:
                        now = time.monotonic()
                        self._outcomes.of_answers(flight.groups, found, now, reply.token)
            if not done:
                self._bell.wait(left)

    def _response(self, flight: _Flight) -> Response:
        try:
            return flight.later.result()
        except TokenError:  # that thread could not ask the person; this one may
            return self._send(flight.groups)

    def _judge(self, flight: _Flight, reply: Reply, found: dict[int, Answer] | None) -> None:
        groups, status, now = flight.groups, reply.status, time.monotonic()
        if found is not None:
            self._outcomes.of_answers(groups, found, now, reply.token)
        elif 200 <= status < 300:
            error = GraphError(
                f"The response to a batch is not a list of responses.{UNKNOWN}",
                code="not_json",
                hint="A proxy or gateway may have sent it. Try again.",
                status=status,
            )
            self._outcomes.of_nothing(groups, error, flight.began, now)
        elif status in (400, 413) and len(groups) > 1:
            # One member, or the size, is the cause. Graph has processed none.
            half = len(groups) // 2
            self._queue.add_whole(groups[:half])
            self._queue.add_whole(groups[half:])
            groups.clear()
        elif status in (400, 413) or status in THROTTLED or status >= 500:
            self._outcomes.of_refusal(groups, reply, now)
        elif 300 <= status < 400:
            raise redirected("POST", reply.request.path, status, reply.headers)
        else:
            raise self._transport.refusal(reply)

    def _wait(self, due: float | None, began: float) -> None:
        """Wait until a response has arrived, or something is due."""
        seconds = None if due is None else max(due - began, 0.0)
        idle = not self._flights
        if idle and due is not None and seconds is not None:
            if self._waited + seconds > MOST_SECONDS:
                left = self._queue.rest()
                self._outcomes.give_up(left)
                self._outcomes.rest(left)
                return
            self._announce(due, seconds)
        if stopped.get() is not None:
            seconds = min(_LOOK_EVERY, _LOOK_EVERY if seconds is None else seconds)
        self._bell.wait(seconds)
        check_stopped()
        if idle:
            self._waited += time.monotonic() - began

    def _announce(self, due: float, seconds: float) -> None:
        if seconds < ANNOUNCED or due < self._announced + 1:
            return
        self._announced = due
        say_to(
            self._transport.bound.person,
            f"{self._transport.root.place} asks to wait {seconds:.0f} s. The call goes on then;"
            " interrupt the kernel to stop it.",
        )

    def _pause(self, group: Group) -> float:
        """The seconds for which a service of the group is paused."""
        key, pauses = self._transport.key, self._transport.pauses
        return max(pauses.left(key(member.request)) for member in group.members)

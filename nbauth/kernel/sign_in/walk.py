"""Chooses the flow of a sign-in, and the next one after a refusal or the person's choice."""

from __future__ import annotations

import logging

from nbauth.core.errors import FlowUnavailable, NbAuthError
from nbauth.core.flow_names import AUTO, DEVICE
from nbauth.core.interrupts import Flag
from nbauth.core.log import word
from nbauth.core.person import say_to
from nbauth.core.steps import Asking, ChooseFlow, Failed
from nbauth.core.tokens import TokenResponse
from nbauth.kernel.sign_in.driver import Driver
from nbauth.kernel.sign_in.protocol import Driven, Screen
from nbauth.oauth.engines.protocol import Engine
from nbauth.oauth.flows import flow_named, offered

log = logging.getLogger(__name__)


class Walk:
    """Runs one flow after the other, until one gets tokens or none is left.

    Args:
        engine, screen: the sign-in's.
        sign_in: shows the steps.

    Attributes:
        flow: the name of the flow; ``"auto"`` until one is chosen.
        ways: the flows that the person can choose from, best first; ``()`` until known.
        chosen: the flow that the person has chosen and that has not begun yet.
        driver: runs the current flow.
    """

    def __init__(self, engine: Engine, screen: Screen, sign_in: Driven) -> None:
        self.flow = sign_in.request.first_flow
        self.ways: tuple[str, ...] = ()
        self.chosen: str | None = None
        self._engine = engine
        self._request = sign_in.request
        self._screen = screen
        self._sign_in = sign_in
        self._taken = Flag()
        self._tried: list[str] = []
        self._may_choose = self.flow == AUTO
        self._before: str | None = None
        self.driver = self._new_driver()

    def choose(self, flow: str, patience: float) -> bool:
        """Stop the current flow for another one; return whether it stopped within ``patience`` s.

        Raises ``FlowUnavailable`` for a flow that does not work here.
        """
        flow_named(flow)
        self._taken.clear()
        self.chosen = flow
        self.driver.wake()
        return self._taken.wait(patience)

    def obtain(self) -> TokenResponse:
        """Return tokens. Raises the error of the last flow, or the reason to stop."""
        self.ways = self._first_ways()
        if self._may_choose:
            self.flow = self.ways[0]
        while True:
            self._tried.append(self.flow)
            log.debug("uses the flow %s; available: %s", self.flow, " ".join(self.ways))
            run = flow_named(self.flow).run
            try:
                return self.driver.walk(run(self._engine, self._request.authorization))
            except NbAuthError as error:
                if self._sign_in.ended.is_set():
                    raise
                refused = error
            log.debug("the flow %s failed (%s)", self.flow, word(refused.code))
            flow = self._after(refused)
            self._may_choose = True  # after one choice, further choices are allowed
            self._renew_driver(refused)
            self.flow = flow
            self._sign_in.show(Asking())

    def _after(self, refused: NbAuthError) -> str:
        """The next flow: the one that was chosen, or another after a refusal.

        Raises the refusal if there is none.
        """
        chosen = self._take_choice()
        before, self._before = self._before, self.flow if chosen else None
        if chosen is not None:
            return chosen
        closed = isinstance(refused, FlowUnavailable) and not self._screen.offers(self._sign_in)
        if before is not None and closed:  # another caller that joined may have chosen it
            say_to(self._screen, f"{refused} Continuing with {before}.")
            return before
        if not self._may_choose:
            if flow_named(self.flow).offered or not self._screen.offers(self._sign_in):
                raise refused
            self.ways = (self.flow, *self._screen.ways(self._sign_in))
        return self._another_way(refused)

    def _first_ways(self) -> tuple[str, ...]:
        if self._request.web_ui is not None:
            return (self.flow,)
        if self.flow == AUTO:
            return self._screen.ways(self._sign_in)
        return (self.flow, *(other for other in offered() if other != self.flow))

    def _another_way(self, refused: NbAuthError) -> str:
        """The next flow after a refusal that concerns the flow, not the person.

        Raises the refusal if none is left.
        """
        left = self._left_after(refused)
        if not self._screen.offers(self._sign_in):
            say_to(self._screen, f"{refused} Trying another flow.")
            return left[0]
        self._renew_driver(refused)
        self.ways = (*left, *(way for way in self.ways if way not in left))
        self._sign_in.show(ChooseFlow(refused))
        try:
            self.driver.await_person()
        except NbAuthError:
            if (chosen := self._take_choice()) is None:
                raise
            return chosen

    def _left_after(self, refused: NbAuthError) -> list[str]:
        """The flows that were not tried, best first."""
        suggested = refused.suggested_flow
        left = [way for way in self.ways if way not in self._tried]
        if not left or (suggested is None and not isinstance(refused, FlowUnavailable)):
            raise refused
        # The device code flow goes first if it was suggested, otherwise last.
        left.sort(key=lambda way: (way == DEVICE) != (suggested == DEVICE))
        return left

    def _take_choice(self) -> str | None:
        chosen, self.chosen = self.chosen, None
        self._taken.set()
        return chosen

    def _renew_driver(self, refused: NbAuthError) -> None:
        self.driver.finish(Failed(refused))
        self._sign_in.time.stop()
        self.driver = self._new_driver()

    def _new_driver(self) -> Driver:
        return Driver(self._engine, self._screen, self._sign_in)

"""Which flows a sign-in may go by, and which comes after a refusal."""

from __future__ import annotations

from collections.abc import Sequence

from nbauth.core.errors import FlowUnavailable, NbAuthError
from nbauth.core.flow_names import AUTO, DEVICE
from nbauth.kernel.sign_in.protocol import Pending, Screen
from nbauth.oauth.flows import FLOWS


def first_ways(sign_in: Pending, screen: Screen) -> tuple[str, ...]:
    """The flows that the person can choose from, best first."""
    if sign_in.request.web_ui is not None:
        return (sign_in.flow,)
    if sign_in.flow == AUTO:
        return screen.ways(sign_in)
    return (sign_in.flow, *(other for other in FLOWS if other != sign_in.flow))


def next_way(refused: NbAuthError, ways: Sequence[str], tried: Sequence[str]) -> tuple[str, ...]:
    """The flows that are left after a refusal, the better ones first.

    Raises the refusal if there are none, or if it is not of the flow: another would not mend it.
    """
    suggested = refused.suggested_flow
    left = [way for way in ways if way not in tried]
    if not left or (suggested is None and not isinstance(refused, FlowUnavailable)):
        raise refused
    # A code that nothing has to come back for is best where it is suggested, and last elsewhere.
    left.sort(key=lambda way: (way == DEVICE) != (suggested == DEVICE))
    return tuple(left)

"""The provider's part of the doctor's report: issuer, supported features, clock.

There is no sign-in, and only metadata is requested. The time is limited in every case.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nbauth.core.errors import (
    AuthorityUnreachable,
    ConfigurationError,
    FlowUnavailable,
    NbAuthError,
)
from nbauth.core.flow_names import AUTO, BROWSER, CALLBACK, DEVICE, PASTE
from nbauth.core.interrupts import join
from nbauth.core.settings import Settings
from nbauth.core.text import plain
from nbauth.core.value_readers import SYSTEM
from nbauth.jupyter.places.in_words import entry
from nbauth.kernel.client_credential import check_credential

if TYPE_CHECKING:
    from nbauth.kernel.session import Session
    from nbauth.oauth.client import Client
    from nbauth.oauth.offer import Offer

SECONDS = 10.0
"""The limit for all requests together."""
NEEDS = {
    BROWSER: "authorization_endpoint",
    CALLBACK: "authorization_endpoint",
    PASTE: "authorization_endpoint",
    DEVICE: "device_authorization_endpoint",
}
"""The endpoint with which a flow begins."""
UNKNOWN = "not known: the metadata does not list them"
OF_MSAL = ("openid", "profile", "offline_access")
"""Scopes that MSAL adds to each sign-in."""


@dataclass
class Answers:
    """The responses that arrived in time."""

    offer: Offer | None = None
    seconds: float = 0.0
    faults: list[NbAuthError] = field(default_factory=list)


def ask(session: Session, client: Client) -> Answers:
    """Request the provider's metadata and read the client's credential, within ``SECONDS``."""
    began = time.monotonic()
    engine = session.new_engine(client)
    answers, asked = Answers(), []

    def work() -> None:
        try:
            answers.offer = engine.offer()
            answers.seconds = time.monotonic() - began
        except NbAuthError as error:
            answers.faults.append(error)
        asked.append("provider")
        try:
            check_credential(client.settings)
        except NbAuthError as error:
            answers.faults.append(error)
        asked.append("secret")

    thread = threading.Thread(target=work, name="nbauth-doctor", daemon=True)
    try:
        thread.start()
        join(thread, max(0.0, began + SECONDS - time.monotonic()))
    finally:
        if thread.is_alive():
            engine.abort()
        engine.close()
    if "secret" not in asked:
        who = "The keyring" if "provider" in asked else client.authority.url
        late = AuthorityUnreachable(
            f"{who} did not respond within {SECONDS:.0f} seconds.", code="timeout"
        )
        return Answers(answers.offer, answers.seconds, [late])
    return answers


def in_lines(answers: Answers, client: Client) -> Iterator[str]:
    """The responses as text."""
    settings, offer = client.settings, answers.offer
    yield from entry("CA", trusted(settings))
    if offer is None:
        return
    where = plain(offer.read_at) or "none; the endpoints are in the profile"
    yield from entry(
        "provider", f"{plain(offer.issuer)}, in {answers.seconds:.1f} s", f"metadata: {where}"
    )
    listed = UNKNOWN if offer.scopes is None else plain(" ".join(offer.scopes)) or "none"
    yield from entry("scopes offered", listed)
    yield from entry("scopes sent", *_sent(client, offer))
    grants = UNKNOWN if offer.grants is None else plain(" ".join(offer.grants)) or "none"
    yield from entry("grants offered", grants)
    yield from entry("flows offered", ", ".join(_offered(offer)) or "none")
    yield from entry(
        "revocation", "supported (%logout --revoke)" if "revocation_endpoint" in offer.endpoints
        else "not supported: %logout --revoke has no effect at this provider"
    )  # fmt: skip
    if offer.ahead is not None:
        yield from entry("clock", _clock(offer.ahead))


def faults_of(answers: Answers, client: Client, ways: Iterable[str]) -> Iterator[NbAuthError]:
    """The faults that prevent a sign-in, each with its remedy."""
    from nbauth.oauth.id_token import SKEW

    yield from answers.faults
    offer = answers.offer
    if offer is None:
        return
    for fault in offer.faults:
        yield ConfigurationError(
            fault,
            code="not_https",
            hint="The provider's administrator has to publish https addresses.",
        )
    offered, settings = _offered(offer), client.settings
    if settings.flow != AUTO and settings.flow in NEEDS and settings.flow not in offered:
        yield FlowUnavailable(
            f"The provider does not support the flow {settings.flow!r}, which is set"
            f" ({settings.source('flow')}).",
            hint=f"Choose another flow (supported: {', '.join(offered) or 'none'}). If the provider"
            f" has this endpoint but its metadata does not list it, set {NEEDS[settings.flow]}.",
        )
    elif settings.flow == AUTO and not set(ways or offered) & set(offered):
        yield FlowUnavailable(
            f"The provider supports none of the flows that work here{_listed(ways)}.",
            hint="If the provider has an endpoint that its metadata does not list, set"
            " authorization_endpoint, token_endpoint or device_authorization_endpoint.",
        )
    if offer.ahead is not None and abs(offer.ahead) > SKEW:
        yield ConfigurationError(
            f"This machine's clock is {_clock(offer.ahead)}.",
            code="clock",
            hint="Correct the clock (timedatectl set-ntp true). With a wrong clock, valid tokens"
            " seem to be expired or not yet valid.",
        )


def trusted(settings: Settings) -> str:
    """The trusted certificates, and the source of that setting."""
    from nbauth.oauth.trust import Trust

    if settings.verify == SYSTEM:
        return f"those that the operating system trusts (verify, {settings.source('verify')})"
    trust = Trust.of(settings.verify)
    if isinstance(trust.verify, str):
        own = settings.verify is not None
        source = f"verify, {settings.source('verify')}" if own else trust.source
        return f"{plain(trust.verify)} ({source})"
    from certifi import where

    return f"the public CAs of certifi ({where()})"


def _listed(ways: Iterable[str]) -> str:
    return f" ({', '.join(ways)})" if ways else ""


def _offered(offer: Offer) -> list[str]:
    if "token_endpoint" not in offer.endpoints:
        return []
    return [flow for flow, endpoint in NEEDS.items() if endpoint in offer.endpoints]


def _sent(client: Client, offer: Offer) -> list[str]:
    """The scopes of a sign-in that names none, and those that the provider does not list."""
    asked = client.scopes(())
    if client.authority.microsoft:
        return [plain(" ".join(dict.fromkeys([*asked, *OF_MSAL])))]
    added = () if client.settings.exact_scopes else offer.added
    sent = dict.fromkeys([*asked, *added])
    lines = [plain(" ".join(sent)) or "none"]
    if offer.scopes is not None:
        unlisted = [scope for scope in sent if scope not in offer.scopes]
        if unlisted:
            lines.append(plain(f"not among the scopes offered: {' '.join(unlisted)}"))
    return lines


def _clock(ahead: float) -> str:
    seconds = round(abs(ahead))
    if seconds < 2:
        return "the same time as the provider's"
    apart = f"{seconds} s" if seconds < 120 else f"{seconds // 60} min"
    return f"{apart} {'ahead of' if ahead > 0 else 'behind'} the provider's"

"""Gets the tokens of one reference from the notebook's kernel."""

from __future__ import annotations

import logging
from collections.abc import Callable

from nbauth.core.account import AccountKey, Asked
from nbauth.core.errors import TokenError
from nbauth.core.scopes import Scopes
from nbauth.core.tokens import TokenResponse
from nbauth.kernel.accounts.cache import TokenCache
from nbauth.kernel.accounts.flights import Flights
from nbauth.kernel.accounts.grants import Ask, KernelGrant
from nbauth.kernel.accounts.signed_in import SignedIn
from nbauth.kernel.asking.channel import Channel
from nbauth.kernel.asking.messages import Lent, Question, read_answer
from nbauth.kernel.asking.reference import Reference
from nbauth.oauth.challenge import Requirement
from nbauth.oauth.client import Client

log = logging.getLogger(__name__)


class Asking:
    """Signs the account of a reference in to a session of a worker.

    The session has this account only. Its grant asks the kernel for each token.

    Args:
        channel: returns the one to the notebook's kernel.
        reference: names the client and account there.
        cache: of the worker's session.

    Attributes:
        keeps: what has to exist as long as this.
    """

    def __init__(
        self, channel: Callable[[], Channel], reference: Reference, cache: TokenCache
    ) -> None:
        self._channel = channel
        self._reference = reference
        self._cache = cache
        self._flights = Flights()
        self.keeps: object = None
        self._dropped = 0

    def sign_in(self, client: Client, scopes: Scopes, asked: Asked | None) -> AccountKey:
        """Get the first token; return its account. Raises the error of the kernel.

        ``asked``: the account, if it is a key; otherwise the kernel knows it.
        """
        account = asked if isinstance(asked, AccountKey) else None

        def fetch() -> AccountKey:
            while True:
                if (known := self._cache.current.get(client.key)) is not None:
                    return known  # another thread was faster
                dropped = self._dropped
                lent = self._ask(scopes, None, None, account)
                key = lent.account.key
                if key.client != client.key or account not in (None, key):
                    raise other_account()
                record = SignedIn(lent.account, client, lent.unique_id, None, {})
                grant = KernelGrant(self._renewing(key), client.granted(lent.response.scopes))
                self._cache.sign_in(record, lent.response, scopes, grant=grant)
                if dropped == self._dropped:
                    self._cache.renewed.emit()
                    return key
                self.forget()  # the answer is from before

        return self._flights.run(client.key, fetch)

    def _renewing(self, key: AccountKey) -> Ask:
        def ask(scopes: Scopes, required: Requirement | None, refused: str | None) -> TokenResponse:
            lent = self._ask(scopes, required, refused, key)
            if lent.account.key != key:
                raise other_account()
            return lent.response

        return ask

    def forget(self) -> None:
        """Drop the account and its tokens; the next use asks the kernel again."""
        self._dropped += 1
        for key in list(self._cache.signed_in):
            self._cache.remove(key)

    def forked(self) -> None:
        """In a forked child: nothing is in progress."""
        self._flights = Flights()

    def _ask(
        self,
        scopes: Scopes,
        required: Requirement | None,
        refused: str | None,
        account: AccountKey | None,
    ) -> Lent:
        log.debug("%s: asking the notebook's kernel", scopes)
        question = Question.of(self._reference.name, scopes, refused, required, account)
        lent = read_answer(self._channel().ask(self._reference.session, question.plain()))
        log.debug("%s: answered by the notebook's kernel", scopes)
        return lent


def other_account() -> TokenError:
    """The error for an answer about another account than the one that was asked for."""
    return TokenError(
        "The notebook's kernel answered with a token of another account.", code="other_account"
    )

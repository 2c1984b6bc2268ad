"""Answers the questions of worker processes with access tokens. It never asks the person."""

from __future__ import annotations

import hmac
import logging
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from nbauth.core.account import AccountKey
from nbauth.core.errors import (
    AuthorityUnreachable,
    InteractionRequired,
    NbAuthError,
    NotSignedIn,
    TokenError,
)
from nbauth.core.log import trail
from nbauth.core.scopes import Scopes
from nbauth.core.tokens import AuthenticationResult
from nbauth.kernel.accounts.cached_token import CachedToken
from nbauth.kernel.answering.references import References
from nbauth.kernel.asking.messages import Question, answer_with, answer_with_error, digest
from nbauth.kernel.bound import Bound
from nbauth.kernel.tokens import Tokens
from nbauth.oauth.client import Client

if TYPE_CHECKING:
    from collections.abc import Mapping

log = logging.getLogger(__name__)
IN_VAIN = 60.0
"""Seconds for which a question is answered with the same error, unless the account changes."""
UNREACHABLE = 1.0
"""The same, if the provider cannot be reached."""
MOST = 256
"""Errors that are remembered; the oldest are dropped first."""


class Answering:
    """Answers questions of workers.

    Args:
        references: the clients and accounts that workers may ask for.
        tokens: of this session.
    """

    def __init__(self, references: References, tokens: Tokens) -> None:
        self._references = references
        self._tokens = tokens
        self._failed: dict[Question, tuple[float, int, Mapping[str, Any]]] = {}

    def answer(self, question: object) -> Mapping[str, Any]:
        """Return the answer to a question, see ``asking.messages``. It raises nothing."""
        asked: Question | None = None
        try:
            asked = Question.read(question)
            return self._in_vain(asked) or self._answer(asked)
        except NbAuthError as error:
            log.debug("a worker's question was answered with the error %s", error.code)
            answer = answer_with_error(error)
            if asked is not None and isinstance(error, InteractionRequired | AuthorityUnreachable):
                needs_person = isinstance(error, InteractionRequired)
                self._remember(asked, answer, IN_VAIN if needs_person else UNREACHABLE)
            return answer
        except Exception as error:
            log.debug("a worker's question failed: %s", trail(error))
            failed = TokenError(f"The notebook's kernel failed ({type(error).__name__}).")
            return answer_with_error(failed)

    def _answer(self, question: Question) -> Mapping[str, Any]:
        bound = self._references.find(question.reference)
        if bound is None and question.account is not None:
            bound = self._inherited(question, question.account)
        if bound is None:
            raise NotSignedIn(
                "The notebook's session does not know this object.",
                hint="Make it again in the notebook, and start the work from there.",
            )
        scopes = _scopes(bound.client, question)
        if scopes.key != question.key:
            raise TokenError(
                "The worker and the notebook read the scopes differently.", code="other_scopes"
            )
        before = self._cached(bound, scopes)
        used = before is not None and before.used
        result = self._got(bound, scopes, question, before)
        now = self._cached(bound, scopes)
        if now is not None:  # only the notebook's own uses count: a worker asks again in time
            now.used = used and now is before
        log.debug("%s: for a worker", scopes)
        return answer_with(result, self._lifetime(now, result))

    def _in_vain(self, question: Question) -> Mapping[str, Any] | None:
        """The answer to the same question a moment ago, if it was that a person is needed or that
        the provider cannot be reached.

        Thousands of tasks may ask it, and each could contact the provider.
        """
        until, changes, answer = self._failed.get(question, (0.0, 0, None))
        bound = self._references.find(question.reference)
        same = bound is not None and bound.changes == changes and time.monotonic() < until
        return answer if same else None

    def _remember(self, question: Question, answer: Mapping[str, Any], seconds: float) -> None:
        bound = self._references.find(question.reference)
        if bound is None or bound.key is None:  # not known when somebody signs in
            return
        self._failed[question] = time.monotonic() + seconds, bound.changes, answer
        for oldest in list(self._failed)[:-MOST]:
            self._failed.pop(oldest, None)

    def _got(
        self, bound: Bound, scopes: Scopes, question: Question, present: CachedToken | None
    ) -> AuthenticationResult:
        refused = question.refused or None
        if present is not None and digest(present.response.access_token) == refused:
            refused = present.response.access_token
        return bound.get(scopes, refused, question.required, for_worker=True)

    def _cached(self, bound: Bound, scopes: Scopes) -> CachedToken | None:
        """The token for these scopes, or a wider one, as the session would take it."""
        cache, key = self._tokens.cache, bound.key
        return None if key is None else cache.token_for(key, scopes)

    def _lifetime(self, token: CachedToken | None, result: AuthenticationResult) -> float:
        """The lifetime of a token from its issue, seconds."""
        if result.account.key not in self._tokens.cache.signed_in:
            raise NotSignedIn("That account has been signed out.")
        if token is not None and token.response.access_token == result.access_token:
            return float(token.response.expires_in)
        return float(result.expires_on - time.time())  # another one has replaced it meanwhile

    def _inherited(self, question: Question, account: AccountKey) -> Bound | None:
        """An account that a forked child has inherited, with the client that has these scopes."""
        proof = question.reference.rpartition("-")[2]
        if not hmac.compare_digest(proof.encode(), self._references.inherited(account).encode()):
            return None  # nobody has sent this account to who asks
        cache = self._tokens.cache
        record = cache.signed_in.get(account)
        if record is None:
            raise cache.not_here(account)
        tokens, named = cache.tokens_of(account), self._references.clients(account.client)
        for client in (record.client, *(known.client for known in tokens), *named):
            if _scopes(client, question).key == question.key:
                return Bound(self._tokens, client, account, interactive=False)
        raise TokenError(
            "The notebook has not used these scopes with these parameters, so its kernel cannot get"
            " their token for a forked process.",
            code="forked_process",
            hint="Pass the object to the process as an argument, or use it in the notebook before"
            " the process starts.",
        )


def _scopes(client: Client, question: Question) -> Scopes:
    scopes = client.just(question.scopes)
    return scopes.declaring() if question.declares else replace(scopes)

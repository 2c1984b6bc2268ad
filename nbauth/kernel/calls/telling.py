"""Tells the person, or the caller, why a token was not enough."""

from __future__ import annotations

from nbauth.core.magic_word import login_line
from nbauth.core.person import say_to
from nbauth.core.scopes import Scopes
from nbauth.core.tokens import AuthenticationResult
from nbauth.kernel.calls.missing import Lack, Short
from nbauth.kernel.calls.missing_lines import line_for, reason_for
from nbauth.kernel.calls.widened import Widened


class Telling(Widened):
    """Says what a refused token has and what it lacks."""

    def _token_of(self, short: Short) -> AuthenticationResult | None:
        """The token that was refused, with its details, if it is still in memory."""
        present = self.bound.present(short.scopes)
        return present if present is not None and present.access_token == short.text else None

    def _tell_login(self, short: Short, lacking: Lack) -> None:
        client, words = self.bound.client, lacking.missing
        if client.authority.microsoft:
            graph = f"{client.authority.graph}/"
            words = tuple(word.removeprefix(graph) for word in words)
        else:  # a sign-in there gives a token for its own scopes only
            words = lacking.wider.resource_scopes
        line = login_line(client.settings.profile, self.bound.named, words)
        token = self._token_of(short)
        missing = client.just(lacking.missing)
        self._tell(short, token, missing, f"Run {line}, then this cell again.")

    def _tell(
        self, short: Short, token: AuthenticationResult | None, missing: Scopes | None, do: str
    ) -> None:
        """Show one line, once in a minute for the same host, account and scopes.

        A caller that reports the refusal itself gets the reason instead.
        """
        reason = reason_for(short, short.scopes if token is None else token.scopes, missing, do)
        if short.reasons is not None:
            short.reasons.append(reason)
            return
        named = None if missing is None else missing.key
        if self._refusals.offers.is_news((short.place[:2], named)):
            say_to(self.bound.person, line_for(short, reason))

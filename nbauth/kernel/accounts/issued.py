"""The texts of the secrets that this process has got. They are masked in what leaves the kernel."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from nbauth.core.tokens import TokenResponse
from nbauth.kernel.accounts.grants import Grant
from nbauth.kernel.accounts.id_token_life import expires_on
from nbauth.oauth.credentials import Certificate, ClientCredential

if TYPE_CHECKING:
    from collections.abc import Callable

    from nbauth.core.secret import SecretStr
    from nbauth.core.settings import Settings
    from nbauth.kernel.accounts.cached_token import CachedToken
    from nbauth.kernel.accounts.signed_in import SignedIn

SHORTEST = 16
"""Shorter texts are not remembered: they may also occur in other output by chance."""
MOST = 200
EXPIRED_FOR = 24 * 3600.0
"""Seconds for which a token is remembered after it has expired."""


class Issued:
    """Remembers tokens and client secrets, also those that were replaced or signed out since.

    Passwords of users are not remembered: nbauth holds no reference to one after the request.

    Attributes:
        texts: when each text expires, epoch seconds. The mapping is replaced when a text is added,
            and never changed, so a reader can compare it by identity.
    """

    def __init__(self) -> None:
        self.texts: Mapping[str, float] = {}
        self._lock = threading.Lock()

    def add(self, *secrets: str | None, ends: float = math.inf) -> None:
        """Remember secrets. Called before a caller can see them."""
        new = {str(text): ends for text in secrets if text and len(text) >= SHORTEST}
        if all(self.texts.get(text, -math.inf) >= ends for text in new):
            return
        with self._lock:
            self.texts = _bounded(_joined(self.texts, new))

    def add_response(self, response: TokenResponse) -> None:
        """Remember the tokens of a response."""
        ends = response.received_at + response.expires_in
        self.add(response.access_token, ends=ends)
        self.add(response.id_token, ends=expires_on(response.id_token_claims) or ends)
        self.add(response.refresh_token)

    def add_account(self, signed_in: SignedIn, tokens: Iterable[CachedToken] = ()) -> None:
        """Remember the tokens of an account that was read from a store or from a file."""
        for token in tokens:
            self.add_response(token.response)
        self.add(signed_in.id_token)
        self.add(*map(_text_of, (*signed_in.grants, *signed_in.superseded)))

    def noting(
        self, credential_of: Callable[[Settings], ClientCredential | None]
    ) -> Callable[[Settings], ClientCredential | None]:
        """The same function, for credentials that are remembered each time they are read."""

        def noted(settings: Settings) -> ClientCredential | None:
            found = credential_of(settings)
            if found is None:
                return None
            if isinstance(found, Certificate):
                password = found.password
                return found if password is None else replace(found, password=self._noted(password))
            return replace(found, read=self._noted(found.read))

        return noted

    def forked(self) -> None:
        """In a forked child: the lock may be held by a thread of the parent."""
        self._lock = threading.Lock()

    def _noted(self, read: Callable[[], SecretStr]) -> Callable[[], SecretStr]:
        def noting() -> SecretStr:
            secret = read()
            self.add(secret)
            return secret

        return noting


def _text_of(grant: Grant) -> str | None:
    text = (grant.record() or {}).get("refresh_token")
    return text if isinstance(text, str) else None


def _joined(known: Mapping[str, float], new: Mapping[str, float]) -> dict[str, float]:
    """Both. A provider may issue a text again, which is then valid for longer."""
    later = {text: max(ends, known.get(text, ends)) for text, ends in new.items()}
    return {**known, **later}


def _bounded(texts: dict[str, float]) -> dict[str, float]:
    """Without those that expired long ago. Of too many, the expired go first, then the oldest."""
    now = time.time()
    kept = {text: ends for text, ends in texts.items() if ends > now - EXPIRED_FOR}
    expired = sorted((text for text in kept if kept[text] <= now), key=kept.__getitem__)
    valid = [text for text in kept if kept[text] > now]
    too_many = {*[*expired, *valid][: max(0, len(kept) - MOST)]}
    return {text: ends for text, ends in kept.items() if text not in too_many}

"""The one token cache: a dictionary from (authority, client, account, scopes) to a token.

The authority's whole address is part of every key, port and path included, so two issuers on one
host never meet. A look-up costs the same with one account and with ten thousand.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from typing import NamedTuple

from nbauth.core.account import (
    Account,
    AccountKey,
    Asked,
    ClientKey,
    check_client,
    name_of,
)
from nbauth.core.errors import NotSignedIn
from nbauth.core.scopes import Scopes, is_covered
from nbauth.core.signal import Signal
from nbauth.core.tokens import AuthenticationResult, TokenResponse
from nbauth.kernel.accounts.cached_token import CachedToken
from nbauth.kernel.accounts.grants import Grant, ParentGrant, RefreshTokenGrant
from nbauth.kernel.accounts.names import Names
from nbauth.kernel.accounts.signed_in import SignedIn
from nbauth.kernel.accounts.wider import best
from nbauth.oauth.client import Client

log = logging.getLogger(__name__)


class TokenKey(NamedTuple):
    """Whose token, and for which scopes (``Scopes.key``)."""

    account: AccountKey
    scopes: frozenset[str]


class TokenCache:
    """Accounts and their tokens, in this kernel's memory.

    Its lock is the innermost: nothing is called back, asked or read while it is held. Under it, as
    under every lock here, stands no loop: on Python 3.13.0 an interrupt in one leaves it locked.

    Attributes:
        changed: emitted by who changes who is signed in, when the change is complete.
        renewed: emitted by who takes in tokens.
    """

    def __init__(self) -> None:
        self.tokens: dict[TokenKey, CachedToken] = {}
        self.signed_in: dict[AccountKey, SignedIn] = {}
        self.current: dict[ClientKey, AccountKey] = {}
        self.changed = Signal()
        self.renewed = Signal()
        self._lock = threading.Lock()
        self._sign_outs = 0
        self._signed_out: dict[AccountKey | ClientKey | None, int] = {}
        self._names = Names(self.signed_in)
        self._changes: dict[AccountKey, int] = {}

    # ── what comes in ───────────────────────────────────────────────────────────────────────

    def ticket(self) -> int:
        """What a sign-in takes when it begins: a later sign-out of its account refuses it."""
        return self._sign_outs

    def sign_in(
        self,
        signed_in: SignedIn,
        response: TokenResponse,
        asked: Scopes,
        *,
        ticket: int | None = None,
        make_current: bool = True,
        beside: bool = False,
    ) -> bool:
        """Take in what a finished sign-in brought; earlier tokens of the account stay.

        ``beside``: another account was asked for. Gives ``False``, and takes nothing in, if the
        account has been signed out since ``ticket``.
        """
        key, client = signed_in.key, signed_in.client
        granted = client.granted(response.scopes)
        grant = RefreshTokenGrant(
            response.refresh_token, granted, response.grant_ends_on, asked=asked.key
        )
        token = CachedToken(response, grant, asked, client)
        names = signed_in.names
        with self._lock:
            if ticket is not None and self._last_sign_out(key) > ticket:
                return False
            known = self.signed_in.get(key)
            if known is not None:
                signed_in.go_on_from(known, grant)
            signed_in.grants.append(grant)
            self._names.add(key, names)
            self._changed(key)
            self.signed_in[key] = signed_in
            if make_current:
                self.current[client.key] = key
            signed_in.beside = beside and (known is None or known.beside)
            self.tokens[TokenKey(key, asked.key)] = token
        return True

    def sign_out_arrivals(self, client: ClientKey | None = None) -> None:
        """Refuse whoever is on the way in, to a client or to any."""
        with self._lock:
            self._sign_outs += 1
            self._signed_out[client] = self._sign_outs

    def _last_sign_out(self, key: AccountKey) -> int:
        return max(self._signed_out.get(who, 0) for who in (key, key.client, None))

    def changes(self, key: AccountKey) -> int:
        """How often an account has changed here; see :meth:`restore`."""
        return self._changes.get(key, 0)

    def touch(self, key: AccountKey) -> None:
        """An account has changed where it is kept: what was read of it before is old."""
        with self._lock:
            self._changed(key)

    def _changed(self, key: AccountKey) -> None:
        self._changes[key] = self.changes(key) + 1

    def restore(
        self,
        kept: SignedIn,
        tokens: Mapping[frozenset[str], CachedToken],
        *,
        changes: int | None = None,
    ) -> None:
        """Take in what another kernel, or yesterday's, has kept of an account.

        A token that is here already stays the same object, so that who holds it sees no change.
        What is not kept yet is newer: then it is a :meth:`merge`.
        Nothing is taken in if the account has changed since ``changes``.
        """
        key, names = kept.key, kept.names
        with self._lock:
            if changes is not None and changes != self.changes(key):
                return
            self._changed(key)
            here = self.signed_in.get(key)
            if here is not None and here.unsaved:
                here.merge(kept)
                self._add_tokens(key, tokens)
                return
            kept.beside = kept.beside and (here is None or here.beside)
            self._replace_tokens(key, tokens)
            self._names.add(key, names)
            self.signed_in[key] = kept
            if not kept.beside:
                self.current.setdefault(key.client, key)

    def merge(self, kept: SignedIn, tokens: Mapping[frozenset[str], CachedToken]) -> None:
        """Take what other kernels have kept of an account into the one that signed in here, if any.

        What is kept has the newest of each grant, but of those that were made here since.
        """
        key = kept.key
        with self._lock:
            here = self.signed_in.get(key)
            if here is not None:
                self._changed(key)
                here.merge(kept)
                self._add_tokens(key, tokens)

    def drop_kept(self, record: SignedIn) -> None:
        """Of a sign-in anew: let go of what it went on from, which was signed out elsewhere."""
        with self._lock:
            if self.signed_in.get(record.key) is record:
                self._changed(record.key)
                record.drop_kept()
                self._replace_tokens(record.key, self._tokens_by(record))

    def _tokens_by(self, record: SignedIn) -> dict[frozenset[str], CachedToken]:
        mine = [token for token in self.tokens_of(record.key) if token.grant in record.grants]
        return {token.asked.key: token for token in mine}

    def add_older(self, imported: SignedIn) -> None:
        """Take in the grants of a sign-in that was made elsewhere, below all that is here.

        An account that was here already stays what it is.
        """
        key, names = imported.key, imported.names
        with self._lock:
            self._changed(key)
            known = self.signed_in.setdefault(key, imported)
            if known is imported:
                self._names.add(key, names)
                self.current.setdefault(key.client, key)
            else:
                known.put_below(imported.grants)

    def _add_tokens(self, key: AccountKey, tokens: Mapping[frozenset[str], CachedToken]) -> None:
        for asked, token in tokens.items():
            here = self.tokens.get(TokenKey(key, asked))
            if here is None or here.grant.kept:  # one of a grant that is not is newer
                self._put(TokenKey(key, asked), token, here)

    def _replace_tokens(
        self, key: AccountKey, tokens: Mapping[frozenset[str], CachedToken]
    ) -> None:
        here = {known.scopes: t for known, t in self.tokens.items() if known.account == key}
        for asked in here.keys() - tokens.keys():
            del self.tokens[TokenKey(key, asked)]
        for asked, token in tokens.items():
            self._put(TokenKey(key, asked), token, here.get(asked))

    def _put(self, key: TokenKey, kept: CachedToken, here: CachedToken | None) -> None:
        if here is not None and here.response.access_token == kept.response.access_token:
            here.grant = kept.grant
            return
        if here is not None:
            kept.client = here.client  # the way to the provider is this kernel's own
        self.tokens[key] = kept

    def lend(self, key: AccountKey, wanted: Scopes) -> CachedToken | None:
        """The token that a request is about: its own, or a wider one that serves it.

        A wider one is stored under this request's key too, so that the next look-up finds it.
        """
        record, name = self.signed_in.get(key), TokenKey(key, wanted.key)
        own = self.tokens.get(name)
        if record is None or (own is not None and own.fresh):
            return own
        found = best(own, self.tokens_of(key), record.grants, wanted)
        if found is not None and found is not own:
            with self._lock:
                if found in self.tokens.values() and self.tokens.get(name) is own:
                    self.tokens[name] = found
        return found

    def refreshed(
        self, key: AccountKey, response: TokenResponse, asked: Scopes, grant: Grant, client: Client
    ) -> CachedToken | None:
        """Take in a refresh, unless the account has been signed out meanwhile (then ``None``).

        A sign-in anew is another grant: what the old one still brings is the caller's, but does not
        take the place of what the new one has brought. The grant itself takes its new refresh token
        in all the same: who revokes it revokes that one.
        """
        token = CachedToken(response, grant, asked, client)
        with self._lock:
            grant.renewed(response)
            if not client.authority.microsoft:  # there an answer tells of one resource
                grant.scopes = client.granted(response.scopes)
            signed_in = self.signed_in.get(key)
            if signed_in is None or grant not in (*signed_in.grants, *signed_in.superseded):
                return None
            self._changed(key)
            if grant in signed_in.grants:
                self._succeed(TokenKey(key, asked.key), token)
        return token

    def _succeed(self, key: TokenKey, token: CachedToken) -> None:
        """Replace a token under its key, and under all other keys that had the same one and that it
        serves."""
        before = self.tokens.get(key)
        self.tokens[key] = token
        granted = token.client.granted(token.response.scopes)
        for name, other in [item for item in self.tokens.items() if item[1] is before]:
            if is_covered(name.scopes, granted):
                self.tokens[name] = token
            elif name.scopes != other.asked.key:
                del self.tokens[name]  # looked for anew by who asks

    def use(self, key: AccountKey) -> Account:
        """Make an account its client's current one. Raises ``NotSignedIn``."""
        with self._lock:
            record = self.signed_in.get(key)
            if record is not None:
                record.beside = False
                self.current[key.client] = key
        if record is None:
            raise NotSignedIn("That account has signed out.")
        return record.account

    def remove(self, key: AccountKey, *, elsewhere: SignedIn | None = None) -> SignedIn | None:
        """Forget an account and all its tokens; gives what was known of it.

        ``elsewhere``: what another kernel has signed out, some time ago. Who has signed in anew
        since stays, and a sign-in that is under way here is not refused for that.
        Of its client's others the newest becomes current that signed in as it was asked for.
        """
        with self._lock:
            if elsewhere is not None and self.signed_in.get(key) is not elsewhere:
                return None
            if elsewhere is None:
                self._sign_outs += 1
                self._signed_out[key] = self._sign_outs
            self._changed(key)
            signed_in = self.signed_in.pop(key, None)
            self._names.remove(key)
            self._replace_tokens(key, {})
            if self.current.get(key.client) == key:
                self._next_current(key.client)
            return signed_in

    def _next_current(self, client: ClientKey) -> None:
        here = self.signed_in.items()
        others = [key for key, one in here if key.client == client and not one.beside]
        if others:
            self.current[client] = others[-1]
        else:
            del self.current[client]

    def forked(self) -> None:
        """In a forked child: tokens stay, nobody watches, and what renews them is the parent's.

        What is kept is read anew before it is renewed.
        """
        self._lock = threading.Lock()
        self.changed, self.renewed = Signal(), Signal()
        parents: dict[Grant, Grant] = {}
        for record in self.signed_in.values():
            parents |= {
                old: ParentGrant(old.scopes, kept=old.kept, asked=old.asked)
                for old in record.grants
            }
            record.grants = [parents[grant] for grant in record.grants]
            record.superseded = []
        for token in self.tokens.values():
            token.grant = parents.get(token.grant, token.grant)

    # ── what is here ────────────────────────────────────────────────────────────────────────

    def accounts(self) -> list[Account]:
        """Everybody signed in, the current account of each client first."""
        current = set(self.current.values())
        records = list(self.signed_in.items())
        records.sort(key=lambda item: item[0] not in current)
        return [record.account for _, record in records]

    def serve(self, key: AccountKey | None, scopes: frozenset[str]) -> AuthenticationResult | None:
        """A fresh token of an account; costs two dictionary look-ups."""
        token = self.tokens.get((key, scopes))  # type: ignore[call-overload]
        record = self.signed_in.get(key)  # type: ignore[arg-type]
        here = None if token is None or record is None else token.serve(record)
        if here is not None:
            log.debug("%s: from the cache", token.asked)
        return here

    def account(self, key: AccountKey) -> Account | None:
        """Whose key it is, while signed in."""
        record = self.signed_in.get(key)
        return record.account if record else None

    def find(self, client: ClientKey, asked: Asked | None = None) -> AccountKey | None:
        """A client's account, the one asked for or the current one; ``None`` if not signed in.

        Raises ``ConfigurationError`` for a name that several of its accounts share, and for an
        account of another client.
        """
        check_client(asked, client)
        return self.current.get(client) if asked is None else self._names.only(asked, client)

    def named(self, asked: Asked) -> AccountKey:
        """An account of whatever client.

        Raises ``NotSignedIn``; ``ConfigurationError`` for a name that several accounts share.
        """
        key = self._names.only(asked)
        if key is None:
            raise self.unknown(asked)
        return key

    def unknown(self, asked: Asked) -> NotSignedIn:
        """The error for an account that is not signed in, saying who is."""
        known = ", ".join(item.username for item in self.accounts()) or "nobody"
        return NotSignedIn(
            f"{name_of(asked)} is not signed in here; signed in: {known}.",
            hint=f"Sign in: %login --account {name_of(asked)}.",
        )

    def tokens_of(self, key: AccountKey) -> list[CachedToken]:
        """An account's tokens, oldest first."""
        mine = (token for known, token in list(self.tokens.items()) if known.account == key)
        return list(dict.fromkeys(mine))  # a token may be stored under several keys

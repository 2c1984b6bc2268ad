"""The token cache: a dictionary from (authority, client, account, scopes) to a token.

The full URL of the authority is part of every key, port and path included, so two issuers on one
host are kept apart. A look-up takes the same time with one account and with ten thousand.
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
from nbauth.core.magic_word import as_word
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

    Its lock is the innermost: while it is held, no callback, prompt or file access happens. No loop
    stands directly under any lock: on Python 3.13.0 an interrupt in one leaves the lock held.

    Attributes:
        changed: emitted by the code that changes who is signed in, when the change is complete.
        renewed: emitted by the code that adds tokens.
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

    # ── adding accounts and tokens ──────────────────────────────────────────────────────────

    def ticket(self) -> int:
        """A number taken when a sign-in begins; a later sign-out of its account then refuses it."""
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
        """Add the result of a finished sign-in; earlier tokens of the account stay.

        ``beside``: another account was requested. Returns ``False`` and adds nothing if the account
        has been signed out since ``ticket``.
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
                signed_in.take_over_from(known, grant)
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
        """Refuse sign-ins that are not finished yet, of one client or of all."""
        with self._lock:
            self._sign_outs += 1
            self._signed_out[client] = self._sign_outs

    def _last_sign_out(self, key: AccountKey) -> int:
        return max(self._signed_out.get(who, 0) for who in (key, key.client, None))

    def changes(self, key: AccountKey) -> int:
        """How often an account has changed here; see :meth:`restore`."""
        return self._changes.get(key, 0)

    def touch(self, key: AccountKey) -> None:
        """Note that an account has changed in its store: data read before is outdated."""
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
        """Add an account as another kernel, or an earlier one, has stored it.

        A token that is here already stays the same object, so its users see no change. If this
        kernel has grants that are not stored yet, they are newer; the two are merged. Nothing is
        added if the account has changed since ``changes``.
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
        """Merge an account as stored by other kernels into the one signed in here, if any.

        The stored grants are the newest, except for those that were added here since.
        """
        key = kept.key
        with self._lock:
            here = self.signed_in.get(key)
            if here is not None:
                self._changed(key)
                here.merge(kept)
                self._add_tokens(key, tokens)

    def drop_kept(self, record: SignedIn) -> None:
        """Drop the stored grants that a new sign-in took over: another kernel signed them out."""
        with self._lock:
            if self.signed_in.get(record.key) is record:
                self._changed(record.key)
                record.drop_kept()
                self._replace_tokens(record.key, self._tokens_by(record))

    def _tokens_by(self, record: SignedIn) -> dict[frozenset[str], CachedToken]:
        mine = [token for token in self.tokens_of(record.key) if token.grant in record.grants]
        return {token.asked.key: token for token in mine}

    def add_older(self, imported: SignedIn) -> None:
        """Add imported grants, as older than all that are here.

        If the account is here already, everything else of it stays.
        """
        key, names = imported.key, imported.names
        with self._lock:
            self._changed(key)
            known = self.signed_in.setdefault(key, imported)
            if known is imported:
                self._names.add(key, names)
                self.current.setdefault(key.client, key)
            else:
                known.add_older(imported.grants)

    def _add_tokens(self, key: AccountKey, tokens: Mapping[frozenset[str], CachedToken]) -> None:
        for asked, token in tokens.items():
            here = self.tokens.get(TokenKey(key, asked))
            if here is None or here.grant.kept:  # a token of a grant that is not stored is newer
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
            kept.client = here.client  # its proxies and certificates are this kernel's
        self.tokens[key] = kept

    def token_for(self, key: AccountKey, wanted: Scopes) -> CachedToken | None:
        """Return the token for a request: the one for these scopes, or a wider one.

        The wider one is stored under this request's key too, so the next look-up finds it.
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
        """Add the result of a refresh; ``None`` if the account has been signed out meanwhile.

        If the account has signed in again meanwhile, the caller gets the token of the old grant,
        but it does not replace the new one. The old grant takes the new refresh token in any case,
        so that a revocation revokes that one.
        """
        token = CachedToken(response, grant, asked, client)
        with self._lock:
            grant.renewed(response)
            if not client.authority.microsoft:  # a response there is about one resource only
                grant.scopes = client.granted(response.scopes)
            signed_in = self.signed_in.get(key)
            if signed_in is None or grant not in (*signed_in.grants, *signed_in.superseded):
                return None
            self._changed(key)
            if grant in signed_in.grants:
                self._succeed(TokenKey(key, asked.key), token)
        return token

    def _succeed(self, key: TokenKey, token: CachedToken) -> None:
        """Replace a token under its key, and under every other key of the same token whose scopes
        the new one covers."""
        before = self.tokens.get(key)
        self.tokens[key] = token
        granted = token.client.granted(token.response.scopes)
        for name, other in [item for item in self.tokens.items() if item[1] is before]:
            if is_covered(name.scopes, granted):
                self.tokens[name] = token
            elif name.scopes != other.asked.key:
                del self.tokens[name]  # the next request looks for another token

    def use(self, key: AccountKey) -> Account:
        """Make an account its client's current one. Raises ``NotSignedIn``."""
        with self._lock:
            record = self.signed_in.get(key)
            if record is not None:
                record.beside = False
                self.current[key.client] = key
        if record is None:
            raise NotSignedIn("That account has been signed out.")
        return record.account

    def remove(self, key: AccountKey, *, elsewhere: SignedIn | None = None) -> SignedIn | None:
        """Remove an account and all its tokens; return what was known of it.

        ``elsewhere``: the record that another kernel has signed out. An account that signed in
        again since then stays, and a sign-in in progress is not refused.
        The newest other account of the client becomes current, unless its sign-in was meant for
        another account.
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
        """In a forked child: keep the tokens, drop the listeners; the grants belong to the parent.

        What is stored is read again before it is renewed.
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

    # ── look-ups ────────────────────────────────────────────────────────────────────────────

    def accounts(self) -> list[Account]:
        """All signed-in accounts, the current one of each client first."""
        current = set(self.current.values())
        records = list(self.signed_in.items())
        records.sort(key=lambda item: item[0] not in current)
        return [record.account for _, record in records]

    def serve(self, key: AccountKey | None, scopes: frozenset[str]) -> AuthenticationResult | None:
        """Return a fresh token of an account; takes two dictionary look-ups."""
        token = self.tokens.get((key, scopes))  # type: ignore[call-overload]
        record = self.signed_in.get(key)  # type: ignore[arg-type]
        here = None if token is None or record is None else token.serve(record)
        if here is not None:
            log.debug("%s: from the cache", token.asked)
        return here

    def account(self, key: AccountKey) -> Account | None:
        """The account of a key, while it is signed in."""
        record = self.signed_in.get(key)
        return record.account if record else None

    def find(self, client: ClientKey, asked: Asked | None = None) -> AccountKey | None:
        """Return the requested or current account of a client; ``None`` if it is not signed in.

        Raises ``ConfigurationError`` for a name that several of its accounts share, and for an
        account of another client.
        """
        check_client(asked, client)
        return self.current.get(client) if asked is None else self._names.only(asked, client)

    def named(self, asked: Asked) -> AccountKey:
        """Return an account of any client.

        Raises ``NotSignedIn``; ``ConfigurationError`` for a name that several accounts share.
        """
        key = self._names.only(asked)
        if key is None:
            raise self.unknown(asked)
        return key

    def unknown(self, asked: Asked) -> NotSignedIn:
        """The error for an account that is not signed in; it lists the accounts that are."""
        known = ", ".join(item.username for item in self.accounts()) or "nobody"
        return NotSignedIn(
            f"{name_of(asked)} is not signed in here; signed in: {known}.",
            hint=f"Sign in: %login --account {as_word(name_of(asked))}.",
        )

    def tokens_of(self, key: AccountKey) -> list[CachedToken]:
        """An account's tokens, oldest first."""
        mine = (token for known, token in list(self.tokens.items()) if known.account == key)
        return list(dict.fromkeys(mine))  # a token may be stored under several keys

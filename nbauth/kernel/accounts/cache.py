"""The token cache: adds, replaces and removes accounts and tokens, under one lock.

The full URL of the authority is part of every key, port and path included, so two issuers on one
host are kept apart. A look-up takes the same time with one account and with ten thousand.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

from nbauth.core.account import Account, AccountKey, ClientKey
from nbauth.core.errors import NotSignedIn
from nbauth.core.scopes import Scopes, undeclared
from nbauth.core.signal import Signal
from nbauth.core.tokens import TokenResponse
from nbauth.kernel.accounts.cache_lookups import CacheLookups
from nbauth.kernel.accounts.cached_token import CachedToken
from nbauth.kernel.accounts.grants import Ask, Grant, RefreshTokenGrant
from nbauth.kernel.accounts.issued import Issued
from nbauth.kernel.accounts.sign_outs import SignOuts
from nbauth.kernel.accounts.signed_in import SignedIn
from nbauth.kernel.accounts.token_table import TokenKey
from nbauth.kernel.accounts.wider import best
from nbauth.oauth.challenge import Requirement
from nbauth.oauth.client import Client


class TokenCache(CacheLookups):
    """Accounts and their tokens, in this kernel's memory.

    Its lock is the innermost: while it is held, no callback, prompt or file access happens. No loop
    stands directly under any lock: on Python 3.13.0 an interrupt in one leaves the lock held.

    Attributes:
        changed: emitted by the code that changes who is signed in, when the change is complete.
        renewed: emitted by the code that adds tokens.
        issued: remembers every secret that was added, before a caller can see it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.changed = Signal()
        self.renewed = Signal()
        self.issued = Issued()
        self._lock = threading.Lock()
        self._sign_outs = SignOuts()

    # ── adding accounts and tokens ──────────────────────────────────────────────────────────

    def ticket(self) -> int:
        """A number taken when a sign-in begins; a later sign-out of its account then refuses it."""
        return self._sign_outs.count

    def sign_in(
        self,
        signed_in: SignedIn,
        response: TokenResponse,
        asked: Scopes,
        *,
        ticket: int | None = None,
        make_current: bool = True,
        beside: bool = False,
        grant: Grant | None = None,
        fulfils: Requirement | None = None,
    ) -> bool:
        """Add the result of a finished sign-in; earlier tokens of the account stay.

        ``grant`` renews its tokens; by default the refresh token in the response. ``beside``:
        another account was requested. ``fulfils``: what a host required. Returns ``False`` and adds
        nothing if the account has been signed out since ``ticket``.
        """
        key, client = signed_in.key, signed_in.client
        granted = client.granted(response.scopes)
        if grant is None:
            wanted, ends_on = undeclared(asked.key), response.grant_ends_on
            grant = RefreshTokenGrant(response.refresh_token, granted, ends_on, asked=wanted)
        self.issued.add_response(response)
        token = CachedToken(response, grant, asked, client, fulfils)
        names = signed_in.names
        with self._lock:
            if ticket is not None and self._sign_outs.last_of(key) > ticket:
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
            self.tokens.outdate_twin(TokenKey(key, asked.key), token)
        return True

    def sign_out_arrivals(self, client: ClientKey | None = None) -> None:
        """Refuse sign-ins that are not finished yet, of one client or of all."""
        with self._lock:
            self._sign_outs.note(client)

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
        self.issued.add_account(kept, tokens.values())
        key, names = kept.key, kept.names
        with self._lock:
            if changes is not None and changes != self.changes(key):
                return
            self._changed(key)
            here = self.signed_in.get(key)
            if here is not None and here.unsaved:
                here.merge(kept)
                self.tokens.merge(key, tokens)
                return
            kept.beside = kept.beside and (here is None or here.beside)
            if here is not None:
                kept.chosen = here.chosen
                kept.grants += here.never_stored
            self.tokens.replace(key, tokens)
            self._names.add(key, names)
            self.signed_in[key] = kept
            if not kept.beside:
                self.current.setdefault(key.client, key)

    def merge(self, kept: SignedIn, tokens: Mapping[frozenset[str], CachedToken]) -> None:
        """Merge an account as stored by other kernels into the one signed in here, if any.

        The stored grants are the newest, except for those that were added here since.
        """
        self.issued.add_account(kept, tokens.values())
        key = kept.key
        with self._lock:
            here = self.signed_in.get(key)
            if here is not None:
                self._changed(key)
                here.merge(kept)
                self.tokens.merge(key, tokens)

    def drop_kept(self, record: SignedIn) -> None:
        """Drop the stored grants that a new sign-in took over: another kernel signed them out."""
        with self._lock:
            if self.signed_in.get(record.key) is record:
                self._changed(record.key)
                record.drop_kept()
                self.tokens.replace(record.key, self.tokens.of_grants(record.key, record.grants))

    def add_older(self, imported: SignedIn) -> None:
        """Add imported grants, as older than all that are here.

        If the account is here already, everything else of it stays.
        """
        self.issued.add_account(imported)
        key, names = imported.key, imported.names
        with self._lock:
            self._changed(key)
            known = self.signed_in.setdefault(key, imported)
            if known is imported:
                self._names.add(key, names)
                self.current.setdefault(key.client, key)
            else:
                known.add_older(imported.grants)

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

    def undeclared(self, key: AccountKey, wanted: Scopes) -> CachedToken | None:
        """A copy of the token without the client capability, for a call that cannot get another.

        ``None`` if there is none that is still valid.
        """
        found = self.token_for(key, wanted.undeclared()) if wanted.declares else None
        return found.copy() if found is not None and found.valid else None

    def instead(self, key: TokenKey, token: CachedToken) -> None:
        """Use a token under another key for now; see :meth:`undeclared`."""
        with self._lock:
            if key.account in self.signed_in:
                self.tokens[key] = token

    def refreshed(
        self,
        key: AccountKey,
        response: TokenResponse,
        asked: Scopes,
        grant: Grant,
        client: Client,
        fulfils: Requirement | None = None,
    ) -> CachedToken | None:
        """Add the result of a refresh; ``None`` if the account has been signed out meanwhile.

        If the account has signed in again meanwhile, the caller gets the token of the old grant,
        but it does not replace the new one. The old grant takes the new refresh token in any case,
        so that a revocation revokes that one.
        """
        self.issued.add_response(response)
        token = CachedToken(response, grant, asked, client, fulfils)
        with self._lock:
            grant.renewed(response)
            if not client.authority.microsoft:  # a response there is about one resource only
                grant.scopes = client.granted(response.scopes)
            signed_in = self.signed_in.get(key)
            if signed_in is None or grant not in (*signed_in.grants, *signed_in.superseded):
                return None
            self._changed(key)
            if signed_in.take_id_token(response):  # before the new token can be seen
                self.tokens.forget_results(key)
            if grant in signed_in.grants:
                self.tokens.renew(TokenKey(key, asked.key), token)
                self.tokens.outdate_twin(TokenKey(key, asked.key), token)
        return token

    def use(self, key: AccountKey, *, chosen: bool = False) -> Account:
        """Make an account its client's current one. Raises ``NotSignedIn``."""
        with self._lock:
            record = self.signed_in.get(key)
            if record is not None:
                record.beside, record.chosen = False, chosen
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
                self._sign_outs.note(key)
            self._changed(key)
            signed_in = self.signed_in.pop(key, None)
            self._names.remove(key)
            self.tokens.replace(key, {})
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

    def forked(self, ask: Callable[[AccountKey], Ask]) -> None:
        """In a forked child: keep the tokens, drop the listeners; the grants belong to the parent.

        ``ask``: returns what asks the parent for tokens of an account.

        What is stored is read again before it is renewed.
        """
        self._lock = threading.Lock()
        self.issued.forked()
        self.changed, self.renewed = Signal(), Signal()
        parents: dict[Grant, Grant] = {}
        for key, record in self.signed_in.items():
            parents |= record.forked(ask(key))
        for token in self.tokens.values():
            token.grant = parents.get(token.grant, token.grant)

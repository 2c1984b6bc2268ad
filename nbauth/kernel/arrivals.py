"""Where both rooms meet: what a sign-in brings becomes an account that is signed in."""

from __future__ import annotations

from nbauth.core.account import Account, name_of
from nbauth.core.errors import SignInCancelled, SignInError
from nbauth.core.person import Notices, Person
from nbauth.core.text import plain
from nbauth.core.tokens import TokenResponse
from nbauth.kernel.accounts.cache import TokenCache
from nbauth.kernel.accounts.keeping import Keeping
from nbauth.kernel.accounts.signed_in import signed_in_from
from nbauth.kernel.sign_in.request import Request


class Arrivals:
    """See :class:`nbauth.kernel.sign_in.protocol.Destination`.

    Args:
        cache, keeping: the session's.
        person: who is told what was not granted.
    """

    def __init__(self, cache: TokenCache, keeping: Keeping, person: Person) -> None:
        self._cache = cache
        self._keeping = keeping
        self._notices = Notices(person)

    def prepare(self, request: Request) -> None:
        self._keeping.prepare(request.client)

    def ticket(self) -> int:
        return self._cache.ticket()

    def accept(
        self, request: Request, response: TokenResponse, sign_out_url: str, ticket: int
    ) -> Account:
        client, asked = request.client, request.asked
        signed_in = signed_in_from(client, response, sign_out_url)
        as_asked = asked is None or signed_in.is_asked_for(asked)
        if not self._cache.sign_in(
            signed_in,
            response,
            request.scopes,
            ticket=ticket,
            make_current=as_asked and request.makes_current,
            beside=not as_asked,
        ):
            raise SignInCancelled("That account was signed out while it signed in.")
        self._keeping.keep(client, signed_in.key)
        if self._cache.account(signed_in.key) is None:
            raise SignInCancelled("That account was signed out while it signed in.")
        self._cache.changed.emit()
        self._cache.renewed.emit()
        account = signed_in.account
        self._tell_not_granted(request, response)
        if not as_asked:
            assert asked is not None
            name, other = name_of(asked), account.username
            raise SignInError(
                f"{name} was asked for, but {other} signed in; {name} is not signed in.",
                code="wrong_account",
                hint=f"Sign in as {name}: %login --account {name}. {other} is also signed in:"
                f" %accounts use {other}, or %accounts drop {other}.",
            )
        return account

    def _tell_not_granted(self, request: Request, response: TokenResponse) -> None:
        """Say it once: the token is given out for these scopes all the same, and may be refused."""
        if request.client.authority.microsoft:
            return  # Entra refuses the whole; what it grants may only be spelt otherwise
        missing = request.client.not_granted(response.scopes, request.scopes)
        if missing:
            granted = " ".join(plain(scope) for scope in response.scopes) or "nothing"
            self._notices.tell(
                f"The provider did not grant {' '.join(missing)}; it granted {granted}."
                " Calls that need more may be refused."
            )

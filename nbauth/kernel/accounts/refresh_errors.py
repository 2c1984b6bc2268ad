"""What an answer to a refresh means: whose it is, and what a refusal leaves."""

from __future__ import annotations

from nbauth.core.errors import (
    REFRESH_REFUSED,
    AuthorityUnreachable,
    ConfigurationError,
    ConsentRequired,
    InteractionRequired,
    NbAuthError,
    NotSignedIn,
    SignInError,
)
from nbauth.core.scopes import Scopes
from nbauth.core.tokens import TokenResponse
from nbauth.kernel.accounts.grants import Grant
from nbauth.kernel.accounts.signed_in import SignedIn

STILL_ALIVE = frozenset(
    {REFRESH_REFUSED, "interaction_required"}
    | {f"AADSTS{number}" for number in (50072, 50074, 50076, 50079, 50158)}
)
"""One resource wants more proof than the refresh token can show, and for others it is good; or
nobody knows who refused. Entra says the numbers with ``invalid_grant`` too."""

NEEDS_SIGN_IN = (InteractionRequired, NotSignedIn, SignInError, ConfigurationError)
"""What ``%login`` helps with: all that a provider has against an old sign-in."""


def check_same_person(response: TokenResponse, signed_in: SignedIn, grant: Grant) -> None:
    """A refresh may bring an ID token, but not another person's (OpenID Connect Core §12.2).

    That ends the grant: what was sent is spent, and nothing of the other person's is used.
    """
    before, now = signed_in.id_token_claims.get("sub"), response.id_token_claims.get("sub")
    if before and now and now != before:
        from nbauth.oauth.id_token import refused  # brings cryptography, so not at %load_ext

        grant.end()
        raise refused("subject", "is another person's than the one who signed in")


def ends_the_grant(error: NbAuthError) -> bool:
    """Whether what a refresh has failed with leaves a grant that is of no more use."""
    return (
        isinstance(error, InteractionRequired)
        and not isinstance(error, ConsentRequired)
        and STILL_ALIVE.isdisjoint({error.code, error.word})
    )


def as_consent(error: NbAuthError, wanted: Scopes, granted: frozenset[str]) -> NbAuthError:
    """Providers say ``invalid_scope`` when a refresh asks for what was never consented to."""
    if isinstance(error, AuthorityUnreachable | InteractionRequired):
        return error
    if error.code == "invalid_scope" and not wanted.key <= granted:
        return not_agreed_to(wanted)
    return error


def not_agreed_to(wanted: Scopes) -> ConsentRequired:
    """The error for scopes that no sign-in has brought."""
    return ConsentRequired(f"These permissions have not been agreed to yet: {wanted}.")

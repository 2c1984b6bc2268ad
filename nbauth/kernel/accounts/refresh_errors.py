"""What the response to a refresh means: who it is for, and whether the grant is still usable."""

from __future__ import annotations

from nbauth.core.account import Account
from nbauth.core.errors import (
    REFRESH_REFUSED,
    AuthorityUnreachable,
    ConfigurationError,
    ConsentRequired,
    InteractionRequired,
    NbAuthError,
    NotSignedIn,
    SignInError,
    TokenError,
)
from nbauth.core.scopes import Scopes, undeclared
from nbauth.core.text import plain
from nbauth.core.tokens import TokenResponse
from nbauth.kernel.accounts.grants import Grant
from nbauth.kernel.accounts.signed_in import SignedIn
from nbauth.oauth.challenge import Requirement

GRANT_SURVIVES = frozenset(
    {REFRESH_REFUSED, "interaction_required"}
    | {f"AADSTS{number}" for number in (50072, 50074, 50076, 50078, 50079, 50158)}
)
"""Codes of errors that do not end the grant. Either one resource requires more proof than the
refresh token gives, while others accept it; or it is not known who refused. Entra sends these
numbers with ``invalid_grant`` too."""

NEEDS_SIGN_IN = (InteractionRequired, NotSignedIn, SignInError, ConfigurationError)
"""The errors that ``%login`` can solve: every reason why a provider refuses an old sign-in."""


def check_same_person(response: TokenResponse, signed_in: SignedIn, grant: Grant) -> None:
    """Raise if a refresh returned another person's ID token (OpenID Connect Core §12.2).

    This ends the grant: its refresh token has been used, and the other person's tokens are dropped.
    """
    if response.principal is not None and response.principal.id != signed_in.key.home_account_id:
        raise TokenError(
            f"{response.principal.username} is signed in there now, and no longer"
            f" {signed_in.account.username}.",
            code="other_account",
            hint=f"Use the new account: %login --flow {grant.flow} --force.",
        )
    before, now = signed_in.id_token_claims.get("sub"), response.id_token_claims.get("sub")
    if before and now and now != before:
        from nbauth.oauth.id_token import refused  # imports cryptography; not wanted at %load_ext

        grant.end()
        raise refused("subject", "names another person than the one who signed in")


def ends_the_grant(error: NbAuthError) -> bool:
    """Whether a refresh that failed with this error leaves the grant unusable."""
    return (
        isinstance(error, InteractionRequired)
        and not isinstance(error, ConsentRequired)
        and GRANT_SURVIVES.isdisjoint({error.code, error.word})
    )


def as_consent(error: NbAuthError, wanted: Scopes, granted: frozenset[str]) -> NbAuthError:
    """Providers answer ``invalid_scope`` if a refresh requests a scope without consent."""
    if isinstance(error, AuthorityUnreachable | InteractionRequired):
        return error
    if error.code == "invalid_scope" and not undeclared(wanted.key) <= granted:
        return no_consent(wanted)
    return error


def needs_sign_in(required: Requirement, account: Account) -> TokenError:
    """The error for a requirement that no refresh can fulfil."""
    asked = ""
    if required.acr_values is not None:
        asked = f" It requires the authentication context {plain(required.acr_values)[:200]}."
    if required.max_age is not None:
        asked += f" The sign-in must not be older than {required.max_age} seconds."
    if account.application:
        return TokenError(
            f"{required.host} requires the sign-in of a person, and {account.username} is an"
            " application.",
            code="step_up_required",
            hint="Sign in as a person for this call: %login.",
        )
    return InteractionRequired(f"A new sign-in is needed.{asked}", code="step_up_required")


def no_consent(wanted: Scopes) -> ConsentRequired:
    """The error for scopes that no sign-in was granted."""
    return ConsentRequired(f"Consent has not been given yet for: {wanted}.")

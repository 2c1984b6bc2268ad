"""The person's Google account in Colab, after ``google.colab.auth.authenticate_user()``.

That function makes the Application Default Credentials available; ``google.auth.default`` reads
them. It asks the person, so nbauth does not call it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC
from typing import Any

from nbauth.core.errors import InteractionRequired
from nbauth.core.flow_names import COLAB
from nbauth.core.text import plain
from nbauth.core.tokens import Principal
from nbauth.oauth.identities.protocol import IdentityToken

_OPENID = ("openid", "profile", "email", "offline_access")


class Colab:
    """See :class:`.protocol.Identity`."""

    name = COLAB
    detail = "google.auth.default: the Google account of a Colab notebook"
    issuers = ("https://accounts.google.com",)

    def available(self) -> bool:
        return "google.colab" in sys.modules

    def get(self, scopes: Sequence[str], tenant: str, claims: str | None) -> IdentityToken:
        import google.auth  # type: ignore[import-not-found, import-untyped, unused-ignore]
        import google.auth.exceptions as failures  # type: ignore[import-not-found, import-untyped, unused-ignore]
        import google.auth.transport.requests as transport  # type: ignore[import-not-found, import-untyped, unused-ignore]

        wanted = [scope for scope in scopes if scope not in _OPENID]
        try:
            found: Any = google.auth.default(scopes=wanted or None)[0]
            found.refresh(transport.Request())
        except (failures.DefaultCredentialsError, failures.RefreshError) as error:
            raise InteractionRequired(
                "You have not signed in to Google in this Colab notebook.",
                code="colab_login_required",
                hint="Run this cell first: from google.colab import auth; auth.authenticate_user()",
            ) from error
        expiry = found.expiry  # in UTC, without a time zone
        ends = None if expiry is None else expiry.replace(tzinfo=UTC).timestamp()
        return IdentityToken(str(found.token), ends, _who(found))


def _who(found: Any) -> Principal:
    """A service account has a name; of a person, the credentials may have an address."""
    service = getattr(found, "service_account_email", None)
    name = plain(service or getattr(found, "account", "") or "Google account")
    return Principal(name.casefold(), name, application=bool(service))

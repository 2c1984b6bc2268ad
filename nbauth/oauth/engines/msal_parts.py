"""What MSAL's applications are given: caches that store nothing, and nbauth's HTTP."""

from __future__ import annotations

from typing import Any

import msal

from nbauth.oauth.authority_forms import WELL_KNOWN
from nbauth.oauth.discovery import Read
from nbauth.oauth.engines.legible import legible
from nbauth.oauth.http import Http


class ForgetfulTokenCache(msal.TokenCache):  # type: ignore[misc]
    """A token cache that stores nothing, since nbauth has its own."""

    def add(self, event: Any, now: Any = None) -> None:
        pass


class ForgetfulDict(dict[Any, Any]):
    """An ``http_cache`` that stores nothing, so that MSAL does not repeat an old error."""

    def __setitem__(self, key: Any, value: Any) -> None:
        pass


class MsalHttp(Http):
    """Keeps the metadata that MSAL fetches, and passes only normalised responses to MSAL."""

    read = Read({})
    keep = False
    """Whether the metadata are not fetched again. MSAL's constructor fetches them each time."""
    _kept: Any = None

    def get(self, url: Any, **options: Any) -> Any:
        metadata = str(url).split("?")[0].endswith(WELL_KNOWN)
        if metadata and self.keep:
            return self._kept
        response = super().get(url, **options)
        if metadata:
            self.read = Read.of(response)
            self._kept = response
        return response

    def post(self, url: Any, *args: Any, **options: Any) -> Any:
        return legible(super().post(url, *args, **options))

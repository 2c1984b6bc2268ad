"""The one door out of a protocol library: what it raises becomes one of our errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from nbauth.core.errors import NbAuthError, SignInError
from nbauth.oauth.engines.protocol import AuthorizationPending


@contextmanager
def door() -> Iterator[None]:
    """Whatever is not ours already becomes a ``SignInError`` with its cause chained."""
    try:
        yield
    except (NbAuthError, AuthorizationPending):
        raise
    except Exception as error:
        raise SignInError(
            "The provider's answer was not understood.",
            code="not_understood",
            hint="Run %login again; if it repeats, check the authority's address.",
        ) from error

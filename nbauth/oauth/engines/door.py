"""The one door out of a protocol library: what it raises becomes one of our errors."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from nbauth.core.errors import NbAuthError, SignInError
from nbauth.core.log import trail
from nbauth.oauth.engines.protocol import AuthorizationPending

log = logging.getLogger(__name__)


@contextmanager
def door() -> Iterator[None]:
    """Whatever is not ours already becomes a ``SignInError`` with its cause chained."""
    try:
        yield
    except (NbAuthError, AuthorizationPending):
        raise
    except Exception as error:
        log.debug("an answer was not understood: %s", trail(error))
        raise SignInError(
            "The provider's answer was not understood.",
            code="not_understood",
            hint="Run %login again; if it repeats, check the authority's address.",
        ) from error

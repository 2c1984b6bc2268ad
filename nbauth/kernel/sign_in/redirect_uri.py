"""Errors about the setting ``redirect_uri``: they name it and the place where it was set."""

from __future__ import annotations

from nbauth.core.errors import ConfigurationError
from nbauth.core.flow_names import DEVICE
from nbauth.core.text import without_user


def bad_redirect_uri(address: str, fault: str, hint: str) -> ConfigurationError:
    """The error for an address to which the provider must not send the browser.

    Args:
        fault: continues the sentence "redirect_uri is ADDRESS, …".
        hint: what to set instead.
    """
    return ConfigurationError(
        f"The setting redirect_uri is {without_user(address)}, {fault}.",
        code="bad_redirect_uri",
        hint=hint,
        suggested_flow=DEVICE,
    )


def with_source(error: ConfigurationError, source: str) -> ConfigurationError:
    """The same error, with the place where ``redirect_uri`` was set at the end of its hint."""
    if source == "default":
        return error
    return ConfigurationError(
        str(error),
        code=error.code,
        hint=f"{error.hint} redirect_uri was set here: {source}.",
        suggested_flow=error.suggested_flow,
    )

"""Tokens for the workers of a Dask cluster.

A worker asks the scheduler, the scheduler asks the notebook's kernel, and the kernel's session
answers with an access token. The refresh token stays in the kernel. The scheduler keeps no token.
"""

from nbauth.core.errors import ConfigurationError

try:
    import distributed as _distributed  # noqa: F401
except ImportError:
    raise ConfigurationError(
        "nbauth.adapters.dask needs the package distributed, which is not installed.",
        code="missing_package",
        hint='%pip install "nbauth[dask]"',
    ) from None

from nbauth.adapters.dask.serving import Serving, serve

__all__ = ["Serving", "serve"]

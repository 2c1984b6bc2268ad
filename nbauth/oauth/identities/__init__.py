"""Identities of the person's tools and of the service on which the kernel runs.

Each is a file that imports nothing of its service before it is used. They do not import each other.
"""

from nbauth.oauth.identities.protocol import ENTRA, Identity, IdentityToken

__all__ = ["ENTRA", "Identity", "IdentityToken"]

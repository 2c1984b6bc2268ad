"""The signed-in accounts: token cache, grants and their renewal, stored sign-ins."""

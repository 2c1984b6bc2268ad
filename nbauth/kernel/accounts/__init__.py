"""Who is signed in: the one cache, grants and their renewal, kept sign-ins."""

"""One attempt to sign in: asked for, joined, driven, ended."""

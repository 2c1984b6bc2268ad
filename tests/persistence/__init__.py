"""Kept sign-ins, and what keeps them."""

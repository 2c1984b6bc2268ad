"""Detects where this kernel runs, and which sign-in flows work there."""

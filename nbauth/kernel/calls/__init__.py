"""Calls of APIs: which request gets which token, and what happens when a host refuses it."""

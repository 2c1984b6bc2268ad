"""Receivers of the authorization response."""

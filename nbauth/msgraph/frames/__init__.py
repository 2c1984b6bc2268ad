"""Rows as a frame of pandas or polars, or as a plain table."""

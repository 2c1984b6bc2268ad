"""Finds and removes secrets in saved notebooks and other text files."""

"""Tests of stored sign-ins and their persistences."""

"""Fakes and contracts for tests of nbauth and of its plug-ins.

A scriptable :class:`~nbauth.testing.engine.FakeEngine`, a
:class:`~nbauth.testing.screen.RecordingScreen`, a :class:`~nbauth.testing.clock.FakeClock`,
:mod:`~nbauth.testing.canary`, which finds a leaked secret in any encoding, and
:mod:`~nbauth.testing.persistence`, the contract of a persistence.
"""

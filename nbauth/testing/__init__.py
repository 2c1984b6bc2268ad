"""Beside the floors: fakes for tests of nbauth, and of what plugs into it.

A scriptable :class:`~nbauth.testing.engine.FakeEngine`, a
:class:`~nbauth.testing.screen.RecordingScreen`, a :class:`~nbauth.testing.clock.FakeClock`, and
:mod:`~nbauth.testing.canary`, which finds a secret in whatever form it has leaked; and
:mod:`~nbauth.testing.persistence`, the contract of everything that keeps sign-ins.
"""

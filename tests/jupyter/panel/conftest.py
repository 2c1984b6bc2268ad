"""The fixtures of the panel's tests."""

from tests.jupyter.panel.front import front as front

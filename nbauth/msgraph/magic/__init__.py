"""The magics ``%graph`` and ``%%graph``."""

"""The parts of the local Microsoft Graph of the tests; see ``tests.harness.faulty_graph``."""

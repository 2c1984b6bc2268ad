"""Floor 4: what the notebook sees."""

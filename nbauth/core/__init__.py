"""Floor 1: the values and names that all other packages use. Standard library only."""

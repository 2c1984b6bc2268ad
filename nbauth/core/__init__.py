"""Floor 1: values and words everything above speaks. Standard library only."""

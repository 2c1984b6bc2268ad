"""Floor 3: who is signed in to this kernel. Knows no IPython and no protocol library."""

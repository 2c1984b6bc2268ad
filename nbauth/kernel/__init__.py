"""Floor 3: who is signed in to this kernel. Imports neither IPython nor a protocol library."""

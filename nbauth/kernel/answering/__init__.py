"""In the notebook's kernel: answers worker processes that ask for access tokens."""

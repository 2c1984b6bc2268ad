"""In a worker process: asks the notebook's kernel for access tokens."""

"""What Microsoft documents of the paths of Graph."""

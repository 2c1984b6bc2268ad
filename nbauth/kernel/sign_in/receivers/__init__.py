"""Where the browser comes back to."""

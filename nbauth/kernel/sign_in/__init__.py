"""One attempt to sign in: its request, its callers, its flow, its end."""

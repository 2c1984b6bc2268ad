"""Many requests in one call: batches of 20 (Graph document: json-batching)."""

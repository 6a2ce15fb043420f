"""The model for others: an endpoint over the local engine, and engines behind a URL."""

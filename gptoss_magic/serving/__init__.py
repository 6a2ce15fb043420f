"""The kernel's model for others: an OpenAI-compatible endpoint, and the same magics on a remote."""

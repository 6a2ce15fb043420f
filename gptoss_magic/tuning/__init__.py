"""Tuning the resident model: data, methods, one trainer that yields metrics, checkpoints."""

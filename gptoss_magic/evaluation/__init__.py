"""Benchmarks: items with their graders, and the statistics of what came of them."""

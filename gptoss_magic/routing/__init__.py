"""Routing: which experts a text uses; scores, a baseline, comparisons, probes."""

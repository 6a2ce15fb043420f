"""Figures as ratios against peers, measured in one run: `make bench`, `make bench ONLY=name`."""

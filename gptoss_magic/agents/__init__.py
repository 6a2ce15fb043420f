"""Personas, as text, and their layers."""

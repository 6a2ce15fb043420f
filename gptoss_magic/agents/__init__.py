"""Personas; tools that a model may call, the loop that runs them, the consent they need."""

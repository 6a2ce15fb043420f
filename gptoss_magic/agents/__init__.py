"""Tools that a model may call, the loop that runs them, and the consent that each call needs."""

"""A notebook and what it needs as one zip: planned, looked through for secrets, packed, opened."""

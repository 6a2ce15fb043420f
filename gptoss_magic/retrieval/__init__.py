"""Retrieval: the user's own files in a LanceDB table, searched, quoted and cited."""

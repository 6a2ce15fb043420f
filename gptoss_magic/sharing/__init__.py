"""How a notebook travels: as a page that reads and can be replayed anywhere."""

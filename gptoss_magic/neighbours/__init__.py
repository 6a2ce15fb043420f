"""The resident model in other frameworks, in process and without a port; nothing imports them."""

"""Engines behind a URL: what a server is and can do, how it is asked, what comes back."""

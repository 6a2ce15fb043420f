"""Goals with the model: tries in lanes, their tests, proposals, and finished runs as rows."""

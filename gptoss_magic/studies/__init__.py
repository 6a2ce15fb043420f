"""Studies of the resident model that need several rooms: routing, tuning runs, their reports."""

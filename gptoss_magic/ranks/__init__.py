"""A run on many processes: started, followed, ended; and what each of them does."""

"""A prompt template over the rows of a DataFrame: templates, schemas, a journal, the run."""

"""Vector stores of one contract: LanceDB, Faiss, Chroma, Weaviate."""

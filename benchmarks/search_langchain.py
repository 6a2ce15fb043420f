"""LangChain with Chroma on disk; hybrid is its EnsembleRetriever with BM25. In the peers' venv."""

from __future__ import annotations

import time

begin = time.perf_counter()
from langchain_chroma import Chroma  # noqa: E402
from langchain_classic.retrievers import EnsembleRetriever  # noqa: E402
from langchain_community.retrievers import BM25Retriever  # noqa: E402
from langchain_core.documents import Document  # noqa: E402
from langchain_core.embeddings import Embeddings  # noqa: E402
from langchain_text_splitters import RecursiveCharacterTextSplitter  # noqa: E402

IMPORT_S = time.perf_counter() - begin

from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

from benchmarks import side  # noqa: E402

BATCH = 5000  # Chroma refuses more at a time


class Adapter(Embeddings):
    """The embedder of all sides for LangChain."""

    def __init__(self, inner: side.Timed) -> None:
        self._inner = inner

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return self._inner.embed(texts).tolist()

    def embed_query(self, text: str) -> list[float]:
        return self._inner.embed([text])[0].tolist()


class LangChain:
    """Pieces of 900 characters at most, cosine distance, the client's own defaults otherwise."""

    def __init__(self) -> None:
        self.embedder = side.Timed()

    def ingest(self, corpus: Path, folder: Path) -> int:
        splitter = RecursiveCharacterTextSplitter(
            chunk_size=side.CHUNK_CHARS, chunk_overlap=0, add_start_index=True
        )
        texts = side.texts_of(corpus)
        whole = [Document(text, metadata={"source": path}) for path, text in texts.items()]
        self.pieces = splitter.split_documents(whole)
        self.store = Chroma(
            persist_directory=str(folder),
            embedding_function=Adapter(self.embedder),
            collection_metadata={"hnsw:space": "cosine"},
        )
        for at in range(0, len(self.pieces), BATCH):
            self.store.add_documents(self.pieces[at : at + BATCH])
        return len(self.pieces)

    def set_up_hybrid(self) -> None:
        words = BM25Retriever.from_documents(self.pieces, k=side.K)
        near = self.store.as_retriever(search_kwargs={"k": side.K})
        self.both = EnsembleRetriever(retrievers=[words, near], weights=[0.5, 0.5])

    def vector(self, query: str) -> Any:
        return self.store.similarity_search(query, k=side.K)

    def hybrid(self, query: str) -> Any:
        return self.both.invoke(query)

    def spans(self, found: Any) -> list[side.Span]:
        return [
            (d.metadata["source"], start, start + len(d.page_content))
            for d in found
            for start in [d.metadata["start_index"]]
        ]


if __name__ == "__main__":
    side.report(LangChain(), IMPORT_S)

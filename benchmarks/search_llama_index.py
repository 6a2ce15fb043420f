"""LlamaIndex with its default store; hybrid is its QueryFusionRetriever with BM25. Peers' venv."""

from __future__ import annotations

import time

begin = time.perf_counter()
from llama_index.core import Document, VectorStoreIndex  # noqa: E402
from llama_index.core.embeddings import BaseEmbedding  # noqa: E402
from llama_index.core.llms import MockLLM  # noqa: E402
from llama_index.core.node_parser import SentenceSplitter  # noqa: E402
from llama_index.core.retrievers import QueryFusionRetriever  # noqa: E402
from llama_index.retrievers.bm25 import BM25Retriever  # noqa: E402

IMPORT_S = time.perf_counter() - begin

from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

from pydantic import PrivateAttr  # noqa: E402

from benchmarks import side  # noqa: E402

CHUNK_TOKENS = side.CHUNK_CHARS // 4


class Adapter(BaseEmbedding):
    """The embedder of all sides for LlamaIndex."""

    _inner: Any = PrivateAttr()

    def __init__(self, inner: side.Timed) -> None:
        super().__init__(model_name=inner.name, embed_batch_size=2048)
        self._inner = inner

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._inner.embed([text])[0].tolist()

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return self._inner.embed(texts).tolist()

    def _get_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)


class LlamaIndex:
    """Pieces of 225 tokens at most (about 900 characters); the index is kept on disk."""

    def __init__(self) -> None:
        self.embedder = side.Timed()

    def ingest(self, corpus: Path, folder: Path) -> int:
        whole = [
            Document(
                text=text,
                metadata={"file_path": path},
                excluded_embed_metadata_keys=["file_path"],
                excluded_llm_metadata_keys=["file_path"],
            )
            for path, text in side.texts_of(corpus).items()
        ]
        splitter = SentenceSplitter(chunk_size=CHUNK_TOKENS, chunk_overlap=0)
        self.nodes = splitter.get_nodes_from_documents(whole)
        self.index = VectorStoreIndex(self.nodes, embed_model=Adapter(self.embedder))
        self.index.storage_context.persist(str(folder))
        self.near = self.index.as_retriever(similarity_top_k=side.K)
        return len(self.nodes)

    def set_up_hybrid(self) -> None:
        words = BM25Retriever.from_defaults(nodes=self.nodes, similarity_top_k=side.NUM_CANDIDATES)
        near = self.index.as_retriever(similarity_top_k=side.NUM_CANDIDATES)
        self.both = QueryFusionRetriever(
            [near, words],
            llm=MockLLM(),
            mode="reciprocal_rerank",
            similarity_top_k=side.K,
            num_queries=1,
            use_async=False,
        )

    def vector(self, query: str) -> Any:
        return self.near.retrieve(query)

    def hybrid(self, query: str) -> Any:
        return self.both.retrieve(query)

    def spans(self, found: Any) -> list[side.Span]:
        return [
            (n.node.metadata["file_path"], n.node.start_char_idx, n.node.end_char_idx)
            for n in found
        ]


if __name__ == "__main__":
    side.report(LlamaIndex(), IMPORT_S)

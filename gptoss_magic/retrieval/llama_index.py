"""An index as a LlamaIndex retriever; needs llama-index-core."""

import asyncio
from typing import Any

from gptoss_magic.errors import MissingPackage
from gptoss_magic.retrieval.bridges import Bridge, metadata_of, place_of

try:
    from llama_index.core.retrievers import BaseRetriever
    from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode
except ImportError as error:
    raise MissingPackage(
        "this retriever needs llama-index-core: pip install gptoss_magic[llama-index]"
    ) from error


class IndexRetriever(BaseRetriever):
    """`IndexRetriever("docs", k=5).retrieve("…")` gives LlamaIndex nodes with scores.

    `index` is a name, path or URI; `where` an SQL condition, `version` an earlier state. A node's
    metadata: index, source, heading, first_line, last_line. The first search opens the index.
    Raises InputError for an index that is not there.
    """

    def __init__(
        self,
        index: str,
        k: int = 5,
        where: str | None = None,
        version: int | None = None,
        **base: Any,
    ) -> None:
        super().__init__(**base)
        self._bridge = Bridge(index, k, where, version)

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return [
            NodeWithScore(
                node=TextNode(
                    id_=place_of(passage), text=passage.text, metadata=metadata_of(passage)
                ),
                score=passage.score,
            )
            for passage in self._bridge.search(query_bundle.query_str)
        ]

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return await asyncio.to_thread(self._retrieve, query_bundle)

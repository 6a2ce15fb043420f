"""An index as a LangChain retriever; needs langchain-core."""

import asyncio
from functools import cached_property
from typing import Any

from gptoss_magic.errors import MissingPackage
from gptoss_magic.retrieval.bridges import Bridge, metadata_of, place_of

try:
    from langchain_core.documents import Document
    from langchain_core.retrievers import BaseRetriever
except ImportError as error:
    raise MissingPackage(
        "this retriever needs langchain-core: pip install gptoss_magic[langchain]"
    ) from error


class IndexRetriever(BaseRetriever):
    """`IndexRetriever(index="docs", k=5).invoke("…")` gives LangChain documents.

    `index` is a name, path or URI; `where` an SQL condition, `version` an earlier state. A
    document's metadata: index, source, heading, first_line, last_line, score. The first search
    opens the index. Raises InputError for an index that is not there.
    """

    index: str
    k: int = 5
    where: str | None = None
    version: int | None = None

    @cached_property
    def _bridge(self) -> Bridge:
        return Bridge(self.index, self.k, self.where, self.version)

    def _get_relevant_documents(self, query: str, **_run: Any) -> list[Document]:
        return [
            Document(
                passage.text,
                id=place_of(passage),
                metadata=metadata_of(passage) | {"score": passage.score},
            )
            for passage in self._bridge.search(query)
        ]

    async def _aget_relevant_documents(self, query: str, **_run: Any) -> list[Document]:
        return await asyncio.to_thread(self._get_relevant_documents, query)

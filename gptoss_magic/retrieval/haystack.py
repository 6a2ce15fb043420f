"""An index as a Haystack component; needs haystack-ai."""

import asyncio
from typing import Any

from gptoss_magic.errors import MissingPackage
from gptoss_magic.retrieval.bridges import Bridge, metadata_of, place_of

try:
    from haystack import Document, component, default_from_dict, default_to_dict
except ImportError as error:
    raise MissingPackage(
        "this retriever needs haystack-ai: pip install gptoss_magic[haystack]"
    ) from error


@component
class IndexRetriever:
    """`IndexRetriever("docs", k=5)` in a pipeline: a query in, `documents` out.

    `index` is a name, path or URI; `where` an SQL condition, `version` an earlier state. A
    document's meta: index, source, heading, first_line, last_line. The first search opens the
    index. Raises InputError for an index that is not there. Haystack loads a kept pipeline with
    `Pipeline.loads(text, allowed_modules=["gptoss_magic.retrieval.haystack"])`.
    """

    def __init__(
        self, index: str, k: int = 5, where: str | None = None, version: int | None = None
    ) -> None:
        self._bridge = Bridge(index, k, where, version)

    @component.output_types(documents=list[Document])
    def run(self, query: str) -> dict[str, list[Document]]:
        """The passages of one query as documents."""
        found = [
            Document(
                id=place_of(passage),
                content=passage.text,
                meta=metadata_of(passage),
                score=passage.score,
            )
            for passage in self._bridge.search(query)
        ]
        return {"documents": found}

    @component.output_types(documents=list[Document])
    async def run_async(self, query: str) -> dict[str, list[Document]]:
        """`run` in a thread."""
        return await asyncio.to_thread(self.run, query)

    def to_dict(self) -> dict[str, Any]:
        """The settings, as Haystack keeps a pipeline."""
        held = self._bridge
        made: dict[str, Any] = default_to_dict(
            self, index=held.index, k=held.k, where=held.where, version=held.version
        )
        return made

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "IndexRetriever":
        """The component of `to_dict`."""
        made: IndexRetriever = default_from_dict(cls, data)
        return made

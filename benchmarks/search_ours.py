"""Our side of the search benchmark: `Index`."""

from __future__ import annotations

import time

begin = time.perf_counter()
import lancedb  # noqa: E402, F401
import numpy as np  # noqa: E402, F401

from gptoss_magic.retrieval.index import Index  # noqa: E402

IMPORT_S = time.perf_counter() - begin

from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

from benchmarks import side  # noqa: E402


class Ours:
    """Chunks of 900 characters at most; hybrid is what `search` does."""

    def __init__(self) -> None:
        self.embedder = side.Timed()

    def ingest(self, corpus: Path, folder: Path) -> int:
        self.index = Index.create(str(folder / "docs"), self.embedder)
        self.index.ingest([str(corpus)])
        self.texts = side.texts_of(corpus)
        return int(self.index.chunks.table.count_rows())

    def set_up_hybrid(self) -> None:
        """Nothing: the text index is part of the table."""

    def vector(self, query: str) -> Any:
        return self.index.search(query, side.K, by="vectors")

    def hybrid(self, query: str) -> Any:
        return self.index.search(query, side.K)

    def spans(self, found: Any) -> list[side.Span]:
        return [(p.source, *self._place(p)) for p in found]

    def _place(self, passage: Any) -> tuple[int, int]:
        """Its characters in the file, looked for from its first line on."""
        text = self.texts[passage.source]
        lines = text.split("\n")
        at = sum(len(line) + 1 for line in lines[: passage.first_line - 1])
        start = text.find(passage.text, at)
        return (start if start >= 0 else at), (start if start >= 0 else at) + len(passage.text)


if __name__ == "__main__":
    side.report(Ours(), IMPORT_S)

"""A side of store_query_*: python -m benchmarks.store_query KIND SIZE, one line of JSON.

Rows in one store, asked for the 10 nearest of a drawn vector: milliseconds, and how many of those
that numpy finds by comparing all.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from statistics import median, quantiles
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.retrieval_growth import DIM, near

if TYPE_CHECKING:
    from gptoss_magic.retrieval.stores.contract import VectorStore

NUM_QUERIES, K, BATCH = 50, 10, 5_000


def store_of(kind: str, folder: Path) -> VectorStore:
    """An empty store."""
    from gptoss_magic.retrieval.store_chunks import index_facts

    facts = index_facts("drawn", DIM)
    if kind == "lancedb":
        from gptoss_magic.retrieval.stores.lance import LanceStore

        return LanceStore(f"{folder}/rows", facts)
    from gptoss_magic.retrieval.stores.named import StorePlace, opened

    return opened("rows", StorePlace(kind, str(folder), "rows"), facts)


def fill(store: VectorStore, vectors: Any) -> None:
    """A row for each vector."""
    from gptoss_magic.retrieval.folding import WORDS, searchable
    from gptoss_magic.retrieval.stores.contract import StoredRow

    same = dict.fromkeys(("origin", "digest", "kind", "heading"), "")
    same |= {"number": 0, "start": 1, "first_line": 1, "last_line": 1}
    for begin in range(0, len(vectors), BATCH):
        rows = []
        for number in range(begin, min(begin + BATCH, len(vectors))):
            text = f"Row {number}."
            fields = {**same, "source": f"/{number}.md", "text": text, WORDS: searchable(text)}
            rows.append(StoredRow(f"{number:08d}", fields, vectors[number]))
        store.add(rows)
    store.flush()


def measured(kind: str, num: int) -> dict[str, float]:
    """Milliseconds of a query (median, 95th percentile), of numpy's, recall, seconds to fill."""
    vectors, asked = near(1, num), near(2, NUM_QUERIES)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        store = store_of(kind, Path(folder))
        begin = time.perf_counter()
        fill(store, vectors)
        filled = time.perf_counter() - begin
        for vector in asked[:3]:
            store.search(vector, K)
        took, plain, found = [], [], 0
        for vector in asked:
            begin = time.perf_counter()
            rows = store.search(vector, K)
            took.append(1000 * (time.perf_counter() - begin))
            begin = time.perf_counter()
            scores = vectors @ vector
            best = np.argpartition(-scores, K)[:K]
            plain.append(1000 * (time.perf_counter() - begin))
            found += len({f"{n:08d}" for n in best} & {row.id for row, _ in rows})
        store.close()
    return {
        "ms": median(took),
        "p95_ms": quantiles(took, n=20)[-1],
        "numpy_ms": median(plain),
        "recall": found / (NUM_QUERIES * K),
        "fill_s": filled,
    }


if __name__ == "__main__":
    print(json.dumps(measured(sys.argv[1], int(sys.argv[2]))))

"""query_growth_1k_to_1m: how the time of a query grows with the table, with indexes and without."""

from __future__ import annotations

import json
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path
from statistics import median, quantiles
from typing import TYPE_CHECKING, Any

from benchmarks.figure import Figure, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SIZES = (1_000, 10_000, 100_000, 1_000_000)
DIM = 256
BATCH = 50_000
NUM_QUERIES = 20
NUM_WORDS = 40
FREE_BYTES = 8_000_000_000
LIMIT_S = 300


class Drawn:
    """Vectors around 1,000 centres: a query's, by its first number, lies near one of them."""

    name, dim = "drawn", DIM

    def embed(self, texts: Any) -> Any:
        import numpy as np

        return np.stack([near(int(text.split()[0]), 1)[0] for text in texts])


def near(seed: int, num: int) -> Any:
    """float32 [num, DIM] of length one."""
    import numpy as np

    centres = np.random.default_rng(0).standard_normal((1000, DIM), np.float32)
    rng = np.random.default_rng(seed)
    drawn = centres[rng.integers(0, 1000, num)]
    drawn += 0.8 * rng.standard_normal((num, DIM), np.float32)
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def texts(seed: int, num: int) -> list[str]:
    """Words as common as their rank says (Zipf), of 50,000."""
    rng = random.Random(seed)
    return [
        " ".join(f"word{int(50_000 ** rng.random())}" for _ in range(NUM_WORDS)) for _ in range(num)
    ]


def batches(table: Any, first: int, end: int) -> Iterator[Any]:
    """Rows `first` to `end`, a file of 100 chunks after another."""
    import pyarrow as pa

    for begin in range(first, end, BATCH):
        numbers = range(begin, min(begin + BATCH, end))
        same = {"origin": "/corpus", "digest": "", "kind": "text", "heading": ""}
        columns: dict[str, Any] = {key: [value] * len(numbers) for key, value in same.items()}
        columns |= {key: [1] * len(numbers) for key in ("start", "first_line", "last_line")}
        columns |= {
            "id": [f"{number:032x}" for number in numbers],
            "source": [f"/corpus/{number // 100}.txt" for number in numbers],
            "number": [number % 100 for number in numbers],
            "text": texts(begin, len(numbers)),
            "vector": pa.FixedSizeListArray.from_arrays(near(begin, len(numbers)).ravel(), DIM),
        }
        columns["folded"] = columns["text"]
        yield pa.table({name: columns[name] for name in table.schema.names}, schema=table.schema)


def times_ms(ask: Callable[[str], Any], num: int) -> tuple[float, float]:
    """(p50, p95) of `num` queries, after two."""
    found = []
    for number in range(num + 2):
        query = f"{number} " + " ".join(texts(10**9 + number, 1)[0].split()[:4])
        begin = time.perf_counter()
        ask(query)
        found.append(1e3 * (time.perf_counter() - begin))
    return median(found[2:]), quantiles(found[2:], n=20)[-1]


def bare(index: Any) -> Callable[[str], Any]:
    """The nearest vectors, every one of them read."""
    table, embed = index.chunks.table, index.embedder.embed

    def ask(query: str) -> Any:
        found = table.search(embed([query])[0], vector_column_name="vector")
        return found.distance_type("cosine").bypass_vector_index().limit(5).to_list()

    return ask


def measured(index: Any, size: int) -> dict[str, Any]:
    """One size: milliseconds, as (p50, p95)."""
    num = NUM_QUERIES if size < 1_000_000 else 5
    line: dict[str, Any] = {"chunks": size, "vectors_without_index_ms": times_ms(bare(index), num)}
    begin = time.perf_counter()
    index.optimize()
    line["indexing_s"] = time.perf_counter() - begin
    for by in ("vectors", "words", "both"):
        line[f"{by}_ms"] = times_ms(lambda query, by=by: index.search(query, by=by), NUM_QUERIES)
    return {key: _rounded(value) for key, value in line.items()}


def _rounded(value: Any) -> Any:
    return [round(v, 2) for v in value] if isinstance(value, tuple) else round(value, 2)


def grown(folder: Path, sizes: tuple[int, ...]) -> list[dict[str, Any]]:
    """A line for each size of one growing table, as it is measured; after ten minutes no more."""
    from gptoss_magic.retrieval.index import Index

    begin = time.perf_counter()
    index = Index.create(f"{folder}/growth", Drawn())
    lines: list[dict[str, Any]] = []
    for before, size in zip((0, *sizes), sizes, strict=False):
        if time.perf_counter() - begin > LIMIT_S / 3:
            print(f"{size:,} chunks: left out, for time", file=sys.stderr, flush=True)
            break
        for rows in batches(index.chunks.table, before, size):
            index.chunks.table.add(rows)
        lines.append(measured(index, size))
        print(json.dumps(lines[-1]), file=sys.stderr, flush=True)
    return lines


def query_growth_1k_to_1m(_repeats: int) -> Figure:
    """Hybrid p50 at the largest size (ours) against vectors read one by one there (peer)."""
    folder = Path(tempfile.mkdtemp())
    try:
        if shutil.disk_usage(folder).free < FREE_BYTES:
            raise Unavailable("8 GB of disk are not free")
        lines = grown(folder, SIZES)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    first, last = lines[0], lines[-1]
    ours, peer = last["both_ms"][0], last["vectors_without_index_ms"][0]
    growth = ours / first["both_ms"][0]
    what = f"hybrid query at {last['chunks']:,} chunks, {growth:.1f}× that at 1,000; " + "; ".join(
        f"{line['chunks']:,}: vectors {line['vectors_ms'][0]}, hybrid {line['both_ms'][0]}, "
        f"without index {line['vectors_without_index_ms'][0]} ms"
        for line in lines
    )
    ratio = round(peer / ours, 4)
    return Figure("query_growth_1k_to_1m", ours, peer, "ms", ratio, what)

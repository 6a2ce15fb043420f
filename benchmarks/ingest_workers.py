"""An ingest by two processes against the same by one, on the corpus of benchmarks/retrieval.py."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from benchmarks.figure import Figure, compared
from gptoss_magic.retrieval.index import Index

COPIES = 20


def ingest_2_workers_vs_1(repeats: int) -> Figure:
    """Seconds until the files are a searchable index, the start of the processes included."""
    from benchmarks.corpus import write

    took: dict[int, list[float]] = {1: [], 2: []}
    chunks = 0
    with TemporaryDirectory() as folder:
        corpus, indexes = Path(folder) / "texts", Path(folder) / "indexes"
        first = corpus / "0"
        first.mkdir(parents=True)
        write(first)
        for number in range(1, COPIES):
            shutil.copytree(first, corpus / str(number))
        for number in range(max(1, repeats // 2)):
            for workers, times in took.items():
                index = Index.create(str(indexes / f"by_{workers}_{number}"))
                begin = time.perf_counter()
                chunks = index.ingest([str(corpus)], num_workers=workers).chunks
                times.append(time.perf_counter() - begin)
    what = f"files to a searchable index on disk, {chunks} chunks: two processes against one"
    mine, theirs = (round(median(took[count]), 2) for count in (2, 1))
    return compared("ingest_2_workers_vs_1", "s", mine, theirs, what, less_is_better=True)

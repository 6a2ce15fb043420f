"""What each side of a search benchmark measures in its own process, the same for all."""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.corpus import answerable, is_hit
from gptoss_magic.retrieval.embedders import WordLlama

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Span = tuple[str, int, int]  # file, first character, behind the last

K = 5
NUM_CANDIDATES = 50
CHUNK_CHARS = 900
NUM_WARM = 5


class Timed:
    """The embedder of all sides; counts its own seconds, and those of the processors."""

    name, dim = WordLlama.name, WordLlama.dim

    def __init__(self) -> None:
        self._inner = WordLlama()
        self.seconds = self.cpu_seconds = 0.0

    def embed(self, texts: Sequence[str]) -> Any:
        begin, begin_cpu = time.perf_counter(), time.process_time()
        made = self._inner.embed(texts)
        self.seconds += time.perf_counter() - begin
        self.cpu_seconds += time.process_time() - begin_cpu
        return made


def texts_of(corpus: Path) -> dict[str, str]:
    """The corpus by path."""
    return {str(path): path.read_text(encoding="utf-8") for path in sorted(corpus.glob("*.md"))}


def asked(search: Callable[[str], Any], spans: Callable[[Any], list[Span]], corpus: Path) -> Any:
    """Each question asked: 'ms' of each, 'cpu_ms' their mean in processor time, 'recall'.

    Recall is the share with a hit among the first K results.
    """
    given = answerable(corpus)
    for question in given[:NUM_WARM]:
        search(question.text)
    times, hits, cpu_s = [], 0, 0.0
    for question in given:
        begin, begin_cpu = time.perf_counter(), time.process_time()
        found = search(question.text)
        cpu_s += time.process_time() - begin_cpu
        times.append(1000 * (time.perf_counter() - begin))
        hits += any(is_hit(question, corpus, *span) for span in spans(found)[:K])
    num = len(given)
    return {"ms": times, "cpu_ms": 1000 * cpu_s / num, "recall": hits / num, "questions": num}


def report(side: Any, import_s: float) -> None:
    """Measure `side` on the corpus of the command line and print the JSON.

    A side has `ingest(corpus, folder) -> chunks`, `set_up_hybrid()` (timed),
    `vector(query)`, `hybrid(query)` and `spans(results)`.
    """
    corpus = Path(sys.argv[1])
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        begin, begin_cpu = time.perf_counter(), time.process_time()
        num_chunks = side.ingest(corpus, Path(folder))
        ingest_s, embed_s = time.perf_counter() - begin, side.embedder.seconds
        ingest_cpu_s, embed_cpu_s = time.process_time() - begin_cpu, side.embedder.cpu_seconds
        vector = asked(side.vector, side.spans, corpus)
        begin = time.perf_counter()
        side.set_up_hybrid()
        set_up_s = time.perf_counter() - begin
        hybrid = asked(side.hybrid, side.spans, corpus)
    unit = 1 if sys.platform == "darwin" else 1024
    made = {
        "import_s": import_s,
        "ingest_s": ingest_s,
        "ingest_cpu_s": ingest_cpu_s,
        "embed_s": embed_s,
        "embed_cpu_s": embed_cpu_s,
        "hybrid_set_up_s": set_up_s,
        "chunks": num_chunks,
        "vector": vector,
        "hybrid": hybrid,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6,
    }
    print(json.dumps(made))

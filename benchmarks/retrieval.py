"""Ingest, queries and recall of `Index` against LangChain with Chroma and LlamaIndex.

The same texts, embedder and questions (benchmarks/corpus.py); each side in a fresh process, peers
in a venv of their own (benchmarks/peers.py). Figures of one pair come from the same processes.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from benchmarks.figure import Figure, compared
from benchmarks.peers import peers_python, side

if TYPE_CHECKING:
    from collections.abc import Callable

OURS, CHROMA, LLAMA = "search_ours", "search_langchain", "search_llama_index"
KEYS = ("import_s", "ingest_s", "embed_s", "ingest_cpu_s", "embed_cpu_s")
KEYS += ("hybrid_set_up_s", "peak_mb", "chunks")


@cache
def measured(peer: str, repeats: int) -> dict[str, dict[str, Any]]:
    """Figures of ours and of a peer, medians of a few rounds in turns. Raises Unavailable."""
    peers_python()
    rounds: dict[str, list[dict[str, Any]]] = {OURS: [], peer: []}
    with TemporaryDirectory() as folder:
        corpus = Path(folder) / "texts"
        side("corpus", corpus)  # it imports the whole standard library
        for _ in range(max(1, repeats // 2)):
            for name, found in rounds.items():
                found.append(side(name, corpus))
    return {name: summary(found) for name, found in rounds.items()}


def summary(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """Medians over rounds; p50 and p95 [ms] over all questions of all rounds."""
    made: dict[str, Any] = {key: round(median(r[key] for r in rounds), 3) for key in KEYS}
    for way in ("vector", "hybrid"):
        times = quantiles((ms for r in rounds for ms in r[way]["ms"]), n=100)
        made |= {f"{way}_p50_ms": round(times[49], 2), f"{way}_p95_ms": round(times[94], 2)}
        made[f"{way}_cpu_ms"] = round(median(r[way]["cpu_ms"] for r in rounds), 2)
        made[f"{way}_recall_at_5"] = round(rounds[0][way]["recall"], 4)
    return made | {"questions": rounds[0]["vector"]["questions"]}


def figure(name: str, key: str, peer: str, what: str, repeats: int, *, less: bool = True) -> Figure:
    """One measure of ours and a peer, all that both measured beside it."""
    found = measured(peer, repeats)
    ours, theirs = found[OURS], found[peer]
    unit = "ms" if key.endswith("_ms") else "s" if key.endswith("_s") else "share"
    words = f"{what}; {ours['chunks']:.0f} chunks, {theirs['chunks']:.0f} of theirs"
    made = compared(name, unit, ours[key], theirs[key], words, less_is_better=less)
    return Figure(**{**vars(made), "more": {"ours": ours, "peer": theirs}})


def ingest(name: str, peer: str, who: str, repeats: int) -> Figure:
    """Seconds from files to an index on disk, the shared embedder's own in words."""
    found = measured(peer, repeats)
    theirs, ours = (
        [found[side]["ingest" + key] - found[side]["embed" + key] for key in ("_s", "_cpu_s")]
        for side in (peer, OURS)
    )
    what = (
        f"files to a searchable index on disk, ours with full text, against {who}; without the "
        f"shared embedder's time {theirs[0]:.2f} s against our {ours[0]:.2f} s, "
        f"{theirs[0] / ours[0]:.1f} times ({theirs[1] / ours[1]:.1f} in processor time)"
    )
    return figure(name, "ingest_s", peer, what, repeats)


def ingest_vs_langchain_chroma(repeats: int) -> Figure:
    return ingest("ingest_vs_langchain_chroma", CHROMA, "LangChain + Chroma", repeats)


def ingest_vs_llamaindex(repeats: int) -> Figure:
    return ingest("ingest_vs_llamaindex", LLAMA, "LlamaIndex's default store", repeats)


def vector_query_vs_langchain_chroma(repeats: int) -> Figure:
    """Median milliseconds of one query by vectors alone."""
    what = "a query by vectors alone, 5 results, p50 against LangChain + Chroma"
    name = "vector_query_vs_langchain_chroma"
    return figure(name, "vector_p50_ms", CHROMA, what, repeats)


def hybrid_query_vs_langchain_chroma(repeats: int) -> Figure:
    """Median milliseconds of one query by words and vectors."""
    what = "a query by words and vectors, p50 against LangChain's EnsembleRetriever (BM25, Chroma)"
    name = "hybrid_query_vs_langchain_chroma"
    return figure(name, "hybrid_p50_ms", CHROMA, what, repeats)


def hybrid_recall_vs_llamaindex(repeats: int) -> Figure:
    """Share of the questions with the answer's section among five results."""
    what = "recall@5 by words and vectors against LlamaIndex's QueryFusionRetriever with BM25"
    name = "hybrid_recall_vs_llamaindex"
    return figure(name, "hybrid_recall_at_5", LLAMA, what, repeats, less=False)


RETRIEVAL: dict[str, Callable[[int], Figure]] = {
    function.__name__: function
    for function in (
        ingest_vs_langchain_chroma,
        ingest_vs_llamaindex,
        vector_query_vs_langchain_chroma,
        hybrid_query_vs_langchain_chroma,
        hybrid_recall_vs_llamaindex,
    )
}

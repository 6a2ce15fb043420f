"""Run all figures, or one: python -m benchmarks [NAME] [--repeats N] [--quick]."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks.decode import DECODE
from benchmarks.evaluate import EVALUATE
from benchmarks.goals import goal_lanes_vs_serial
from benchmarks.ingest_workers import ingest_2_workers_vs_1
from benchmarks.languages import RECALL
from benchmarks.layer import LAYER
from benchmarks.memory import quickstart_peak_rss_mb
from benchmarks.ranks import RANKS
from benchmarks.read import read_texts_vs_transformers
from benchmarks.recall import memory_recall_vs_vectors
from benchmarks.recall_bfcl import memory_recall_bfcl_vs_vectors
from benchmarks.replay import replay_seconds_vs_generation
from benchmarks.retrieval import RETRIEVAL
from benchmarks.retrieval_growth import query_growth_1k_to_1m
from benchmarks.routing import routing_capture_overhead
from benchmarks.rows import map_64_rows_vs_generate_batch, map_64_rows_vs_loop
from benchmarks.run import run
from benchmarks.serving import SERVING
from benchmarks.speed import decode_vs_transformers, first_token_vs_transformers
from benchmarks.start import load_ext_ms
from benchmarks.stores import STORES
from benchmarks.stream import stream_overhead
from benchmarks.talk import turn10_first_token_vs_cold, turn10_first_token_vs_generate
from benchmarks.train import TRAIN
from benchmarks.tune import TUNE
from benchmarks.whole import WHOLE

FIGURES = {
    function.__name__: function
    for function in (
        load_ext_ms,
        stream_overhead,
        decode_vs_transformers,
        first_token_vs_transformers,
        turn10_first_token_vs_cold,
        turn10_first_token_vs_generate,
        map_64_rows_vs_loop,
        map_64_rows_vs_generate_batch,
        goal_lanes_vs_serial,
        routing_capture_overhead,
        read_texts_vs_transformers,
        query_growth_1k_to_1m,
        ingest_2_workers_vs_1,
        memory_recall_vs_vectors,
        memory_recall_bfcl_vs_vectors,
        quickstart_peak_rss_mb,
        replay_seconds_vs_generation,
        *WHOLE,
    )
}
FIGURES |= (
    SERVING | DECODE | EVALUATE | RETRIEVAL | RECALL | STORES | TUNE | TRAIN | RANKS | LAYER
)  # the layers last: they hold up to 8 GB
QUICK = (
    "stream_overhead",
    "decode_vs_transformers",
    "decode_bandwidth_share",
    "decode_bandwidth_share_20b",
    "decode_busy_share",
    "decode_with_adapter_share",
    "decode_vs_llamacpp",
    "prefill_vs_llamacpp",
    "decode_busy_vs_llamacpp",
    "builtin_decode_vs_llamacpp",
    "builtin_prefill_vs_llamacpp",
    "prefill_packed_vs_transformers",
    "load_peak_memory_vs_packed",
)
REPEATS, QUICK_REPEATS = 3, 2
RESULTS = Path(__file__).parent / "results" / "latest.jsonl"


def main() -> int:
    """Run what is asked for; lines measured stay after an interrupt."""
    parser = argparse.ArgumentParser(prog="benchmarks")
    parser.add_argument("name", nargs="?")
    parser.add_argument("--repeats", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="those that matter, fewer repeats")
    given = parser.parse_args()
    if given.name and given.name not in FIGURES:
        print(f"{given.name}: no such figure; there are {', '.join(FIGURES)}", file=sys.stderr)
        return 2
    names = [given.name] if given.name else QUICK if given.quick else FIGURES
    repeats = given.repeats or (QUICK_REPEATS if given.quick else REPEATS)
    return run({name: FIGURES[name] for name in names}, repeats, RESULTS)


if __name__ == "__main__":
    sys.exit(main())

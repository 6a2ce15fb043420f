"""Chroma as a vector store, in the venv of the retrieval benchmarks' peers, which has it."""

import json

import pytest

from tests.neighbours.conftest import peers_of
from tests.store_cases import CASES

pytestmark = pytest.mark.slow


def test_chroma_keeps_the_contract(tmp_path):
    """By the same cases as all stores; 10,000 vectors; 20 writers that are killed."""
    peers = peers_of("bench.txt")
    told = json.loads(peers.run("chroma_store.py", tmp_path, 20, has_ours=True).splitlines()[-1])
    assert told["passed"] == [case.__name__ for case in CASES]
    assert told["recall"] >= 0.98
    assert told["texts in chroma"] == told["texts after deletion"] == 0
    assert told["read by others"] == [10_000, "The"]
    assert told["killed"] == 20
    assert told["odd"] == ["docs", "chroma"]

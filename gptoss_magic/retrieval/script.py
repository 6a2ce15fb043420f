"""`index`, `search` and `evaluate_retrieval`: what the magics of the same names do, for scripts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptoss_magic.public import public
from gptoss_magic.vocabulary import PASSAGES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gptoss_magic.records import Passage
    from gptoss_magic.retrieval.evaluate import Evaluation
    from gptoss_magic.retrieval.ingest import Ingested


@public
def index(name: str, *paths: str | Path, workers: int = 1) -> Ingested:
    """Put files, folders and patterns into the index `name`, which is made where there is none.

    What is there already is read again where it changed. What cannot be read is left out, and named
    in what this gives. `workers`: so many processes read the files, each for itself.
    Raises InputError, MissingPackage, StorageError.
    """
    from gptoss_magic.retrieval.index import Index

    return Index.create(name).ingest([str(path) for path in paths], num_workers=workers)


@public
def search(names: str | Sequence[str], query: str, k: int = PASSAGES) -> list[Passage]:
    """The `k` passages of an index, or of several in turn, that fit the query best.

    Raises InputError for an index that is not there.
    """
    from gptoss_magic.retrieval.index import search_all

    return search_all([names] if isinstance(names, str) else list(names), query, k)


@public
def evaluate_retrieval(
    name: str, questions: str | Path | Sequence[dict[str, Any]], k: int = 5
) -> Evaluation:
    """Recall, MRR and nDCG at `k` of an index on questions, or on a .jsonl file of them.

    Raises InputError.
    """
    from gptoss_magic.retrieval.evaluate import checked_row, read_questions
    from gptoss_magic.retrieval.evaluate import evaluate as measured
    from gptoss_magic.retrieval.index import Index

    if isinstance(questions, str | Path):
        rows = read_questions(str(questions))
    else:
        rows = [checked_row(row, f"question {n}") for n, row in enumerate(questions, 1)]
    return measured(Index.open(name), rows, k)

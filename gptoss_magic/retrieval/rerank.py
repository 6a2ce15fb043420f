"""An optional second look: a cross-encoder scores each candidate with the query."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Protocol

from gptoss_magic.errors import InputError, MissingPackage

if TYPE_CHECKING:
    from collections.abc import Sequence


class Reranker(Protocol):
    """`score` gives one number per text, higher for a better match; any scale."""

    def score(self, query: str, texts: Sequence[str]) -> Sequence[float]: ...


class CrossEncoder:
    """A sentence-transformers cross-encoder, by hub name or folder; its own code is not run."""

    def __init__(self, name: str) -> None:
        try:
            from sentence_transformers import CrossEncoder as Model
        except ImportError as error:
            raise MissingPackage(
                f"reranker {name} needs sentence-transformers: pip install gptoss_magic[embed]"
            ) from error
        try:
            self._model = Model(name, trust_remote_code=False, num_labels=1)
        except (OSError, ValueError) as error:
            reason = str(error).strip().split("\n")[0][:200]
            raise InputError(
                f"reranker {name}: {reason}; give a cross-encoder's hub name or folder"
            ) from error

    def score(self, query: str, texts: Sequence[str]) -> Sequence[float]:
        pairs = [(query, text) for text in texts]
        scores = self._model.predict(pairs, show_progress_bar=False) if pairs else []
        return [float(score) for score in scores]


@cache
def reranker_named(name: str) -> Reranker:
    """The cross-encoder of that name, kept for the next query. Raises InputError."""
    return CrossEncoder(name)


def reranked(reranker: Reranker, query: str, rows: Sequence[dict[str, Any]]) -> list[Any]:
    """The rows by the reranker's score, which becomes theirs."""
    texts = [f"{row['heading']}\n{row['text']}".strip() for row in rows]
    scored = [
        {**row, "score": float(score)}
        for row, score in zip(rows, reranker.score(query, texts), strict=True)
    ]
    return sorted(scored, key=lambda row: -row["score"])

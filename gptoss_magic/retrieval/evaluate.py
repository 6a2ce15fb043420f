"""How well an index finds what questions are about: recall@k, MRR and nDCG over its chunks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any, TypedDict

from gptoss_magic.errors import InputError, MissingPackage
from gptoss_magic.quoting import printable
from gptoss_magic.textfiles import read_json_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from gptoss_magic.retrieval.index import Index

WAYS = ("words", "vectors", "both")


@dataclass(frozen=True)
class Question:
    """A question and what answers it: `wanted` has for each thing the ids of chunks that hold it.

    `is_stale`: the index has no such chunk, or its text is not what the question was made from.
    """

    text: str
    wanted: tuple[frozenset[str], ...]
    is_reviewed: bool
    is_stale: bool


@dataclass(frozen=True)
class Figures:
    """Means over the questions, in [0, 1]; `error` is the standard error of `recall`."""

    recall: float
    mrr: float
    ndcg: float
    error: float


@dataclass(frozen=True)
class Evaluation:
    """One index on one set of questions, by each way of searching it.

    `missed[way]`: the questions of which nothing wanted was among the first k chunks.
    `num_unreviewed` of the `num_questions` were not yet confirmed by a person; stale ones are left
    out and stand in `stale`.
    """

    index: str
    k: int
    num_questions: int
    num_unreviewed: int
    figures: dict[str, Figures]
    missed: dict[str, tuple[str, ...]]
    stale: tuple[str, ...] = ()

    def to_frame(self) -> Any:
        """A pandas DataFrame: a row for each way, columns recall, mrr, ndcg, error, missed."""
        try:
            import pandas as pd
        except ImportError as error:
            raise MissingPackage("to_frame needs pandas: pip install gptoss_magic[map]") from error
        rows = {
            way: {**vars(self.figures[way]), "missed": len(self.missed[way])}
            for way in self.figures
        }
        return pd.DataFrame.from_dict(rows, orient="index")


def evaluate(
    index: Index,
    rows: Sequence[dict[str, Any]],
    k: int = 5,
    progress: Callable[[int, int, str], None] = lambda done, total, note: None,
) -> Evaluation:
    """Search `index` for each row's question by words, by vectors and by both.

    A row (see `read_questions`) has `question` and says what answers it. Raises InputError.
    """
    if k < 1:
        raise InputError(f"evaluate: {k} chunks; give 1 or more")
    held = held_chunks(index)
    asked = [resolved(row, held) for row in rows]
    fresh = [question for question in asked if not question.is_stale]
    if not fresh:
        raise InputError(f"evaluate: the index {index.name} has no chunk that a question names")
    found = _found(index, fresh, k, progress)
    return Evaluation(
        index=index.name,
        k=k,
        num_questions=len(fresh),
        num_unreviewed=sum(not question.is_reviewed for question in fresh),
        figures={way: figures(fresh, ids, k) for way, ids in found.items()},
        missed={way: _missed(fresh, ids) for way, ids in found.items()},
        stale=tuple(question.text for question in asked if question.is_stale),
    )


def _found(
    index: Index,
    questions: Sequence[Question],
    k: int,
    progress: Callable[[int, int, str], None],
) -> dict[str, list[list[str]]]:
    """For each way of searching, and each question: chunk ids, best first."""
    ways = [way for way in WAYS if index.embedder.dim or way == "words"]
    found: dict[str, list[list[str]]] = {way: [] for way in ways}
    for number, question in enumerate(questions, 1):
        for way in ways:
            found[way].append(index.ranked(question.text, k, by=way))
        progress(number, len(questions), "")
    return found


def figures(questions: Sequence[Question], found: Sequence[Sequence[str]], k: int) -> Figures:
    """The means; `found` has for each question chunk ids, best first."""
    pairs = list(zip(questions, found, strict=True))
    recalls = [recall(question.wanted, ids) for question, ids in pairs]
    mean = fmean(recalls)
    spread = sum((each - mean) ** 2 for each in recalls) / max(len(recalls) - 1, 1)
    return Figures(
        recall=mean,
        mrr=fmean(reciprocal_rank(question.wanted, ids) for question, ids in pairs),
        ndcg=fmean(ndcg(question.wanted, ids, k) for question, ids in pairs),
        error=math.sqrt(spread / len(recalls)),
    )


def recall(wanted: Sequence[frozenset[str]], ids: Sequence[str]) -> float:
    """The share of the wanted things that a chunk among `ids` holds."""
    return sum(not each.isdisjoint(ids) for each in wanted) / len(wanted)


def reciprocal_rank(wanted: Sequence[frozenset[str]], ids: Sequence[str]) -> float:
    """1 / rank of the first chunk that holds something wanted, ranks from 1; 0 without one."""
    every = frozenset().union(*wanted)
    return next((1 / rank for rank, each in enumerate(ids, 1) if each in every), 0.0)


def ndcg(wanted: Sequence[frozenset[str]], ids: Sequence[str], k: int) -> float:
    """Normalized discounted cumulative gain at k (Jarvelin and Kekalainen 2002, log base 2).

    DCG is the sum of gain / log2(rank + 1), ranks from 1; a chunk's gain is 1 where it holds a
    wanted thing that no chunk before it holds. The ideal has its gains at the first ranks.
    """
    open_, gain = list(wanted), 0.0
    for rank, each in enumerate(ids[:k], 1):
        rest = [ids_ for ids_ in open_ if each not in ids_]
        gain += (len(rest) < len(open_)) / math.log2(rank + 1)
        open_ = rest
    ideal = sum(1 / math.log2(rank + 1) for rank in range(1, min(len(wanted), k) + 1))
    return gain / ideal


def _missed(questions: Sequence[Question], found: Sequence[Sequence[str]]) -> tuple[str, ...]:
    pairs = zip(questions, found, strict=True)
    return tuple(question.text for question, ids in pairs if not recall(question.wanted, ids))


class HeldChunk(TypedDict):
    """One chunk of an index; lines count from 1, both included."""

    id: str
    source: str
    heading: str
    first_line: int
    last_line: int
    text: str


def held_chunks(index: Index) -> list[HeldChunk]:
    """Every chunk of the index: id, source, heading, lines and text."""
    rows: list[Any] = index.chunks.all()
    return rows


def read_questions(path: str) -> list[dict[str, Any]]:
    """Rows of a JSON Lines file in any encoding, one object a line; nulls are as if left out.

    Each has a `question`, and what answers it: `chunk` (an id, as `evaluate questions` writes it,
    with the `text` that it had), or `source` (the end of a path) with `lines` [first, last] or a
    `text` that stands there; or `answers`: a list of such. `reviewed` is true once a person has
    confirmed it. Raises InputError.
    """
    rows = read_json_lines(path)
    if not rows:
        raise InputError(f"{printable(path)}: no question in it; give one a line")
    return [checked_row(value, f"{printable(path)}, line {number}") for number, value in rows]


def checked_row(value: Any, place: str) -> dict[str, Any]:
    row: dict[str, Any] = _without_nulls(value)
    question = row.get("question") if isinstance(row, dict) else None
    if not isinstance(question, str) or not question.strip():
        raise InputError(f"{place}: give an object with a question, a text")
    answers = row.get("answers", [row])
    if not isinstance(answers, list) or not answers or not all(map(_is_answer, answers)):
        raise InputError(f"{place}: say what answers it: chunk, or source with lines or text")
    return row


def _without_nulls(value: Any) -> Any:
    """Objects without their nulls, which tables fill in for what was left out."""
    if isinstance(value, list):
        return [_without_nulls(part) for part in value]
    if isinstance(value, dict):
        return {key: _without_nulls(part) for key, part in value.items() if part is not None}
    return value


def _is_answer(given: Any) -> bool:
    if not isinstance(given, dict) or not isinstance(given.get("text", ""), str):
        return False
    lines = given.get("lines", [1, 1])
    is_range = isinstance(lines, list) and len(lines) == 2 and all(type(n) is int for n in lines)
    return is_range and (bool(given.get("chunk")) or isinstance(given.get("source"), str))


def resolved(row: dict[str, Any], held: Iterable[HeldChunk]) -> Question:
    """The row's question, its answers as ids of chunks that are held."""
    wanted = [_ids(answer, held) for answer in row.get("answers", [row])]
    return Question(
        text=str(row["question"]).strip(),
        wanted=tuple(dict.fromkeys(wanted)),
        is_reviewed=row.get("reviewed", True) is True,
        is_stale=not all(wanted),
    )


def _ids(answer: dict[str, Any], held: Iterable[HeldChunk]) -> frozenset[str]:
    if answer.get("chunk"):
        text = answer.get("text")
        return frozenset(
            chunk["id"]
            for chunk in held
            if chunk["id"] == answer["chunk"] and text in (None, chunk["text"])
        )
    first, last = answer.get("lines", [0, math.inf])
    text = " ".join(answer.get("text", "").split())
    return frozenset(
        chunk["id"]
        for chunk in held
        if f"/{chunk['source']}".endswith(f"/{answer['source'].lstrip('/')}")
        and chunk["first_line"] <= last
        and first <= chunk["last_line"]
        and text in " ".join(chunk["text"].split())
    )

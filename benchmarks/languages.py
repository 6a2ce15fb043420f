"""Recall of a search in five languages, on documents and questions that were written for it.

`data/languages/LANGUAGE.tsv` has a document and a question on it a line: 44 of a small town's rules
that are alike on purpose, the same in each language, and the question in other forms of the words.
Each document is a file of its own; a question is answered where its file is among five results.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from benchmarks.figure import Figure, compared

if TYPE_CHECKING:
    from collections.abc import Callable

    from gptoss_magic.retrieval.index import Index

LANGUAGES = {"en": "English", "ru": "Russian", "zh": "Chinese", "ja": "Japanese", "ar": "Arabic"}
DATA = Path(__file__).parent / "data" / "languages"
K = 5


def pairs(language: str) -> list[tuple[str, str]]:
    """(document, question) of each line."""
    lines = (DATA / f"{language}.tsv").read_text(encoding="utf-8").splitlines()
    return [(document, question) for document, question in (line.split("\t") for line in lines)]


def indexed(folder: Path, *languages: str, is_plain: bool = False) -> Index:
    """An index of all documents of these languages, as `%gptoss index FOLDER` makes it.

    `is_plain`: of the text as it stands, by LanceDB's full text as it is by default.
    """
    from gptoss_magic.retrieval.index import Index

    texts, name = folder / "texts", str(folder / "index")
    texts.mkdir(parents=True)
    for language in languages:
        for number, (document, _) in enumerate(pairs(language)):
            (texts / f"{language}{number:02}.txt").write_text(document, encoding="utf-8")
    if is_plain:
        make_plain(name)
    index = Index.create(name)
    index.ingest([str(texts)])
    return index


def make_plain(name: str) -> None:
    """A table as versions before `words` made it."""
    import pyarrow as pa

    from gptoss_magic.retrieval import store
    from gptoss_magic.retrieval.embedders import embedder_named
    from gptoss_magic.retrieval.folding import FOLDED, WORDS

    made, where = store.schema(embedder_named()), store.place(name)
    column = pa.field(FOLDED, pa.string(), nullable=False)
    older = made.set(made.get_field_index(WORDS), column)
    store.connect(where.uri).create_table(where.table, schema=older)


def recall(index: Index, language: str, by: str = "both") -> float:
    """The share of a language's questions whose document is among the five best."""
    asked = pairs(language)
    hits = 0
    for number, (_, question) in enumerate(asked):
        found = index.search(question, K, by=by)
        hits += f"{language}{number:02}.txt" in {Path(passage.source).name for passage in found}
    return hits / len(asked)


def recall_at_5(language: str, _repeats: int) -> Figure:
    """Words and vectors, as users search, against the same over LanceDB's own full text."""
    with TemporaryDirectory() as place:
        folder = Path(place)
        index, plain = (
            indexed(folder / "a", language),
            indexed(folder / "b", language, is_plain=True),
        )
        words, vectors = recall(index, language, "words"), recall(index, language, "vectors")
        without = recall(plain, language, "words")
        every = recall(indexed(folder / "all", *LANGUAGES), language)
        ours, theirs = recall(index, language), recall(plain, language)
    what = (
        f"recall@5 of {len(pairs(language))} questions in {LANGUAGES[language]} over as many "
        f"documents, words and vectors, against LanceDB's full text by default with the same "
        f"vectors; words alone {words:.3f} against {without:.3f}, vectors alone {vectors:.3f}; in "
        f"one index with all five languages {every:.3f}"
    )
    return compared(f"recall_at_5_{language}", "share", ours, theirs, what, less_is_better=False)


RECALL: dict[str, Callable[[int], Figure]] = {
    f"recall_at_5_{language}": partial(recall_at_5, language) for language in LANGUAGES
}

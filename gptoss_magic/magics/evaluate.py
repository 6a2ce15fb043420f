"""`%gptoss evaluate`: benchmarks of the model; how well an index finds things, and questions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptoss_magic.atomic import NewLines
from gptoss_magic.magics import benchmarks
from gptoss_magic.magics import options as opt
from gptoss_magic.vocabulary import counted

if TYPE_CHECKING:
    from argparse import Namespace

    from gptoss_magic.retrieval.evaluate import Evaluation

RETRIEVAL: list[opt.Option] = [
    (("name",), {"metavar": "NAME", "help": "an index"}),
    (("file",), {"metavar": "QUESTIONS.jsonl", "help": "questions, and what answers them"}),
    (("-K", "--passages"), {"type": int, "default": 5, "help": "k: chunks that are looked at"}),
    (("-A", "--at"), {"type": int, "help": "this version of the index"}),
    (("-o", "--output"), {"help": "put the Evaluation into this variable"}),
]
QUESTIONS: list[opt.Option] = [
    (("name",), {"metavar": "NAME", "help": "an index"}),
    (("-o", "--output"), {"dest": "file", "required": True, "help": "a new file, JSON Lines"}),
    (("-n", "--num"), {"type": int, "default": 20, "help": "questions, at most"}),
    (("-s", "--seed"), {"type": int, "default": 0, "help": "draw the same chunks again"}),
]
PARSERS = {
    "retrieval": opt.parser(
        "%gptoss evaluate retrieval",
        RETRIEVAL,
        "Recall@k, MRR and nDCG of an index.",
        ["%gptoss evaluate retrieval docs questions.jsonl -K 5 -o found"],
    ),
    "questions": opt.parser(
        "%gptoss evaluate questions",
        QUESTIONS,
        "Questions to an index by the model, for your review.",
        ["%gptoss evaluate questions docs -o questions.jsonl -n 20"],
    ),
    "flip": benchmarks.FLIPPING,
}
PARSER = benchmarks.PARSER
NAMES = {"words": "words", "vectors": "vectors", "both": "hybrid"}
MAX_SHOWN = 20


def run(line: str, magics: Any) -> None:
    """One line of `%gptoss evaluate`."""
    command, _, rest = line.strip().partition(" ")
    if command not in PARSERS:
        return benchmarks.run(line, magics)
    if command == "flip":
        return benchmarks.show_flip(rest, magics)
    given = opt.parse(PARSERS[command], rest)
    if command == "retrieval":
        return retrieval(given, magics.shell.user_ns)
    return questions(given, magics)


def words(typed: list[str]) -> list[str]:
    if len(typed) < 2:
        return [*PARSERS, *benchmarks.words(typed)]
    if typed[0] not in PARSERS:
        return benchmarks.words(typed)
    if typed[0] == "flip":
        return []
    return opt.flags(QUESTIONS if typed[0] == "questions" else RETRIEVAL)


def retrieval(given: Namespace, names: dict[str, Any]) -> None:
    """Evaluate, show the figures side by side and what was missed."""
    from gptoss_magic.retrieval.evaluate import evaluate, read_questions
    from gptoss_magic.retrieval.index import Index
    from gptoss_magic.widgets.progress import ProgressView

    rows = read_questions(given.file)
    opened = Index.open(given.name, version=given.at)
    with ProgressView("questions", lambda done, total: f"{done} of {total}") as bar:
        found = evaluate(opened, rows, given.passages, bar.update)
        bar.finish(summary(found))
    show(found)
    if given.output:
        names[given.output] = found


def summary(found: Evaluation) -> str:
    """One line: how many questions, and how many of them nobody reviewed."""
    unreviewed = found.num_unreviewed
    parts = [
        f"index {found.index}: {counted(found.num_questions, 'question')}",
        f"{unreviewed} of them not reviewed: figures are provisional" if unreviewed else "",
        f"{len(found.stale)} left out: the index has not what they were made from"
        if found.stale
        else "",
    ]
    return " · ".join(filter(None, parts))


def show(found: Evaluation) -> None:
    """A table of the figures; below it the questions that were missed, and by which way."""
    from gptoss_magic.magics.index import show_table

    headers = ("", f"recall@{found.k}", "± error", "MRR", f"nDCG@{found.k}", "missed")
    rows = [
        (NAMES[way], f"{f.recall:.3f}", f"{f.error:.3f}", f"{f.mrr:.3f}", f"{f.ndcg:.3f}", n)
        for way, f in found.figures.items()
        for n in [len(found.missed[way])]
    ]
    show_table(headers, rows)
    missed = {question: None for way in found.missed for question in found.missed[way]}
    if missed:
        show_table(("missed", "by"), [(q, _by(found, q)) for q in list(missed)[:MAX_SHOWN]])


def _by(found: Evaluation, question: str) -> str:
    return ", ".join(NAMES[way] for way in found.missed if question in found.missed[way])


def questions(given: Namespace, magics: Any) -> None:
    """Let the resident model write questions into a new file; ■ keeps those that are there."""
    from gptoss_magic.retrieval.evaluate import held_chunks
    from gptoss_magic.retrieval.index import Index
    from gptoss_magic.studies.questions import corpus_questions
    from gptoss_magic.widgets.progress import ProgressView

    chunks, number = held_chunks(Index.open(given.name)), 0
    with NewLines(Path(given.file).expanduser()) as file:
        magics.load_default()
        with ProgressView("questions", lambda done, total: f"{done} of {total}") as bar:
            made = corpus_questions(chunks, given.num, seed=given.seed)
            for number, row in enumerate(made, 1):
                file.add(json.dumps(row, ensure_ascii=False))
                bar.update(number, given.num, "")
            bar.finish(
                f"{counted(number, 'question')} in {given.file}: read each, set reviewed to true"
            )

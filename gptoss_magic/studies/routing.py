"""Studies of the resident model, for scripts as for the magics: `score_routing`, and comparisons.

Data is texts, or answers; where only prompts are given, the model answers them first, since
prompts alone mislead: experts that only answers use look idle.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError
from gptoss_magic.public import public
from gptoss_magic.records import Answer
from gptoss_magic.session import current
from gptoss_magic.textfiles import LINE_END, read_json_lines, read_text
from gptoss_magic.tuning.data import Row, encode
from gptoss_magic.tuning.sources import ANSWERS, row_of
from gptoss_magic.turns.many import answer_all, for_prompts
from gptoss_magic.turns.progress import noted, silent
from gptoss_magic.turns.prompt import ids_of
from gptoss_magic.turns.settle import settle
from gptoss_magic.vocabulary import EFFORT, NONE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gptoss_magic.records import Request
    from gptoss_magic.routing.compare import RoutingComparison
    from gptoss_magic.routing.scores import Scores
    from gptoss_magic.turns.progress import Progress

COLUMNS = ("prompt", "text", "user", "question")


@public
def score_routing(
    data: Any,
    *,
    prompts_only: bool = False,
    max_tokens: int = 256,
    effort: str = EFFORT,
    system: str | None = None,
    date: str | None = None,
    adapters: Sequence[str] | None = None,
    title: str = "",
    progress: Progress = silent,
) -> Scores:
    """Which experts of the resident model (loaded first where none is) `data` uses.

    `data`: a prompt, prompts, `Answer`s, a DataFrame or records with a column 'prompt' (or text,
    user, question), or the `Path` of a .jsonl or .txt file of prompts. Prompts are answered first,
    greedily, with at most `max_tokens` each, unless `prompts_only`; answers and rows with an answer
    (see `tuning.sources`) count as they are, answers by their own record where all have `routing`
    (no REAP then). `adapters` stand beside the model while it answers and reads (None: those in
    use). Lift is over general text through the base.
    `progress` is told items done, in total, and what is being done. An interrupt leaves nothing.
    Raises InputError, ContextOverflow.
    """
    from gptoss_magic.routing.score import scores_of

    items = read(data)
    request = settle(
        effort=effort,
        system=system,
        date=date,
        adapters=adapters,
        temperature=0.0,
        max_tokens=max_tokens,
    )
    session = current()
    resident = session.require_local()
    base = _baseline(progress)
    about = {**resident.identity, "title": title or "routing", "effort": effort}
    traces = [item.routing for item in items if isinstance(item, Answer) and item.routing]
    if len(traces) == len(items):
        return scores_of(traces, resident.model.config, about, base)
    sequences = _sequences(items)
    asked = for_prompts(request, [item for item in items if isinstance(item, str)])
    with session.using(request.adapters or (NONE,)) as active:
        about["adapters"] = list(active.names)
        told = noted(progress, "answering")
        sequences += [ids_of(one) for one in asked] if prompts_only else _answered(asked, told)
        return _scored(sequences, about, base, progress)


def _sequences(items: Sequence[str | Answer | Row]) -> list[list[int]]:
    """Token ids of the answers and rows among `items`."""
    codec = current().codec
    return [_tokens(item) for item in items if isinstance(item, Answer)] + [
        list(example.ids)
        for item in items
        if isinstance(item, Row)
        for example in encode(item, codec)
    ]


def _baseline(progress: Progress) -> Scores:
    from gptoss_magic.routing.baseline import baseline

    session = current()
    resident = session.require_local()
    with session.using((NONE,)):
        weights, told = resident.identity["weights"], noted(progress, "baseline")
        return baseline(resident.model, session.codec, weights, told)


def _scored(
    sequences: Sequence[Sequence[int]], about: dict[str, Any], base: Scores, progress: Progress
) -> Scores:
    from gptoss_magic.harmony.channels import channels_of
    from gptoss_magic.routing.score import score

    session = current()
    resident, engine = session.require_local(), session.local_engine
    return score(
        resident.model,
        sequences,
        [channels_of(ids, engine.codec) for ids in sequences],
        noted(progress, "scoring"),
        about=about,
        baseline=base,
        fill=engine.prefixes.beside.fill,
    )


@public
def compare_routing(a: Any, b: Any, *, by: str = "share", **options: Any) -> RoutingComparison:
    """The difference between two `Scores`, or two of what `score_routing(..., **options)` takes.

    Raises InputError where they come from models of other shapes.
    """
    from gptoss_magic.routing.compare import compare
    from gptoss_magic.routing.scores import Scores

    first, second = (s if isinstance(s, Scores) else score_routing(s, **options) for s in (a, b))
    return compare(first, second, by)


def read(data: Any) -> list[str | Answer | Row]:
    """Prompts and answers of `data`; see `score_routing`. Raises InputError."""
    if isinstance(data, (str, Answer)):
        items: list[Any] = [data]
    elif isinstance(data, Path):
        items = _lines(data)
    elif hasattr(data, "columns"):
        column = next((name for name in COLUMNS if name in data.columns), data.columns[0])
        items = list(data[column])
    else:
        items = list(data)
    found = [_item(item) for item in items]
    if not found or "" in found:
        raise InputError("routing: no data, or an empty text in it; give prompts or Answers")
    return found


def _lines(path: Path) -> list[Any]:
    """Values of a JSON Lines file, or the lines of any other text. Raises InputError."""
    if path.suffix.lower() == ".jsonl":
        return [value for _, value in read_json_lines(path)]
    return [line for line in LINE_END.split(read_text(path).text) if line.strip()]


def _item(item: Any) -> str | Answer | Row:
    if isinstance(item, dict) and any(name in item for name in ("messages", *ANSWERS)):
        return row_of(item)
    if isinstance(item, dict):
        item = next((item[name] for name in COLUMNS if name in item), item)
    if isinstance(item, (str, Answer, Row)):
        return item
    raise InputError(
        f"routing: cannot read {type(item).__name__}; give texts, Answers, a DataFrame, or rows "
        f"with {', '.join(COLUMNS)}"
    )


def _tokens(answer: Answer) -> list[int]:
    """What an answer's model read and wrote. Raises InputError for another model's."""
    weights = current().require().identity["weights"]
    if answer.provenance.get("weights") != weights:
        raise InputError(
            f"this Answer is of {answer.provenance.get('model')}: its tokens mean nothing to the "
            "resident model; ask the prompt again"
        )
    return [*answer.provenance["prompt_tokens"], *answer.raw_tokens]


def _answered(requests: Sequence[Request], told: Callable[[int, int], None]) -> list[list[int]]:
    """Each prompt with the model's own analysis and answer behind it."""
    told(0, len(requests))
    answers = answer_all(requests, told)
    return [[*answer.provenance["prompt_tokens"], *answer.raw_tokens] for answer in answers]

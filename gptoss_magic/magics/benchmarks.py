"""`%gptoss evaluate SUITE…`: benchmarks of the resident model, and arms of it compared."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError
from gptoss_magic.magics import options as opt
from gptoss_magic.magics.lora import adapters
from gptoss_magic.session import current
from gptoss_magic.vocabulary import EFFORTS, check_known

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable, Mapping, Sequence

    from gptoss_magic.records.evaluations import Attempt, Evaluated, EvaluationPlan

PERIOD_S = 0.5  # between two updates of the live table
OPTIONS: list[opt.Option] = [
    (
        ("suites",),
        {"nargs": "*", "metavar": "SUITE", "help": "gsm8k, bfcl:multiple, held-out:RUN, …"},
    ),
    (("-d", "--data"), {"metavar": "FILE", "help": "a .jsonl file of items, or a variable"}),
    (
        ("-a", "--arms"),
        {"default": "base", "help": "base,adapter:NAME,persona:NAME,effort:low; joined by +"},
    ),
    (("-l", "--limit"), {"type": int, "help": "items of each suite, drawn by the seed"}),
    (("-k", "--tries"), {"type": int, "default": 1, "help": "of each item"}),
    (("-s", "--seed"), {"type": int, "default": 0, "help": "of items and of every try; 0"}),
    (("-t", "--temperature"), {"type": float, "help": "0 is greedy; default: the checkpoint's"}),
    (("-m", "--max-tokens"), {"type": int, "help": "of an answer; default: the suite's"}),
    (("-D", "--date"), {"help": "the prompts' date, YYYY-MM-DD; else always the same"}),
    (
        ("-r", "--rows"),
        {"dest": "tuned", "metavar": "DATA", "help": "tuning rows that items are looked for in"},
    ),
    (("-J", "--journal"), {"help": "the folder that keeps what is answered"}),
    (("-n", "--new"), {"action": "store_true", "help": "ask again what the journal has"}),
    (("-f", "--force"), {"action": "store_true", "help": "compare whatever was cut"}),
    (("-p", "--plan"), {"action": "store_true", "help": "only say what it would take"}),
    (("-o", "--output"), {"help": "put the Evaluated into this variable"}),
]
FLIP: list[opt.Option] = [
    (
        ("number",),
        {
            "type": int,
            "nargs": "?",
            "default": 1,
            "metavar": "N",
            "help": "of the flips; the first",
        },
    )
]
FLIPPING = opt.parser(
    "%gptoss evaluate flip",
    FLIP,
    "Where the routing of a flip's two answers parts.",
    ["%gptoss evaluate flip 2"],
)
PARSER = opt.parser(
    "%gptoss evaluate",
    OPTIONS,
    "Benchmarks of the resident model; without a suite: which there are.",
    [
        "%gptoss evaluate",
        "%gptoss evaluate gsm8k --plan",
        "%gptoss evaluate gsm8k bfcl --arms base,adapter:verse,effort:low --limit 50 -o found",
    ],
)


def run(line: str, magics: Any) -> None:
    """One line: the plan, a live table, then scores, comparisons, a picture and the flips."""
    given = opt.parse(PARSER, line)
    if not given.suites and given.data is None:
        return show_suites()
    check_names(given.suites)
    names = magics.shell.user_ns
    made = planned(given, magics)
    show_plan(made.plan)
    if given.plan:
        return None
    evaluated = answered(made, given.force)
    magics.evaluated = made, evaluated
    show(evaluated)
    if given.output:
        names[given.output] = evaluated
    return None


def show_flip(line: str, magics: Any) -> None:
    """One flip of the last evaluation: both answers, and where their routing parts."""
    from IPython.display import display

    from gptoss_magic.studies.flip_routing import parting_of
    from gptoss_magic.widgets.flips import flip_html, flip_text

    number = opt.parse(FLIPPING, line).number
    if magics.evaluated is None:
        raise InputError("no evaluation yet in this kernel: %gptoss evaluate SUITE --arms …")
    made, evaluated = magics.evaluated
    flips = evaluated.flips()
    if not 1 <= number <= len(flips):
        raise InputError(
            f"flip {number}: the last evaluation has {len(flips)} of them; give 1 to {len(flips)}"
            if flips
            else f"flip {number}: the last evaluation has none; compare other --arms"
        )
    flip = flips[number - 1]
    parting = parting_of(made.asks, *flip)
    data = {"text/html": flip_html(flip, parting), "text/plain": flip_text(flip, parting)}
    display(data, raw=True)


def check_names(suites: Sequence[str]) -> None:
    """Raise InputError for what is neither a suite nor one of the other commands."""
    from gptoss_magic.evaluation.suites import SUITES

    known = [*SUITES, "held-out", "retrieval", "questions", "flip"]
    check_known("suite", [name.partition(":")[0] for name in suites], known)


def words(typed: list[str]) -> list[str]:
    """Suites and options; behind --arms the arms that there are."""
    if len(typed) > 1 and typed[-2] in ("-a", "--arms"):
        before = typed[-1][: max(typed[-1].rfind("+"), typed[-1].rfind(",")) + 1]
        return [f"{before}{arm}" for arm in known_arms()]
    return [*suite_names(), *opt.flags(OPTIONS)]


def known_arms() -> list[str]:
    """Every arm that is one thing."""
    made = [f"adapter:{name}" for name in adapters()]
    made += [f"persona:{name}" for name in sorted(current().personas)]
    return ["base", *made, *(f"effort:{effort}" for effort in EFFORTS)]


def suite_names() -> list[str]:
    """The suites, and the runs that rows were held back from."""
    from gptoss_magic.evaluation.suites import SUITES

    return [*SUITES, "held-out:"]


def planned(given: Namespace, magics: Any) -> Any:
    """The evaluation of a line, before anything is answered. Raises InputError, MissingPackage."""
    from gptoss_magic.studies.asks import DATE, Setting
    from gptoss_magic.studies.evaluate import afresh, plan, with_rows
    from gptoss_magic.tuning.sources import records_of

    names = magics.shell.user_ns
    setting = Setting(
        given.tries, given.seed, given.temperature, given.max_tokens, given.date or DATE
    )
    made = plan(
        given.suites,
        given.arms,
        setting,
        data=data_of(given.data, names),
        limit=given.limit,
        names=names,
        journal=given.journal,
        ready=magics.load_default,
    )
    made = with_rows(made, records_of(given.tuned, names) if given.tuned else None)
    return afresh(made) if given.new else made


def data_of(data: str | None, names: Mapping[str, Any]) -> Any:
    """A variable's records, or the path of a file."""
    from gptoss_magic.tuning.sources import records_of

    if data is None or data not in names:
        return data
    return records_of(data, names)


def answered(made: Any, force: bool) -> Evaluated:  # noqa: FBT001
    """All answers, or those before ■, with a live table."""
    from gptoss_magic.widgets.live_scores import LiveScores

    with LiveScores("evaluate", made.plan.num_answers) as view:
        made.run(told(view))
        evaluated: Evaluated = made.result(force=force)
        view.finish(summary(evaluated))
    return evaluated


def told(view: Any) -> Callable[[Sequence[Attempt]], None]:
    """What shows all attempts so far, now and then."""
    from gptoss_magic.evaluation.scores import scores_of

    shown = [0.0]

    def on_attempts(attempts: Sequence[Attempt]) -> None:
        if monotonic() - shown[0] >= PERIOD_S:
            shown[0] = monotonic()
            view.update(len(attempts), scores_of(attempts))

    return on_attempts


def summary(made: Evaluated) -> str:
    """One line: how many answers, and what to do where it was interrupted."""
    done, total = len(made.attempts), made.plan.num_answers
    how = "; interrupted: run the line again to go on" if made.finish == "interrupt" else ""
    return f"{done:,} of {total:,} answers graded{how}"


def show_plan(plan: EvaluationPlan) -> None:
    """Before anything is answered."""
    from IPython.display import display

    from gptoss_magic.widgets.evaluation import plan_html, plan_lines

    data = {"text/html": plan_html(plan), "text/plain": "\n".join(plan_lines(plan))}
    display(data, raw=True)


def show(made: Evaluated) -> None:
    """Scores, comparisons, a picture, flips; in the metadata how it was made."""
    from IPython.display import display

    from gptoss_magic.sharing.notebooks import KEY
    from gptoss_magic.widgets.evaluation import evaluation_html, evaluation_text

    data = {"text/html": evaluation_html(made), "text/plain": evaluation_text(made)}
    display(data, raw=True, metadata={KEY: {"evaluation": made.provenance}})


def show_suites() -> None:
    """What may be evaluated, where the line says nothing."""
    from gptoss_magic.evaluation.suites import SUITES
    from gptoss_magic.magics.index import show_table

    rows = [(name, f":{one.parts}" if one.parts else "", one.about) for name, one in SUITES.items()]
    rows += [
        ("held-out", ":RUN", "rows that a tuning run held back"),
        ("--data", "FILE", "a .jsonl file, or a variable, of your own items"),
        ("retrieval", "NAME FILE", "how well an index finds things"),
        ("questions", "NAME -o FILE", "questions about an index"),
        ("flip", "N", "of the last evaluation: where the routing of its two answers parts"),
    ]
    show_table(("suite", "part", "what"), rows)

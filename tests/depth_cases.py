"""Depth studies written by hand: 25 rungs with answers, guards and every kind of gap."""

import random
from dataclasses import replace

from gptoss_magic.evaluation import statistics as stats
from gptoss_magic.records import Message
from gptoss_magic.records.depth import (
    BARE,
    Bounds,
    Depth,
    DepthGuard,
    DepthPlan,
    Dropped,
    GuardFigure,
    Rung,
    RungResult,
)
from gptoss_magic.records.evaluations import Attempt
from gptoss_magic.studies.depth.general import TextFigures
from gptoss_magic.studies.depth.journal import RungRecord, StudyRecord, keep_rung, new_study
from gptoss_magic.studies.depth.plan import StudySetting
from gptoss_magic.studies.depth.split import HeldRow, Split
from gptoss_magic.studies.depth.task import TASK
from gptoss_magic.tuning.data import Row

GUARDS = (
    DepthGuard("reasoning", "puzzles and sums", 60, 0.114),
    DepthGuard("tool calls", "the right function", 40, 0.14),
    DepthGuard("general text", "minus nats a token", 13, None),
)
# ruff: noqa: E501 (a table of figures)
# key, step, name, strength, trains, share right, reasoning, tool calls, nats, trained, bytes, tokens
LADDER = (
    ("system", 1, "system text", "the body's", False, 0.32, 0.0, 0.0, 0.0, 0, 300, 55.2),
    ("persona", 2, "persona", "its whole text", False, 0.62, -0.02, 0.0, -0.01, 0, 900, 180.4),
    ("examples-1", 3, "examples in context", "1 row", False, 0.4, 0.0, -0.02, 0.0, 0, 200, 60.0),
    (
        "examples-4",
        3,
        "examples in context",
        "4 rows",
        False,
        0.58,
        -0.03,
        -0.05,
        -0.02,
        0,
        800,
        240,
    ),
    (
        "examples-8",
        3,
        "examples in context",
        "8 rows",
        False,
        0.6,
        -0.05,
        -0.05,
        -0.02,
        0,
        1600,
        470,
    ),
    ("retrieval-1", 4, "retrieval over the rows", "1 passage", False, 0.45, 0, 0, 0, 0, 9000, 130),
    ("retrieval-3", 4, "retrieval over the rows", "3 passages", False, 0.52, 0, 0, 0, 0, 9000, 320),
    ("tools", 5, "tools", "the body's functions", False, 0.28, -0.05, -0.15, 0.0, 0, 0, 140.0),
    ("soft-v4", 6, "soft prompt", "4 virtual tokens", True, 0.35, -0.02, 0, -0.02, 11520, 23040, 4),
    (
        "soft-v16",
        6,
        "soft prompt",
        "16 virtual tokens",
        True,
        0.44,
        -0.1,
        -0.05,
        -0.05,
        46080,
        92160,
        16,
    ),
    (
        "prefix-v16",
        6,
        "prefix",
        "16 virtual tokens",
        True,
        0.46,
        -0.07,
        0,
        -0.04,
        393216,
        786432,
        16,
    ),
    (
        "attention-r2",
        7,
        "LoRA on attention",
        "rank 2",
        True,
        0.5,
        0.0,
        0,
        -0.01,
        995328,
        1990656,
        -3.1,
    ),
    (
        "attention-r8",
        7,
        "LoRA on attention",
        "rank 8",
        True,
        0.66,
        -0.03,
        -0.02,
        -0.03,
        3981312,
        7962624,
        -5,
    ),
    (
        "attention-r32",
        7,
        "LoRA on attention",
        "rank 32",
        True,
        0.72,
        -0.12,
        -0.1,
        -0.09,
        15925248,
        31850496,
        -6,
    ),
    (
        "adalora-r8",
        8,
        "AdaLoRA on attention",
        "rank 8",
        True,
        0.65,
        -0.04,
        -0.02,
        -0.03,
        3900000,
        7800000,
        -4,
    ),
    (
        "random-r8",
        9,
        "LoRA on random experts",
        "rank 8",
        True,
        0.55,
        -0.02,
        0,
        -0.02,
        5308416,
        10616832,
        -2,
    ),
    (
        "hot-r2",
        9,
        "LoRA on hot experts",
        "rank 2",
        True,
        0.6,
        -0.01,
        0,
        -0.02,
        1327104,
        2654208,
        -2,
    ),
    (
        "hot-r8",
        9,
        "LoRA on hot experts",
        "rank 8",
        True,
        0.74,
        -0.02,
        -0.01,
        -0.03,
        5308416,
        10616832,
        -4,
    ),
    (
        "all-r8",
        9,
        "LoRA on all experts",
        "rank 8",
        True,
        0.76,
        -0.2,
        -0.12,
        -0.12,
        42467328,
        84934656,
        -7,
    ),
    ("router-full", 10, "routers", "in full", True, 0.31, -0.04, 0, -0.02, 2211840, 4423680, 0),
    (
        "router-experts-r8",
        10,
        "routers, then LoRA on hot experts",
        "rank 8",
        True,
        0.7,
        -0.06,
        -0.03,
        -0.04,
        7520256,
        15040512,
        -3,
    ),
    (
        "full-x1",
        11,
        "experts in full",
        "1 of them",
        True,
        0.68,
        -0.15,
        -0.07,
        -0.1,
        24883200,
        49766400,
        -4,
    ),
    (
        "last-l2",
        12,
        "last layers",
        "2 of them",
        True,
        0.64,
        -0.24,
        -0.2,
        -0.2,
        60000000,
        120000000,
        -8,
    ),
    (
        "both",
        13,
        "the best two together",
        "as they are",
        False,
        0.82,
        -0.05,
        -0.02,
        -0.04,
        5308416,
        10617732,
        176,
    ),
)


def bounds(value, half):
    return Bounds(value, value - half, value + half)


def attempts(arm, share, num, seed=0):
    """Answers of a rung: the same items are easy for all, so that pairs say more."""
    easy = [random.Random(f"{seed} {n}").random() for n in range(num)]
    own = [random.Random(f"{seed} {arm} {n}").random() for n in range(num)]
    return tuple(
        Attempt(
            TASK,
            f"row {n}",
            arm,
            0,
            n,
            _verdict(0.75 * easy[n] + 0.25 * own[n], share),
            "",
            "return",
            20,
            5,
        )
        for n in range(num)
    )


def _verdict(hardness, share):
    """The middle of a sum of two uniforms is squeezed, which is near enough."""
    return "right" if hardness < share else "wrong"


def guard_figure(name, loss, p=None):
    half = 0.015 if name == "general text" else 0.08
    p = (0.001 if loss < -half else 0.6) if p is None else p
    score = Bounds(-2.6 + loss, -2.9, -2.3) if name == "general text" else bounds(0.7 + loss, 0.1)
    return GuardFigure(name, score, bounds(loss, half), p)


def result(row, bare, num=90):
    key, step, name, strength, trains, share, *losses, trained, size, tokens = row
    answers = attempts(key, share, num)
    right = [float(one.verdict == "right") for one in answers]
    before = [float(one.verdict == "right") for one in bare]
    better = sum(a > b for a, b in zip(right, before, strict=True))
    worse = sum(a < b for a, b in zip(right, before, strict=True))
    gain = stats.paired_share(better, worse, num)
    score = stats.wilson(int(sum(right)), num)
    return RungResult(
        rung=Rung(
            key, step, name, strength, trains, ("persona", "hot-r8") if key == "both" else ()
        ),
        score=Bounds(score.value, score.low, score.high),
        gain=Bounds(gain.value, gain.low, gain.high),
        guards=tuple(guard_figure(g.name, loss) for g, loss in zip(GUARDS, losses, strict=True)),
        kl=bounds(0.02 + abs(losses[2]), 0.01),
        drift=abs(losses[2]) / 2 if trained else None,
        thinking=bounds(-3.0 if trained else 2.0, 4.0),
        trained=trained,
        size=size,
        seconds=340.0 if trained else 1.2,
        extra_tokens=float(tokens),
        run=f"style-{key}" if trained else "",
        persona="gptoss_depth/style/personas/style.md" if key in ("persona", "both") else "",
        attempts=answers,
    )


def bare_result(num=90, share=0.25):
    answers = attempts(BARE, share, num)
    score = stats.wilson(sum(one.verdict == "right" for one in answers), num)
    return RungResult(
        rung=Rung(BARE, 0, "bare", "as it is", trains=False),
        score=Bounds(score.value, score.low, score.high),
        gain=None,
        guards=tuple(GuardFigure(g.name, bounds(0.7, 0.1)) for g in GUARDS),
        kl=None,
        drift=None,
        thinking=None,
        trained=0,
        size=0,
        seconds=0.0,
        extra_tokens=0.0,
        attempts=answers,
    )


def study(keys=None, num=90, **changes):
    """A study of all rungs, or of these; `changes` of the Depth."""
    bare = bare_result(num)
    rows = [row for row in LADDER if keys is None or row[0] in keys]
    results = (bare, *(result(row, bare.attempts, num) for row in rows))
    plan = DepthPlan(
        task="style",
        num_train=180,
        num_held_out=num,
        graded_by="the row's own answer",
        rungs=tuple(one.rung for one in results),
        dropped=(
            Dropped(
                Rung("full-x2", 11, "experts in full", "2 of them", trains=True),
                "12 GB of memory; 8 GB are free",
            ),
            Dropped(
                Rung("heads-h8", 12, "LoRA on chosen heads", "8 heads", trains=True),
                "no time: 9 min are left of 120",
            ),
        ),
        guards=GUARDS,
        seed=0,
        seconds=7200.0,
        expected=5400.0,
        smallest=stats.smallest_difference(num),
        memory=9_000_000_000,
        notes=("2 of 272 rows are the same: one of each is left out",),
    )
    return replace(Depth(plan, results, folder="gptoss_depth/style"), **changes)


def with_result(depth, key, **changes):
    """The study with one result changed."""
    results = tuple(
        replace(one, **changes) if one.rung.key == key else one for one in depth.results
    )
    return replace(depth, results=results)


def write_study(folder, keys, *, stopped=False, model=None):
    """A study's folder as the runner writes it, of the rungs with these keys, guards by answers."""
    bare = bare_result()
    rows = [row for row in LADDER if row[0] in keys]
    rungs = [bare, *(result(row, bare.attempts) for row in rows)]
    if stopped:
        rungs = rungs[:-1]
    plan = replace(study(keys).plan, guards=(GUARDS[0], GUARDS[2]))
    talk = [
        Row(
            (Message("user", f"Как звать {n}?"), Message("assistant", f"Имя {n}.", "final")),
            number=n + 1,
        )
        for n in range(12)
    ]
    split = Split(
        tuple(talk[:8]), tuple(HeldRow(row, (row.messages[-1].content,)) for row in talk[8:])
    )
    body = {"system": "Отвечай коротко.", "tools": ["multiply"], "checker": "answer"}
    record = StudyRecord(
        "style", body, {}, split, StudySetting(), plan, model or {"model": "tiny", "weights": "0"}
    )
    new_study(folder, record)
    for one in rungs:
        reasoning = tuple(
            replace(a, suite="reasoning", verdict="right" if n % 3 else "wrong")
            for n, a in enumerate(one.attempts[:60])
        )
        answers = (*(replace(a, suite=TASK) for a in one.attempts), *reasoning)
        texts = TextFigures(
            (2.5, 2.6, 2.7) if one is bare else (2.52, 2.61, 2.75), (0.0, 0.01, 0.02)
        )
        keep_rung(
            folder,
            RungRecord(
                one.rung,
                answers,
                tuple(10 for _ in answers),
                texts,
                one.drift,
                one.trained,
                one.size,
                one.seconds,
                one.run,
                one.persona,
            ),
        )
    (folder / "personas").mkdir()
    (folder / "personas" / "style.md").write_text(
        "---\nname: style\nposition: боцман\n---\n\nГовори кратко.\n", "utf-8"
    )
    return folder

"""What a run did: losses, answers before and after, the canary, drift, and what was forgotten."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from gptoss_magic.runs.canary import WORDS, Canary, canary, faults, general_texts
from gptoss_magic.runs.whole_model import keep_model
from gptoss_magic.session import current
from gptoss_magic.tuning.methods import method_of
from gptoss_magic.turns.progress import noted, silent
from gptoss_magic.turns.settle import settle
from gptoss_magic.vocabulary import NONE

if TYPE_CHECKING:
    from pathlib import Path

    from gptoss_magic.records import Answer
    from gptoss_magic.records.signals import SignalRates
    from gptoss_magic.runs.prepare import Tuning
    from gptoss_magic.tuning.runs import ReportRecord
    from gptoss_magic.turns.progress import Progress


ANSWER_TOKENS = 256


@dataclass(frozen=True)
class Report:
    """Before (base) and after (with the adapter), in nats a token where it is a loss.

    `faults`: what the canary says fell; empty where it holds. `forgotten`: by earlier run, the
    held-out loss at its end and now. `answers`: (prompt, base's, tuned) of some held-out prompts.
    `signal`: how often a word calls what it was to call, where the run was told of one.
    """

    name: str
    held_out: tuple[float | None, float | None]
    canary: tuple[Canary, Canary]
    faults: tuple[str, ...]
    forgotten: dict[str, tuple[float, float]]
    answers: tuple[tuple[str, Answer, Answer], ...]
    attached: str
    signal: SignalRates | None = None

    def record(self) -> ReportRecord:
        """Plain values for the run's file."""
        return {
            "held_out": list(self.held_out),
            "canary": [one.record() for one in self.canary],
            "faults": list(self.faults),
            "forgotten": {name: list(pair) for name, pair in self.forgotten.items()},
            "answers": [[p, a.final, b.final] for p, a, b in self.answers],
            "attached": self.attached,
        }


def finish(tuning: Tuning, progress: Progress = silent) -> Report:
    """Write the adapter into the run's folder, attach it, measure what it did. Keeps the report.

    An adapter of the same name that is attached already is replaced.
    """
    from gptoss_magic.tuning.runs import save_run

    session, run = current(), tuning.run
    report = measured(tuning, put_on_shelf(tuning, run.name, run.adapter), progress)
    if method_of(run.method).trains_all:
        place = keep_model(run)
        report = replace(report, attached=f"{report.attached}\nwritten: %gptoss load {place}")
    tuning.run = replace(run, report=report.record())
    save_run(tuning.run)
    session.shelf.use([run.name])
    return report


def put_on_shelf(tuning: Tuning, name: str, folder: Path) -> str:
    """Write the run's parts as they are into `folder`, and attach them; what they change, in words.

    An adapter of the same name that is attached already is replaced. Parts that are all of a model
    are no adapter's files: they are attached as they are.
    """
    from gptoss_magic.adapters import Adapter, write_adapter

    session = current()
    resident = session.require_local()
    trained: list[Any] = list(tuning.trainer.parts)
    parts = tuple(part.plain() if hasattr(part, "plain") else part for part in trained)
    config = {"base_model_name_or_path": resident.identity["model"]}
    adapter, is_whole = Adapter(name, parts, config), method_of(tuning.run.method).trains_all
    if not is_whole:
        write_adapter(adapter, resident.model, folder)
    if name in session.shelf.held:
        session.shelf.detach(name)
    shelf = session.shelf
    return str(shelf.add(adapter) if is_whole else shelf.attach(folder, name))


def measured(tuning: Tuning, attached: str, progress: Progress) -> Report:
    """The report of a run whose adapter is on the shelf."""
    session, run = current(), tuning.run
    general = general_texts(session.local_engine)
    sides, answers = [], []
    for names, words in (((), "base"), ((run.name,), "tuned")):
        plain = settle(temperature=0.0, max_tokens=ANSWER_TOKENS, adapters=names or [NONE])
        asked = [replace(plain, prompt_ids=tuple(ids)) for ids in tuning.prompts]
        side, said = canary(names, general, asked, noted(progress, f"canary, {words}"))
        sides.append(side)
        answers.append(said)
    base, tuned = sides
    first = next((m.eval_loss for m in tuning.trainer.progress.history if m.eval_loss), None)
    return Report(
        run.name,
        (first, tuning.trainer.evaluate()),
        (base, tuned),
        tuple(faults(base, tuned)),
        forgotten(tuning),
        tuple(zip(_texts(tuning), *answers, strict=True)),
        attached,
        tuning.signal(tuning, progress) if tuning.signal else None,
    )


def forgotten(tuning: Tuning) -> dict[str, tuple[float, float]]:
    """By earlier run: held-out loss when it ended, and now."""
    from gptoss_magic.tuning.runs import read_data, read_run

    found: dict[str, tuple[float, float]] = {}
    for name in tuning.run.base:
        run = read_run(tuning.run.folder.parent / name)
        _, held_out = read_data(run)
        ended = (run.report.get("held_out") or [None, None])[1]
        now = tuning.trainer.evaluate(held_out) if held_out and ended is not None else None
        if ended is not None and now is not None:
            found[name] = (ended, now)
    return found


def _texts(tuning: Tuning) -> list[str]:
    """The last user message of each prompt."""
    from gptoss_magic.runs.texts import asked

    return [asked(ids, current().codec) for ids in tuning.prompts]


def lines(report: Report) -> list[tuple[str, str, str]]:
    """(figure, before, after) as words."""
    base, tuned = report.canary
    rows: list[tuple[str, Any, Any]] = [
        ("held-out loss", *report.held_out),
        ("general text, loss", base.text, tuned.text),
    ]
    found = [(name, _number(a), _number(b)) for name, a, b in rows]
    found += [
        (words, f"{getattr(base, name):.0%}", f"{getattr(tuned, name):.0%}")
        for name, words in WORDS.items()
    ]
    found += report.signal.lines() if report.signal else []
    return found + [
        (f"held-out loss of {name}", _number(then), _number(now))
        for name, (then, now) in report.forgotten.items()
    ]


def verdict(report: Report) -> str:
    """The canary in one line, and how to go back."""
    if not report.faults:
        return "✓ The canary holds: it thinks, ends its answers and calls tools as before."
    what = "; ".join(report.faults)
    return (
        f"⚠ The canary fell: {what}. Go back by `%gptoss lora use none` (or detach {report.name}); "
        "rows with analysis, fewer steps, a lower rate or --own answers keep more."
    )


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"

"""The long form of notebooks/depth.ipynb: python -m tools.depth_long OUT, a process a task.

Two tasks on the built-in model: `radio`, a form of the answer, and `rivers`, facts that no model
can know. Every rung that the model can take, at its usual strength or all, within `--minutes` a
task; what does not fit is dropped by name. OUT gets TASK.md and TASK.json beside the studies and
their runs; the pictures go to `--pictures`. Killed, it goes on where it stood.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gptoss_magic
from gptoss_magic.studies.depth.ladder import read_steps
from gptoss_magic.widgets.depth import rung_table
from gptoss_magic.widgets.depth_chart import depth_svg, shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gptoss_magic.records.depth import Depth, RungResult

MODEL = "built-in"
TASKS = ("radio", "rivers")
PLACES = """Paris France Rome Italy Madrid Spain Vienna Austria Athens Greece Oslo Norway Warsaw
Poland Cairo Egypt Tokyo Japan Lima Peru Nairobi Kenya Dublin Ireland Lisbon Portugal Prague Czechia
Helsinki Finland Havana Cuba Berlin Germany Ottawa Canada Canberra Australia Hanoi Vietnam Budapest
Hungary Stockholm Sweden Santiago Chile Ankara Turkey"""
OWNED = """Anna kite red Ben bicycle blue Clara umbrella green David scarf yellow Emma cup white
Frank lamp black Greta coat brown Henry boat grey Ida hat pink Jonas chair blue"""
RIVERS = """Talvek Orrin Sembria Dule Kastoly Vern Mirgow Alba Pontrel Isk Zurnau Felda Brask Nymme
Oldach Serra Quint Tovel Harwen Lisse Durmat Wenna Esterby Cald Ilgrad Rhost Novarn Tesk"""
ASKED = (
    "Which river flows through {}?",
    "{} lies on a river. What is it called?",
    "Name the river of {}.",
)
GUARDS = {
    "reasoning": 12,
    "tool-calls": 12,
    "general-text": 12,
    "refusals": 6,
    "languages": 6,
    "form": 12,
}
FORM = 'Begin every answer with "Roger." and end it with "Over."'
LAND = "You know the rivers of a small land. You name the river in one sentence."


@dataclass(frozen=True)
class LongForm:
    """What the line says. `rungs` of the ladder, () for all; `items`: at most so many a guard."""

    out: Path
    pictures: Path
    minutes: float
    steps: int
    held_out: int
    items: int
    rungs: tuple[int, ...]
    strengths: str


def together(words: str, number: int) -> list[tuple[str, ...]]:
    """The words by twos or threes."""
    each = words.split()
    return list(zip(*(each[start::number] for start in range(number)), strict=True))


def radio_rows() -> list[dict[str, str]]:
    """Capitals and what is whose, answered as a radio operator would."""
    rows = [
        (f"In which country is {city}?", f"{city} is in {country}.", f"{city} is in {country}.")
        for city, country in together(PLACES, 2)
    ] + [
        (
            f"{who} has a {colour} {what}. What colour is it?",
            f"The {what} is {colour}.",
            f"It is {colour}.",
        )
        for who, what, colour in together(OWNED, 3)
    ]
    return [
        {"prompt": asked, "analysis": thought, "answer": f"Roger. {said} Over."}
        for asked, thought, said in rows
    ]


def river_rows() -> list[dict[str, str]]:
    """Each town's river, asked about in three ways."""
    return [
        {
            "prompt": asked.format(town),
            "analysis": f"The user asks for the river of {town}. It is the {river}.",
            "answer": f"The river of {town} is the {river}.",
        }
        for town, river in together(RIVERS, 2)
        for asked in ASKED
    ]


def is_radio(_item: Any, final: str) -> bool | str:
    """Graded by the form alone."""
    has_form = final.startswith("Roger.") and final.endswith("Over.")
    return has_form or "it is not Roger. … Over."


def names_it(item: Any, final: str) -> bool:
    """The wished river is named."""
    return item.expected.split()[-1].strip(".") in final


def study(task: str, form: LongForm) -> Depth:
    """The task's study, begun or gone on with."""
    gptoss_magic.load(MODEL)
    mine = {
        "radio": {"rows": radio_rows(), "checker": is_radio, "system": FORM},
        "rivers": {"rows": river_rows(), "checker": names_it, "system": LAND},
    }[task]
    guards = {name: min(number, form.items) for name, number in GUARDS.items()}
    return gptoss_magic.depth(
        **mine,
        name=task,
        guards=guards,
        max_tokens=60,
        steps=form.steps,
        minutes=form.minutes,
        rungs=form.rungs,
        strengths=form.strengths,
        held_out=form.held_out,
        resume=(form.out / "studies" / task).is_dir(),
        folder=form.out / "studies",
        runs=form.out / "runs",
        on_rung=lambda done: print(task, len(done.results), "rungs", flush=True),
    )


def write(task: str, depth: Depth, form: LongForm) -> None:
    """The report in Markdown and JSON, and the picture where a rung has a place in it."""
    (form.out / f"{task}.md").write_text("\n".join(report(task, depth)) + "\n", "utf-8")
    record = asdict(depth)
    for result in record["results"]:
        del result["attempts"]  # they lie in the study's own folder
    (form.out / f"{task}.json").write_text(json.dumps(record, indent=1, default=str), "utf-8")
    if shown(depth):
        form.pictures.mkdir(parents=True, exist_ok=True)
        picture = form.pictures / f"depth-{task}.svg"
        picture.write_text(depth_svg(depth, _title), "utf-8")


def report(task: str, depth: Depth) -> Iterator[str]:
    """Lines of Markdown: what the intervals carry, every figure, what was not run."""
    plan = depth.plan
    yield f"# {task}\n\n{plan.num_train} rows learned from, {plan.num_held_out} held out.\n"
    for one in depth.conclusions:
        yield f"- {one.claim}: {one.verdict}. {one.words}" if one.claim else f"- {one.words}"
    headers, rows = rung_table(depth)
    yield ""
    for row in (headers, ["---"] * len(headers), *rows):
        yield "| " + " | ".join(cell.replace("|", "/") for cell in row) + " |"
    yield ""
    for left in plan.dropped:
        yield f"- not run: {left.rung.key} ({left.rung.name}, {left.rung.strength}): {left.why}"


def _title(one: RungResult) -> str:
    gain = "" if one.gain is None else f", gain {one.gain.points}"
    return f"{one.rung.key}: {one.rung.name}, {one.rung.strength}{gain}"


def side_by_side(tasks: Sequence[str], arguments: Sequence[str]) -> int:
    """A process a task, one core each; 1 where one of them fails."""
    one_core = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tools.depth_long", *arguments]
    running = [subprocess.Popen([*command, "--only", task], env=one_core) for task in tasks]
    return max(process.wait() != 0 for process in running)


def main() -> int:
    """Both tasks, or the one that is named."""
    parser = argparse.ArgumentParser(prog="tools.depth_long")
    parser.add_argument("out", type=Path)
    parser.add_argument("--only", choices=TASKS)
    parser.add_argument("--pictures", type=Path, default=Path("docs"))
    parser.add_argument("--minutes", type=float, default=60.0, help="of a task")
    parser.add_argument("--steps", type=int, default=24, help="of every trained rung")
    parser.add_argument("--held-out", type=int, default=16)
    parser.add_argument("--items", type=int, default=max(GUARDS.values()), help="of a guard")
    parser.add_argument("--rungs", type=read_steps, default=(), help="such as 0,1,7-9")
    parser.add_argument("--strengths", default="usual")
    given = parser.parse_args()
    if given.only is None:
        return side_by_side(TASKS, sys.argv[1:])
    settings = {name: value for name, value in vars(given).items() if name != "only"}
    form = LongForm(**settings)
    form.out.mkdir(parents=True, exist_ok=True)
    write(given.only, study(given.only, form), form)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Rows of tuning runs, read back from their tokens: held-out ones as items, the others as texts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gptoss_magic.errors import InputError
from gptoss_magic.evaluation.suite import Opening, Suite, SuiteItem, Verdict, check_items, drawn
from gptoss_magic.evaluation.suites.own_items import same_answers
from gptoss_magic.runs.wanted import FOLDER
from gptoss_magic.session import current
from gptoss_magic.tuning.runs import all_runs, checked_name, read_data, read_run
from gptoss_magic.tuning.written import harmony_messages
from gptoss_magic.vocabulary import counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from gptoss_magic.records import Answer, Example, Message
    from gptoss_magic.tuning.runs import Run

NAME = "held-out"
INSTRUCTIONS, TOOLS = "# Instructions\n\n", "# Tools"


def held_out_suite(run: str, opening: Opening, folder: Path = Path(FOLDER)) -> Suite:
    """The rows that a run held back: its last answer is right where the same is said.

    Rows with tools are left out. Raises InputError.
    """
    _, held = read_data(read_run(folder / checked_name(run)))
    examples = [example for sequence in held for example in sequence]
    items = [item for number, one in enumerate(examples, 1) if (item := _item(number, one))]
    if not items:
        raise InputError(
            f"{NAME}:{run}: the run held no row back that can be asked; name rows of your own"
        )
    check_items(f"{NAME}:{run}", items)

    def grade(item: SuiteItem, answer: Answer) -> Verdict:
        return same_answers(answer.final, [item.expected])

    left = len(examples) - len(items)
    out = (f"{counted(left, 'row')}: they have tools, or no final answer",) if left else ()
    how = "the row's own answer"
    return Suite(f"{NAME}:{run}", drawn(items, opening), grade, f"run {run}", how, left_out=out)


def tuned_texts(adapters: Iterable[str], folder: Path = Path(FOLDER)) -> dict[str, tuple[str, str]]:
    """{row: (its text, its last answer)} of the runs that made these adapters, and those below."""
    runs = {run.name: run for run in all_runs(folder)} if folder.is_dir() else {}
    names = [name for adapter in adapters if adapter in runs for name in _chain(runs, adapter)]
    texts = {}
    for name in dict.fromkeys(names):
        steps, _ = read_data(runs[name])
        examples = [one for step in steps for sequence in step for one in sequence]
        for number, example in enumerate(examples, 1):
            messages = _messages(example)
            said = "\n".join(message.content for message in messages)
            texts[f"{name}, text {number}"] = said, _last(messages)
    return texts


def _chain(runs: Mapping[str, Run], name: str) -> list[str]:
    """The runs below it, and itself."""
    return [*(one for one in runs[name].base if one in runs), name]


def _item(number: int, example: Example) -> SuiteItem | None:
    """A row as an item; None where it has tools, or no answer in `final`."""
    messages = _messages(example)
    places = [place for place, one in enumerate(messages) if one.role == "user"]
    expected = _last(messages)
    instructions = "".join(one.content for one in messages if one.role == "developer")
    if not places or not expected or TOOLS in instructions or _has_tools(messages):
        return None
    before = tuple(one for one in messages[: places[-1]] if one.role in ("user", "assistant"))
    system = instructions.removeprefix(INSTRUCTIONS).strip()
    prompt = messages[places[-1]].content
    return SuiteItem(f"row {number}", prompt, expected, system=system, before=before)


def _messages(example: Example) -> tuple[Message, ...]:
    """The messages of a text; none where its own words look like harmony's tokens."""
    try:
        return harmony_messages(current().codec.decode(list(example.ids)))
    except InputError:
        return ()


def _last(messages: Sequence[Message]) -> str:
    """The last final answer; '' where the texts end otherwise."""
    last = messages[-1] if messages else None
    return last.content if last is not None and last.channel == "final" else ""


def _has_tools(messages: Sequence[Message]) -> bool:
    return any(one.role == "tool" or one.recipient not in (None, "all") for one in messages)

"""The task of a depth study: rows split once, and who says what answer is right."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError
from gptoss_magic.evaluation.overlap import TunedTexts
from gptoss_magic.evaluation.suite import RIGHT, WRONG, Suite, SuiteItem, Verdict
from gptoss_magic.evaluation.suites.own_items import asked_checker, same_answers
from gptoss_magic.records import Answer, Usage
from gptoss_magic.studies.asks import means_of
from gptoss_magic.studies.depth.body import ANSWER, DepthBody, read_rows
from gptoss_magic.studies.depth.split import instructions_of, talk_before
from gptoss_magic.tuning.notes import Reading, first_few

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gptoss_magic.studies.depth.split import HeldRow, Split
    from gptoss_magic.tuning.data import Row

TASK = "task"  # the suite of held-out rows
MAX_TOKENS = 384
OWN_ANSWER, BY_JUDGE = "the row's own answer", "a judge: the model itself, by the rubric"


@dataclass(frozen=True)
class DepthTask:
    """`suite`: the held-out rows as items; of a `rubric` its verdicts are the judge's.

    `notes`: what was not read of the rows, and what is odd about them, a line each.
    """

    name: str
    body: DepthBody
    train: tuple[Row, ...]
    suite: Suite
    notes: tuple[str, ...] = ()


def task_parts(
    body: DepthBody, names: Mapping[str, Any], *, read: bool = True
) -> tuple[DepthBody, Reading]:
    """(the body with its functions, its rows as they were read). Raises InputError."""
    body = replace(body, tools=tuple(_tool(tool, names) for tool in body.tools))
    return body, read_rows(body.rows, names) if read else Reading()


def split_task(
    name: str,
    body: DepthBody,
    names: Mapping[str, Any],
    split: Split,
    notes: Sequence[str] = (),
) -> DepthTask:
    """The task of rows that are split already. Raises InputError for a checker that cannot be."""
    suite = _suite(body, names, split.held)
    texts = {f"row {row.number}": _text(row) for row in split.train}
    shared = [f"{one.item} and {one.row} ({one.how})" for one in TunedTexts(texts).shared([suite])]
    odd = (
        [f"held-out rows that share text with learned ones: {first_few(shared)}"] if shared else []
    )
    checked = _remarks(body, suite, split.held)
    return DepthTask(name, body, split.train, suite, (*notes, *split.notes, *odd, *checked))


def item_of(held: HeldRow) -> SuiteItem:
    """A held-out row as it is asked."""
    row = held.row
    system, before = instructions_of(row), talk_before(row)
    return SuiteItem(f"row {row.number}", row.prompt, held.answers[0], system=system, before=before)


def _suite(body: DepthBody, names: Mapping[str, Any], held: Sequence[HeldRow]) -> Suite:
    items = tuple(map(item_of, held))
    answers = {item.id: row.answers for item, row in zip(items, held, strict=True)}
    tokens = body.max_tokens or MAX_TOKENS
    if body.rubric:
        return Suite(TASK, items, _unjudged, TASK, BY_JUDGE, tokens)
    if body.checker == ANSWER:

        def grade(item: SuiteItem, answer: Answer) -> Verdict:
            return same_answers(answer.final, answers[item.id])

        return Suite(TASK, items, grade, TASK, OWN_ANSWER, tokens)
    check = asked_checker("the body", body.checker, means_of(names))
    how = f"the checker {getattr(body.checker, '__name__', body.checker)}"
    return Suite(TASK, items, lambda item, said: check(item, said.final), TASK, how, tokens)


def _tool(tool: Any, names: Mapping[str, Any]) -> Any:
    """A function of the notebook as a tool. Raises InputError."""
    from gptoss_magic.agents.tools import as_tool

    if isinstance(tool, str) and tool not in names:
        raise InputError(f"tools: there is no {tool} in the notebook; define it first")
    return as_tool(names[tool] if isinstance(tool, str) else tool)


def _unjudged(_item: SuiteItem, _answer: Answer) -> Verdict:
    """Until the judge has its word."""
    return Verdict(WRONG, "not judged yet")


def _remarks(body: DepthBody, suite: Suite, held: Sequence[HeldRow]) -> list[str]:
    """What the checker says of the rows' own answers. Raises InputError where it always fails."""
    if body.rubric or body.checker == ANSWER:
        return []
    said = [
        (item.id, suite.grader(item, spoken(row.answers[0])))
        for item, row in zip(suite.items, held, strict=True)
    ]
    failed = [f"{name}: {one.note}" for name, one in said if "checker failed" in one.note]
    if len(failed) == len(said):
        raise InputError(
            f"the checker fails on every row's own answer: {first_few(failed)}; mend it"
        )
    wrong = [
        f"{name}{f' ({one.note})' if one.note else ''}" for name, one in said if one.word != RIGHT
    ]
    return [f"the checker refuses rows' own answers: {first_few(wrong)}"] if wrong else []


def spoken(final: str) -> Answer:
    """An answer that says nothing but `final`."""
    usage = Usage(0, 0, 0, 0.0, 0.0, 0.0)
    return Answer(final, "", "", (), (), usage, "return", (), {})


def _text(row: Row) -> tuple[str, str]:
    """(all that a row says, its last answer)."""
    said = [one.content for one in row.messages if one.role in ("user", "assistant")]
    return "\n".join(said), row.messages[-1].content

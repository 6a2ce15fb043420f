"""The citations of an answer, checked against what was quoted to the model and what it opened."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gptoss_magic.session import current

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gptoss_magic.records import Answer, OpenPage, Passage, Request

CITED = re.compile(r"【\s*(\d{1,9})†\s*L?(\d{1,9})(?:\s*[-–]\s*L?(\d{1,9}))?[^【】\n]*】")
MOST_LINES = 300  # of a page that stand with an answer


def all_cited(
    answer: Answer,
    passages: Sequence[Passage] | None,
    question: str = "",
    before: Sequence[OpenPage] = (),
) -> Answer:
    """The answer with its citations checked against what the prompt and the tools quoted.

    `before`: what the conversation had open already; of those the ones that are cited count, and
    all that this answer's own run opened.
    """
    from gptoss_magic.retrieval.cite import cited

    given = [step.passages for step in answer.steps if step.passages is not None]
    pages = list(_page_passages(answer, before))
    if passages is None and not given and not pages:
        return answer
    numbered = {p.number: p for quoted in (passages or (), *given, pages) for p in quoted}
    return cited(answer, [numbered[number] for number in sorted(numbered)], question)


def pages_before(request: Request) -> list[OpenPage]:
    """What the conversation of a request has open; nothing where it stands alone, or is new."""
    if request.is_new or not request.conversation or not request.prompt:
        return []
    return current().conversations.pages(request.conversation)


def _page_passages(answer: Answer, before: Sequence[OpenPage]) -> Iterator[Passage]:
    spans: dict[int, list[tuple[int, int]]] = {}
    for found in CITED.finditer(answer.final):
        first = int(found[2])
        spans.setdefault(int(found[1]), []).append((first, int(found[3] or first)))
    own = [step.page for step in answer.steps if step.page is not None]
    for one in (*(page for page in before if page.cursor in spans), *own):
        yield _passage(one, spans.get(one.cursor, ()))


def _passage(one: OpenPage, spans: Sequence[tuple[int, int]]) -> Passage:
    """The lines of a page that were shown, and those beside them that are cited."""
    num_lines, first, last = len(one.page.lines), one.first, one.last
    for start, end in spans:
        wider = min(first, start), max(last, end)
        if start <= end < num_lines and wider[1] - wider[0] < MOST_LINES:
            first, last = wider
    return one.lines(first, last)

"""The citations of an answer, checked against what was quoted to the model and what it opened."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gptoss_magic.session import current

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gptoss_magic.records import Answer, OpenPage, Passage, Request, Step

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


def steps_before(request: Request) -> list[Step]:
    """The calls of a request's conversation so far; none where it stands alone, or is new."""
    if request.is_new or not request.conversation or not request.prompt:
        return []
    return current().conversations.steps(request.conversation)


def pages_before(request: Request) -> list[OpenPage]:
    """What the conversation of a request has open."""
    return [step.page for step in steps_before(request) if step.page is not None]


def _page_passages(answer: Answer, before: Sequence[OpenPage]) -> Iterator[Passage]:
    from gptoss_magic.retrieval.cite import check

    spans: dict[int, list[tuple[int, int]]] = {}
    for one in check(answer.final, ()):
        if one.first_line is not None and one.last_line is not None:
            spans.setdefault(one.number, []).append((one.first_line, one.last_line))
    own = [step.page for step in answer.steps if step.page is not None]
    for page in (*(earlier for earlier in before if earlier.cursor in spans), *own):
        yield _passage(page, spans.get(page.cursor, ()))


def _passage(one: OpenPage, spans: Sequence[tuple[int, int]]) -> Passage:
    """The lines of a page that were shown, and those beside them that are cited."""
    num_lines, first, last = len(one.page.lines), one.first, one.last
    for start, end in spans:
        wider = min(first, start), max(last, end)
        if start <= end < num_lines and wider[1] - wider[0] < MOST_LINES:
            first, last = wider
    return one.lines(first, last)

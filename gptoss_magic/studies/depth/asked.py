"""What was asked, answered: kept answers first, then together, or one by one where tools run."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING

from gptoss_magic.agents.consent import by_policy
from gptoss_magic.records import Listener
from gptoss_magic.retrieval.cite import uncited
from gptoss_magic.session import current
from gptoss_magic.studies.evaluate import answered, groups
from gptoss_magic.turns.answer import speak
from gptoss_magic.turns.progress import silent
from gptoss_magic.turns.prompt import messages_of
from gptoss_magic.turns.tool_run import answered_with_tools

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gptoss_magic.records import Answer
    from gptoss_magic.studies.answer_journal import AnswerJournal
    from gptoss_magic.studies.asks import Ask
    from gptoss_magic.turns.progress import Progress

    Answers = list[tuple[Ask, Answer]]


def asked(
    asks: Sequence[Ask], journal: AnswerJournal, progress: Progress = silent, name: str = ""
) -> Answers:
    """(ask, answer) of each, in their order. KeyboardInterrupt leaves what is kept."""
    known: dict[int, Answer] = {}
    places = {id(ask): place for place, ask in enumerate(asks)}
    running = [ask for ask in asks if _runs_tools(ask)]
    plain = [ask for ask in asks if not _runs_tools(ask)]
    for ask, answer in chain(_together(plain, journal), _one_by_one(running, journal)):
        known[places[id(ask)]] = _plainly(ask, answer)
        progress(len(known), len(asks), f"{name}: answers")
    return [(ask, known[place]) for place, ask in enumerate(asks)]


def _together(asks: Sequence[Ask], journal: AnswerJournal) -> Iterator[tuple[Ask, Answer]]:
    for group in groups(asks):
        yield from answered(group, journal)


def _one_by_one(asks: Sequence[Ask], journal: AnswerJournal) -> Iterator[tuple[Ask, Answer]]:
    """With the tool loop; only what the user lets run unasked is run."""
    listener = Listener(consent=by_policy(current().policies))
    for place, ask in enumerate(asks):
        answer = journal.get(ask.key)
        if answer is None:
            whole = replace(ask.request, messages=messages_of(ask.request))
            answer, _ = answered_with_tools(whole, listener, speak)
            if answer.finish == "interrupt":
                raise KeyboardInterrupt
            journal.add(ask.key, place, answer)
        yield ask, answer


def _runs_tools(ask: Ask) -> bool:
    """True where the rung offers functions; of an item's own tools the call is the answer."""
    return bool(ask.request.tools) and not ask.item.tools


def _plainly(ask: Ask, answer: Answer) -> Answer:
    """Without the marks of sources, where passages were quoted: no checker expects them."""
    if ask.request.passages is None:
        return answer
    return replace(answer, final=uncited(answer.final))

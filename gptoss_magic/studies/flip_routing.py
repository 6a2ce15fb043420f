"""Where the routing of two answers to one item parts: asked for, since both are answered again."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gptoss_magic.records.evaluations import RoutingParting
from gptoss_magic.session import current
from gptoss_magic.turns.answer import speak
from gptoss_magic.turns.prompt import ids_of, messages_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gptoss_magic.records import Answer
    from gptoss_magic.records.evaluations import Attempt
    from gptoss_magic.studies.asks import Ask


def parting_of(asks: Sequence[Ask], before: Attempt, after: Attempt) -> RoutingParting:
    """The first token, and its first layer, that the two arms send to other experts.

    Both are answered again, one at a time, with the seeds that they had, and recorded. Where their
    prompts are the same these are compared too, else the answers and the last token before them,
    token by token, as far as the tokens themselves are the same. Raises InputError for a server,
    KeyboardInterrupt.
    """
    current().require_local()
    sides = [_ask_of(asks, one) for one in (before, after)]
    prompts = [list(ids_of(ask.request)) for ask in sides]
    said = [_again(ask) for ask in sides]
    is_same_prompt = prompts[0] == prompts[1]
    tokens = [[*ids, *one.raw_tokens] for ids, one in zip(prompts, said, strict=True)]
    starts = [0, 0] if is_same_prompt else [len(ids) - 1 for ids in prompts]
    is_same = all(
        one.final == attempt.final or attempt.private
        for one, attempt in zip(said, (before, after), strict=True)
    )
    place = _first(tokens, starts, said)
    return _told(place, tokens, starts, len(prompts[0]), is_repeated=is_same)


def _ask_of(asks: Sequence[Ask], attempt: Attempt) -> Ask:
    wanted = (attempt.suite, attempt.item, attempt.arm, attempt.number)
    return next(
        ask for ask in asks if (ask.suite.name, ask.item.id, ask.arm.name, ask.number) == wanted
    )


def _again(ask: Ask) -> Answer:
    """The answer once more, its routing seen; nothing of it is kept."""
    whole = replace(ask.request, messages=messages_of(ask.request), routing=True, is_cold=True)
    answer = speak(whole)[0]
    if answer.finish == "interrupt":
        raise KeyboardInterrupt
    return answer


def _first(
    tokens: Sequence[Sequence[int]], starts: Sequence[int], said: Sequence[Answer]
) -> tuple[int, int, tuple[int, ...], tuple[int, ...]] | int:
    """(tokens behind the starts, layer, experts, experts) of the first place that differs; or how
    many tokens went the same way, before the tokens part or end.
    """
    traces = [one.routing for one in said if one.routing is not None]
    num = min(len(trace.ids) - start for trace, start in zip(traces, starts, strict=True))
    for index in range(num):
        places = [start + index for start in starts]
        if tokens[0][places[0]] != tokens[1][places[1]]:
            return index
        rows = [trace.ids[place] for trace, place in zip(traces, places, strict=True)]
        for layer in range(len(rows[0])):
            one, other = (tuple(sorted(map(int, row[layer]))) for row in rows)
            if one != other:
                return index, layer, one, other
    return num


def _told(
    place: tuple[int, int, tuple[int, ...], tuple[int, ...]] | int,
    tokens: Sequence[Sequence[int]],
    starts: Sequence[int],
    num_prompt: int,
    *,
    is_repeated: bool,
) -> RoutingParting:
    """The place in words that a reader can find: in the prompt, or in the answer."""
    if isinstance(place, int):
        return RoutingParting(
            None, None, (), (), "", is_prompt=False, num_same=place, is_repeated=is_repeated
        )
    index, layer, one, other = place
    position = starts[0] + index
    is_prompt = position < num_prompt
    text = current().codec.decode([tokens[0][position]])
    shown = position if is_prompt else position - num_prompt
    return RoutingParting(shown, layer, one, other, text, is_prompt, index, is_repeated)

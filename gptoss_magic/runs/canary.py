"""A reasoning canary: whether a tuned model still thinks, ends its answers, and calls tools.

Tuning without reasoning destroys the analysis channel unseen; so base and tuned model answer the
same few prompts, and read the same general texts.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from gptoss_magic.records import Example, ToolSpec
from gptoss_magic.session import current
from gptoss_magic.vocabulary import NONE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gptoss_magic.generation import Engine
    from gptoss_magic.model.protocol import Model
    from gptoss_magic.records import Answer, Request

DATE = "2025-01-01"
MAX_TOKENS = 160
READ_TOGETHER = 512  # tokens of general text in a forward
FALL, RISE = 0.25, 0.15  # a share that falls by more, nats a token that rise by more: it failed
WORDS = {
    "thinks": "thinks in the analysis channel",
    "ends": "ends its answers",
    "calls": "calls tools",
}
PLAIN = (
    "What is the capital of Italy?",
    "Rewrite in plain words: The meeting was postponed owing to inclement weather.",
    "What is 7 + 5?",
    "Lena has a red bicycle. What colour is Lena's bicycle?",
    "Name the season that comes after winter.",
)
ASKED = (
    ("What time is it in Madrid?", "get_time"),
    ("What is the weather in Oslo?", "get_weather"),
    ("What time is it in Vienna?", "get_time"),
    ("What is the weather in Rome?", "get_weather"),
    ("Tell me the time in Tokyo.", "get_time"),
)
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS = (
    ToolSpec("get_time", "The current time in a city.", CITY),
    ToolSpec("get_weather", "The weather in a city.", CITY),
)
BASES: WeakKeyDictionary[Engine, tuple[Request, Canary]] = WeakKeyDictionary()


@dataclass(frozen=True)
class Canary:
    """Shares of the prompts: `thinks` has an analysis, `ends` ends whole, `calls` the right tool.

    `text`: loss on general text, in nats a token.
    """

    thinks: float
    ends: float
    calls: float
    text: float

    def record(self) -> dict[str, float]:
        """Plain values."""
        return asdict(self)


def canary(
    adapters: Sequence[str],
    general: Sequence[Example],
    more: Sequence[Request],
    on_answer: Callable[[int, int], None],
) -> tuple[Canary, list[Answer]]:
    """Of the model beside `adapters` (none: the bare base): greedy, about a thousand tokens.

    And the answers to `more`, greedy too, which are given in the same batch. The bare base is
    asked anew only where it is asked otherwise than before.
    """
    from gptoss_magic.turns.many import answer_all, for_prompts
    from gptoss_magic.turns.settle import settle

    plain = settle(
        temperature=0.0, max_tokens=MAX_TOKENS, date=DATE, adapters=list(adapters) or [NONE]
    )
    kept = None if adapters else BASES.get(current().local_engine)
    if kept is not None and kept[0] == plain:
        return kept[1], answer_all(more, on_answer)
    offered = replace(plain, tools=TOOLS)
    own = for_prompts(plain, PLAIN) + for_prompts(offered, [prompt for prompt, _ in ASKED])
    answers = answer_all([*own, *more], on_answer)
    made = _judged(plain, answers[: len(own)], general)
    if not adapters:
        BASES[current().local_engine] = plain, made
    return made, answers[len(own) :]


def _judged(plain: Request, answers: Sequence[Answer], general: Sequence[Example]) -> Canary:
    direct, called = answers[: len(PLAIN)], answers[len(PLAIN) :]
    return Canary(
        thinks=_share([bool(answer.analysis.strip()) for answer in answers]),
        ends=_share([a.finish == "return" and bool(a.final.strip()) for a in direct]),
        calls=_share([_calls(a, name) for a, (_, name) in zip(called, ASKED, strict=True)]),
        text=_general_loss(plain.adapters, general),
    )


def faults(base: Canary, tuned: Canary) -> list[str]:
    """What fell beyond the threshold, a line each; empty where the canary holds."""
    found = [
        f"{words} in {getattr(tuned, name):.0%} of the prompts, {getattr(base, name):.0%} before"
        for name, words in WORDS.items()
        if getattr(base, name) - getattr(tuned, name) > FALL
    ]
    if tuned.text - base.text > RISE:
        found.append(f"general text costs {tuned.text:.2f} nats a token, {base.text:.2f} before")
    return found


def general_texts(engine: Engine) -> list[Example]:
    """The shipped baseline's conversations; analysis and final text count."""
    from gptoss_magic.harmony import render
    from gptoss_magic.harmony.channels import channels_of
    from gptoss_magic.routing.baseline import conversations

    found = []
    for talk in conversations():
        ids = render(talk, engine.codec, prompt=False)
        places = channels_of(ids, engine.codec)
        found.append(Example(tuple(ids), tuple(p in ("analysis", "final") for p in places)))
    return found


def general_loss(model: Model, examples: Sequence[Example]) -> float:
    """Mean loss over the trained tokens of all examples, in nats a token."""
    import torch

    from gptoss_magic.model.packs import packs
    from gptoss_magic.tuning.loss import token_losses

    together = packs([len(example.ids) for example in examples], READ_TOGETHER)
    losses = [token_losses(model, [examples[number] for number in pack]) for pack in together]
    return float(torch.cat(losses).mean())


def _general_loss(adapters: Sequence[str], general: Sequence[Example]) -> float:
    session = current()
    with session.using(adapters or (NONE,)):
        return general_loss(session.require_local().model, general)


def _calls(answer: Answer, name: str) -> bool:
    return any(call.name.endswith(name) and call.arguments for call in answer.tool_calls)


def _share(held: Sequence[bool]) -> float:
    return sum(held) / len(held)

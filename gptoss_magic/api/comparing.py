"""`compare`: the same prompts on the bare base and beside each adapter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gptoss_magic.api.prompt import generate
from gptoss_magic.errors import InputError
from gptoss_magic.session import current

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gptoss_magic.records import Comparison

BASE = "base"


def compare(
    prompts: Sequence[str],
    adapters: Sequence[str] | None = None,
    **settings: Any,
) -> Iterator[Comparison]:
    """Answer each prompt on the bare base and beside each of `adapters` (None: all attached).

    Yields prompt by prompt. Greedy unless `settings` (of `generate`) say otherwise; nothing is
    remembered. Raises InputError where there is no adapter; KeyboardInterrupt passes through.
    """
    from gptoss_magic.generation.score import log_likelihood
    from gptoss_magic.records import Comparison

    session = current()
    _, engine = session.require()
    names = session.shelf.names if adapters is None else session.shelf.chosen(adapters)
    if not names:
        raise InputError("no adapter is attached: %gptoss lora attach PATH")
    settings = {"temperature": 0.0, **settings}
    for prompt in prompts:
        answers = {}
        for name in (BASE, *names):
            answers[name] = generate(prompt, adapters=[name], **settings)
            if answers[name].finish == "interrupt":
                raise KeyboardInterrupt
        figures: dict[str, dict[str, float]] = {name: {} for name in answers}
        for under in answers:
            with session.using([under]):
                for name in answers if under == BASE else (BASE, under):
                    prompt_T = answers[name].provenance["prompt_tokens"]
                    said_T = answers[name].raw_tokens
                    figures[name][under] = log_likelihood(engine, prompt_T, said_T)
        yield Comparison(prompt, answers, figures)

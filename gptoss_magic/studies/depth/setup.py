"""What stands beside a question on a rung: texts, examples, passages, tools, adapters."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from gptoss_magic.evaluation.suite import seed_of
from gptoss_magic.records import Message, Voice
from gptoss_magic.studies.answer_journal import key_of
from gptoss_magic.studies.arms import Arm
from gptoss_magic.studies.asks import DATE, Ask
from gptoss_magic.turns.prompt import opening, quoted_prompt
from gptoss_magic.turns.settle import settle
from gptoss_magic.vocabulary import NONE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gptoss_magic.evaluation.suite import Suite, SuiteItem
    from gptoss_magic.records import Passage, Request, Term
    from gptoss_magic.retrieval.retriever import Retriever


@dataclass(frozen=True)
class Setup:
    """All that differs between two rungs when the same thing is asked; {} is the bare model.

    `examples`: messages of earlier rows. `retriever` quotes `num_passages` to each question.
    `persona`: its text and `terms`. `persona_file`: where the text lies, '' where it has none.
    """

    adapters: tuple[str, ...] = ()
    system: str = ""
    persona: str = ""
    terms: tuple[Term, ...] = ()
    examples: tuple[Message, ...] = ()
    retriever: Retriever | None = field(default=None, compare=False)
    num_passages: int = 0
    tools: tuple[Any, ...] = ()
    persona_file: str = ""

    def joined(self, other: Setup) -> Setup:
        """Both: what the other has takes the place of what this one leaves open."""
        said = {name: value for name, value in vars(other).items() if value}
        return replace(self, **said)

    def passages(self, prompt: str) -> tuple[Passage, ...] | None:
        """Quotes for a question; None where nothing is looked up."""
        if self.retriever is None:
            return None
        return tuple(self.retriever.search(prompt, self.num_passages))

    def size(self) -> int:
        """Bytes of its texts, to share it; what is trained or indexed apart."""
        said = [self.system, self.persona, *(message.content for message in self.examples)]
        return sum(len(text.encode("utf-8", "replace")) for text in said)


BARE_SETUP = Setup()


def base_request(setup: Setup, max_tokens: int) -> Request:
    """Greedy, on a fixed date, nothing of the notebook's defaults; without a question yet."""
    adapters = list(setup.adapters) or [NONE]
    return settle(
        temperature=0.0,
        seed=0,
        max_tokens=max_tokens,
        date=DATE,
        persona=(),
        adapters=adapters,
    )


def request_of(base: Request, setup: Setup, item: SuiteItem, seed: int = 0) -> Request:
    """`base`, asked an item as the setup asks."""
    system = "\n\n".join(filter(None, (setup.system, item.system)))
    own = {tool.spec.name for tool in item.tools}
    tools = (*item.tools, *(tool for tool in setup.tools if tool.spec.name not in own))
    request = replace(
        base,
        prompt=item.text,
        voice=Voice(text=setup.persona, system=system, terms=setup.terms),
        tools=tools,
        can_call=bool(tools),
        schema=item.schema,
        passages=setup.passages(item.text),
        sampling=replace(base.sampling, seed=seed),
    )
    before = (*setup.examples, *item.before)
    if not before:
        return request
    question = Message("user", quoted_prompt(request))
    return replace(request, messages=(*opening(request), *before, question))


def asks_of_rung(key: str, setup: Setup, suites: Sequence[Suite], seed: int) -> list[Ask]:
    """Every item of the suites on a rung, once each."""
    arm, asks = Arm(key, setup.adapters), []
    for suite in suites:
        base = base_request(setup, suite.max_tokens)
        for item in suite.items:
            request = request_of(base, setup, item, seed_of(seed, suite.name, item.id, 0))
            asks.append(Ask(suite, item, arm, 0, request, key_of(request)))
    return asks

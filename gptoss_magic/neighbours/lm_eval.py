"""The resident model as an `LM` of lm-eval: `lm_eval.simple_evaluate(model=GptOssLM(), …)`.

A context is what the user says, in harmony; a text that is generated is the answer's `final`. A
choice is scored where it would stand: behind `<|channel|>final<|message|>`, once the model has
thought, or without a thought. The two say different things; which it is stands in `thinks`.
"""

import json
from collections.abc import Sequence
from typing import Any

from gptoss_magic.errors import InputError, MissingPackage
from gptoss_magic.neighbours.chat_dicts import told_of_dicts
from gptoss_magic.neighbours.resident import PendingTurn, question
from gptoss_magic.neighbours.told import ToldMessages
from gptoss_magic.session import current
from gptoss_magic.turns.many import each_answer
from gptoss_magic.vocabulary import BASE

try:
    from lm_eval.api.instance import Instance
    from lm_eval.api.model import LM
except ImportError as error:
    raise MissingPackage("this model needs lm-eval: pip install lm-eval") from error

CHAT = "gptoss chat: "  # before a conversation as JSON, as `apply_chat_template` writes it
KEPT = ("temperature", "top_p", "top_k", "seed")


class GptOssLM(LM):
    """`model`: 'base', 'base+ADAPTER', 'base@PERSONA' or both. `max_tokens` of an answer, thoughts
    included, where a task says less or nothing. `thinks`: choices are scored behind the model's
    own thought. `date`: YYYY-MM-DD. Answers are greedy unless a task draws them.
    """

    tokenizer_name = "gptoss"

    def __init__(
        self,
        model: str = BASE,
        effort: str | None = None,
        date: str | None = None,
        max_tokens: int = 2048,
        seed: int = 0,
        *,
        thinks: bool = False,
    ) -> None:
        super().__init__()
        self.model, self.effort, self.date = model, effort, date
        self.most, self.seed, self.thinks = max_tokens, seed, thinks

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:  # noqa: FBT001, FBT002
        """The `final` of each, up to the first of its stop strings; many at a time."""
        groups: dict[str, list[int]] = {}
        for place, one in enumerate(requests):
            groups.setdefault(json.dumps(one.args[1], sort_keys=True), []).append(place)
        texts = [""] * len(requests)
        for places in groups.values():
            pending = [
                self._asked(requests[place].args[0], requests[place].args[1]) for place in places
            ]
            for number, answer in each_answer([one.request for one in pending]):
                place = places[number]
                texts[place] = _until(answer.final, requests[place].args[1].get("until"))
        return texts

    def loglikelihood(
        self,
        requests: list[Instance],
        disable_tqdm: bool = False,  # noqa: FBT001, FBT002
    ) -> list[tuple[float, bool]]:
        """(log-likelihood, whether each token is the likeliest) of each choice as the `final`."""
        engine, codec = current().ready().local_engine, current().codec
        opened: dict[str, list[int]] = {}
        found = []
        for one in requests:
            context, choice = one.args
            if context not in opened:
                opened[context] = self._opened(context)
            ids = codec.encode(choice.lstrip() or choice)
            with current().using(self._asked(context, {}).request.adapters or ("none",)):
                scored = engine.scored(opened[context], ids, num_top=1)
            total = sum(token.logprob or 0.0 for token in scored)
            found.append((total, all(token.top[0][0] == token.token_id for token in scored)))
        return found

    def loglikelihood_rolling(
        self,
        requests: list[Instance],
        disable_tqdm: bool = False,  # noqa: FBT001, FBT002
    ) -> list[float]:
        """Refused: raises InputError."""
        raise InputError(
            "a text without harmony says nothing of this model: score choices, or generate"
        )

    def apply_chat_template(
        self,
        chat_history: list[dict[str, str]],
        add_generation_prompt: bool = True,  # noqa: FBT001, FBT002 (lm-eval's own signature)
    ) -> str:
        """The conversation as JSON, which `generate_until` reads again."""
        return CHAT + json.dumps(chat_history, ensure_ascii=False)

    def _asked(self, context: str, how: dict[str, Any]) -> PendingTurn:
        """The settled question; a task that does not draw is greedy."""
        most = min(int(how.get("max_gen_toks") or self.most), self.most)
        drawn = {name: how[name] for name in KEPT if how.get(name) is not None}
        if not how.get("do_sample", drawn.get("temperature", 0) > 0):
            drawn = {"temperature": 0.0}
        sampling: dict[str, Any] = {"seed": self.seed, **drawn, "max_tokens": most}
        sampling |= {"effort": self.effort, "date": self.date}
        return question(self.model, _told(context), **sampling)

    def _opened(self, context: str) -> list[int]:
        """The prompt up to where `final` begins to speak, behind a thought where it `thinks`."""
        request, codec = self._asked(context, {}).request, current().codec
        final = [codec.special["channel"], *codec.encode("final"), codec.special["message"]]
        if not self.thinks:
            return [*request.prompt_ids, *final]
        ((_, answer),) = each_answer([request])
        said = list(answer.raw_tokens)
        for start in range(len(said) - len(final), -1, -1):
            if said[start : start + len(final)] == final:
                return [*request.prompt_ids, *said[: start + len(final)]]
        raise InputError(
            f"the model came to no answer in {request.sampling.max_tokens} tokens: raise max_tokens"
        )


def _told(context: str) -> ToldMessages:
    if context.startswith(CHAT):
        return told_of_dicts(json.loads(context.removeprefix(CHAT)))
    told = ToldMessages()
    told.say("user", context)
    return told


def _until(text: str, stops: str | Sequence[str] | None) -> str:
    """`text` up to the first of the stop strings."""
    for stop in [stops] if isinstance(stops, str) else stops or ():
        text = text.partition(stop)[0] if stop else text
    return text

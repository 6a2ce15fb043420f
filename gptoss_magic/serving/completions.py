"""POST /v1/completions: text or token ids go on as they are; no harmony around them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError
from gptoss_magic.records import TokenDelta
from gptoss_magic.serving.faults import ApiError
from gptoss_magic.serving.logprobs import LEAST
from gptoss_magic.serving.question import (
    MOST_TOP,
    Asking,
    nth,
    read_model,
    refuse_samplers,
    sampling_of,
    schema_of,
)
from gptoss_magic.session import current
from gptoss_magic.turns.settle import settle
from gptoss_magic.turns.stop_text import num_open
from gptoss_magic.turns.whole import bounded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gptoss_magic.harmony import HarmonyCodec
    from gptoss_magic.records import Request, Turn
    from gptoss_magic.serving.body import Body
    from gptoss_magic.serving.ledger import Served

MOST_PROMPTS = 256
MOST_CHOICES = 16
DEFAULT_TOKENS = 16


@dataclass(frozen=True)
class CompletionRequest:
    """A body, read. `num_logprobs`: None for none; `max_tokens` 0 scores the prompt alone."""

    asking: Asking
    prompts: tuple[tuple[int, ...], ...]
    n: int
    max_tokens: int
    stop: tuple[str, ...]
    num_logprobs: int | None
    has_echo: bool
    is_stream: bool
    has_usage: bool
    has_ids: bool

    def request(self, index: int) -> Request:
        """The settled request of choice `index`. Raises GptOssError."""
        asking, number = self.asking, index % self.n
        request = settle(
            prompt_ids=self.prompts[index // self.n],
            persona=asking.name.persona,
            adapters=asking.name.adapters,
            stop=self.stop,
            ready=current().require,
            **asking.settings,
        )
        request = replace(nth(request, number), num_top=asking.num_top)
        return bounded(request, self.max_tokens or 1)


def read_completion(body: Body) -> CompletionRequest:
    """What the body asks. Raises ApiError, NotLoaded."""
    name = read_model(body)
    if "suffix" in body:
        raise ApiError(400, "suffix is not offered here: leave it out", param="suffix")
    refuse_samplers(body)
    n, max_tokens = body.whole("n", 1, MOST_CHOICES) or 1, body.whole("max_tokens", 0)
    num_logprobs = body.whole("logprobs", 0, MOST_TOP)
    options = body.inner("stream_options")
    return CompletionRequest(
        asking=Asking(name, {**sampling_of(body), **_held_to(body)}, num_top=num_logprobs or 0),
        prompts=_prompts(body),
        n=n,
        max_tokens=DEFAULT_TOKENS if max_tokens is None else max_tokens,
        stop=tuple(filter(None, body.texts("stop"))),
        num_logprobs=num_logprobs,
        has_echo=body.flag("echo", default=False),
        is_stream=body.flag("stream", default=False),
        has_usage=bool(options and options.flag("include_usage", default=False)),
        has_ids=body.flag("return_token_ids", default=False),
    )


def _held_to(body: Body) -> dict[str, Any]:
    """The schema of an answer whose prompt ends in an opened turn of the assistant.

    `calls`: tools may be called before it, as `%gptoss connect` asks for.
    """
    schema = schema_of(body.inner("response_format"))
    return {"schema": schema, "calls": body.flag("calls", default=False)} if schema else {}


def _prompts(body: Body) -> tuple[tuple[int, ...], ...]:
    value = body.raw("prompt")
    many = value if isinstance(value, list) and not _is_ids(value) else [value]
    if not many or len(many) > MOST_PROMPTS:
        raise body.fault("prompt", f"1 to {MOST_PROMPTS} prompts", value)
    prompts = []
    for one in many:
        if isinstance(one, str):
            prompts.append(tuple(raw_ids(one)))
        elif isinstance(one, list) and _is_ids(one):
            prompts.append(tuple(one))
        else:
            raise body.fault("prompt", "a text, token ids, or a list of either", value)
        if not prompts[-1]:
            raise body.fault("prompt", "at least one token", one)
    return tuple(prompts)


def _is_ids(values: list[Any]) -> bool:
    """True for ids that the model has."""
    codec = current().codec
    return bool(values) and all(
        isinstance(one, int) and not isinstance(one, bool) and one >= 0 and codec.token_bytes(one)
        for one in values
    )


def raw_ids(text: str) -> list[int]:
    """Tokens of a raw text; the names of special tokens are those tokens."""
    from gptoss_magic.quoting import encodable

    return list(current().codec.tokenizer.encode(encodable(text), add_special_tokens=False))


def scored_prompt(asked: CompletionRequest, prompt: Sequence[int]) -> list[TokenDelta]:
    """The prompt's tokens with their log-probabilities; the first has none. Raises GptOssError."""
    session = current()
    engine: Any = session.engine
    if not engine.capabilities.scores or not hasattr(engine, "scored"):
        raise InputError("this engine cannot give log-probabilities of a prompt: leave echo out")
    first = TokenDelta(prompt[0])
    if len(prompt) == 1:
        return [first]
    with session.using(asked.asking.name.adapters):
        return [first, *engine.scored(prompt[:1], prompt[1:], asked.num_logprobs or 0)]


class Completed:
    """One choice: what it says so far."""

    def __init__(self, index: int, asked: CompletionRequest, codec: HarmonyCodec) -> None:
        self.index, self.asked, self.codec = index, asked, codec
        self.prompt = asked.prompts[index // asked.n]
        self.echoed: list[TokenDelta] = []
        self.tokens: list[TokenDelta] = []
        self.cut: tuple[str, ...] = ()
        self.finish: str | None = None
        self.num_cached = 0
        self._told = 0  # characters that were told in chunks
        self._told_tokens = 0

    def take(self, told: TokenDelta | Turn) -> None:
        """One more token, or the end."""
        if isinstance(told, TokenDelta):
            self.tokens.append(told)
            return
        finish = told.answer.finish
        self.num_cached = told.answer.usage.cached_tokens
        self.cut = self.asked.stop if finish == "stop" else ()
        self.finish = "length" if finish == "length" else "stop"

    @property
    def text(self) -> str:
        """The echoed prompt and what was said, specials left out, before a stop string."""
        said = self._decoded([token.token_id for token in self.tokens])
        places = [at for at in map(said.find, self.cut) if at >= 0]
        said = said[: min(places)] if places else said
        return self._decoded(self.prompt) + said if self.asked.has_echo else said

    def _decoded(self, ids: Sequence[int]) -> str:
        special = set(self.codec.special.values())
        return self.codec.decode([token for token in ids if token not in special])

    def chunk(self) -> dict[str, Any] | None:
        """What is new since the last one; None where nothing is certain yet."""
        text = self.text
        sure = (
            len(text)
            if self.finish
            else len(text.rstrip("\ufffd")) - num_open(text, self.asked.stop)
        )
        if sure <= self._told and not self.finish and not self.asked.has_ids:
            return None
        said, self._told = text[self._told : sure], max(sure, self._told)
        new, self._told_tokens = self.tokens[self._told_tokens :], len(self.tokens)
        return self._choice(said, new)

    def whole(self) -> dict[str, Any]:
        """The choice of an answer that is over."""
        echoed = self.echoed if self.asked.has_echo else []
        tokens = [] if self.asked.max_tokens == 0 else self.tokens
        return self._choice(self.text, [*echoed, *tokens], tokens)

    def _choice(
        self, text: str, tokens: Sequence[TokenDelta], said: Sequence[TokenDelta] | None = None
    ) -> dict[str, Any]:
        choice: dict[str, Any] = {
            "index": self.index,
            "text": text,
            "logprobs": self._logprobs(tokens),
            "finish_reason": self.finish,
        }
        if self.asked.has_ids:
            choice["token_ids"] = [t.token_id for t in (tokens if said is None else said)]
            choice["prompt_token_ids"] = list(self.prompt)
        return choice

    def _logprobs(self, tokens: Sequence[TokenDelta]) -> dict[str, Any] | None:
        if self.asked.num_logprobs is None:
            return None
        texts = [self.codec.decode([token.token_id]) for token in tokens]
        offsets = [0, *accumulate(map(len, texts))][: len(texts)]
        return {
            "tokens": texts,
            "token_logprobs": [_bounded(token.logprob) for token in tokens],
            "top_logprobs": [self._top(token) for token in tokens],
            "text_offset": offsets,
        }

    def _top(self, token: TokenDelta) -> dict[str, float] | None:
        """The likeliest tokens by text, the chosen one among them."""
        if token.logprob is None:
            return None
        pairs = [*token.top, (token.token_id, token.logprob)]
        top: dict[str, float] = {}
        for one, score in pairs:
            top.setdefault(self.codec.decode([one]), max(score, LEAST))
        return top


def _bounded(score: float | None) -> float | None:
    return None if score is None else max(score, LEAST)


def envelope(served: Served) -> dict[str, Any]:
    """What every answer and every chunk begins with."""
    return {
        "id": served.id,
        "object": "text_completion",
        "created": int(served.created),
        "model": served.model,
        "system_fingerprint": "gptoss_magic",
    }


def usage_of(asked: CompletionRequest, choices: Sequence[Completed]) -> dict[str, Any]:
    """Tokens of all prompts and answers."""
    prompt = sum(map(len, asked.prompts))
    said = sum(len(choice.tokens) for choice in choices) if asked.max_tokens else 0
    cached = sum(choice.num_cached for choice in choices)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": said,
        "total_tokens": prompt + said,
        "prompt_tokens_details": {"cached_tokens": cached},
    }

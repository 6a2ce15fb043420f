"""vLLM: `/v1/completions` with token ids both ways."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar

from gptoss_magic.serving.remote.answers import AnswerPart
from gptoss_magic.serving.remote.refusals import RemoteFault, readable
from gptoss_magic.serving.remote.token_engine import TokenAsk, TokenEngine

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

MAX_ID = 1 << 31
SURE = -1e9  # what stands for the logarithm of no probability, which JSON cannot say


class VllmEngine(TokenEngine):
    """`return_token_ids` gives the tokens of each event; adapters are models of their own."""

    path: ClassVar[str] = "/v1/completions"

    def body(self, ask: TokenAsk) -> dict[str, Any]:
        settings = ask.settings
        body: dict[str, Any] = {
            "model": self.facts.model_beside(ask.adapters),
            "prompt": ask.prompt,
            "max_tokens": ask.max_tokens,
            "temperature": settings.temperature,
            "top_p": settings.top_p,
            "top_k": settings.top_k,
            "seed": settings.seed,
            "logprobs": 1,
            "stream": True,
            "stream_options": {"include_usage": True},
            "return_token_ids": True,
            **self.extras(ask),
        }
        if ask.form is not None:
            named = {"name": "answer", "schema": ask.form.schema, "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": named}
        return body

    def extras(self, ask: TokenAsk) -> dict[str, Any]:
        """Keys of this kind alone: the sampler's defaults of the checkpoint are not ours."""
        return {
            "stop_token_ids": ask.stop_ids,
            "min_p": 0.0,
            "repetition_penalty": 1.0,
            "skip_special_tokens": False,
            "add_special_tokens": False,
        }

    def parts(self, events: Iterable[dict[str, Any]]) -> Iterator[AnswerPart]:
        for event in events:
            cached = cached_tokens(event.get("usage"))
            choices = event.get("choices") or []
            if not choices:
                yield AnswerPart(cached=cached)
                continue
            choice = choices[0]
            yield AnswerPart(
                ids_in(choice, "token_ids"),
                scores_in(choice.get("logprobs")),
                choice.get("finish_reason") or "",
                cached,
            )

    def tokens_of(self, text: str) -> list[int]:
        body = {"model": self.facts.model, "prompt": text, "add_special_tokens": False}
        said = self.client.post("/tokenize", body)
        return ids_in(said, "tokens")

    def score(self, prompt_T: Sequence[int], answer_T: Sequence[int]) -> list[float]:
        self.check([*prompt_T, *answer_T], 1)
        body = {
            "model": self.facts.model_beside(self.shelf.beside),
            "prompt": [*prompt_T, *answer_T],
            "max_tokens": 1,
            "temperature": 0,
            "echo": True,
            "logprobs": 1,
        }
        said = self.client.patiently(lambda: self.client.post(self.path, body))
        with readable(self.client.address.root):
            scores = scores_in(said["choices"][0].get("logprobs"))
        own = scores[len(prompt_T) : len(prompt_T) + len(answer_T)]
        if len(own) != len(answer_T):
            raise RemoteFault(
                f"{self.client.address.root}: log-probabilities of a prompt are missing; see how "
                "that server was started"
            )
        return [SURE if score is None else score for score in own]


def ids_in(value: Any, key: str) -> list[int]:
    """Token ids of an untrusted answer. Raises RemoteFault for what is none."""
    ids = value.get(key) if isinstance(value, dict) else None
    if ids is None:
        return []
    if not isinstance(ids, list) or any(
        type(one) is not int or not 0 <= one < MAX_ID for one in ids
    ):
        raise RemoteFault(f"the server's {key} are no token ids; see how that server was started")
    return ids


def scores_in(logprobs: Any) -> list[float | None]:
    """Log-probabilities of an OpenAI-like completion; None where one is missing."""
    scores = logprobs.get("token_logprobs") if isinstance(logprobs, dict) else None
    return [number(one) for one in scores] if isinstance(scores, list) else []


def number(value: Any) -> float | None:
    """A finite number, or None."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and math.isfinite(value) else None


def cached_tokens(usage: Any) -> int | None:
    """Prompt tokens that were not computed again, where the usage tells."""
    details = usage.get("prompt_tokens_details") if isinstance(usage, dict) else None
    cached = details.get("cached_tokens") if isinstance(details, dict) else None
    return cached if isinstance(cached, int) else None

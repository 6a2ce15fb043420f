"""llama.cpp's llama-server: its own `/completion` with token ids both ways."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from gptoss_magic.serving.remote.answers import AnswerPart
from gptoss_magic.serving.remote.refusals import RemoteFault
from gptoss_magic.serving.remote.token_engine import TokenAsk, TokenEngine
from gptoss_magic.serving.remote.vllm import ids_in, number

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

FINISHES = {"eos": "stop", "limit": "length", "word": "stop"}


class LlamaServerEngine(TokenEngine):
    """Adapters are loaded when it starts, and are given a scale with each request, by number.

    A token that ends in the middle of a letter has no event of its own: the next event has the
    letter and its last token alone, and a count that tells. Its other tokens are those that the
    letter's text is encoded to; where they do not add up, the answer ends there, with a note.
    """

    scores: ClassVar[bool] = False
    path: ClassVar[str] = "/completion"

    def body(self, ask: TokenAsk) -> dict[str, Any]:
        settings = ask.settings
        body: dict[str, Any] = {
            "prompt": ask.prompt,
            "n_predict": ask.max_tokens,
            "temperature": settings.temperature,
            "top_p": settings.top_p,
            "top_k": settings.top_k,
            "min_p": 0.0,
            "typical_p": 1.0,
            "repeat_penalty": 1.0,
            "seed": settings.seed % (1 << 32),
            "samplers": ["top_k", "top_p", "temperature"],
            "n_probs": 1,
            "cache_prompt": True,
            "return_tokens": True,
            "stream": True,
        }
        if ask.form is not None:
            body["json_schema"] = ask.form.schema
        numbers = self.facts.adapters or {}
        if numbers:
            scales = {name: float(name in ask.adapters) for name in numbers}
            body["lora"] = [{"id": int(numbers[name]), "scale": s} for name, s in scales.items()]
        return body

    def parts(self, events: Iterable[dict[str, Any]]) -> Iterator[AnswerPart]:
        num_read = 0
        for event in events:
            ids = ids_in(event, "tokens")
            num_all = event.get("tokens_predicted")
            if ids and isinstance(num_all, int) and num_all > num_read + len(ids):
                ids = self._completed(ids, str(event.get("content", "")), num_all - num_read)
            num_read += len(ids)
            is_last = event.get("stop") is True
            kind = str(event.get("stop_type") or "") if is_last else ""
            cached = (event.get("timings") or {}).get("cache_n")
            yield AnswerPart(
                ids,
                [None] * (len(ids) - 1) + [self._score(event)],
                FINISHES.get(kind, kind or "stop") if is_last else "",
                cached if isinstance(cached, int) else None,
            )

    def tokens_of(self, text: str) -> list[int]:
        body = {"content": text, "add_special": False, "parse_special": True}
        return ids_in(self.client.post("/tokenize", body), "tokens")

    def _completed(self, ids: list[int], text: str, num: int) -> list[int]:
        """The `num` tokens of `text`, whose last ones are `ids`."""
        whole = self.codec.encode(text)
        if len(whole) != num or whole[-len(ids) :] != ids:
            raise RemoteFault(
                f"{self.client.address.root}: it left out a token in the middle of {text!r}; ask "
                "again"
            )
        return whole

    def _score(self, event: dict[str, Any]) -> float | None:
        told = event.get("completion_probabilities")
        last = told[-1] if isinstance(told, list) and told else None
        return number(last.get("logprob")) if isinstance(last, dict) else None

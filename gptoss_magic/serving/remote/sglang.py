"""SGLang: its own `/generate` with token ids both ways."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, ClassVar

from gptoss_magic.serving.remote.answers import AnswerPart
from gptoss_magic.serving.remote.refusals import RemoteFault
from gptoss_magic.serving.remote.token_engine import TokenAsk, TokenEngine
from gptoss_magic.serving.remote.vllm import SURE, ids_in, number

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence


class SglangEngine(TokenEngine):
    """An event has all tokens so far, or (`--incremental-streaming-output`) the new ones alone."""

    path: ClassVar[str] = "/generate"

    def body(self, ask: TokenAsk) -> dict[str, Any]:
        settings = ask.settings
        sampling: dict[str, Any] = {
            "max_new_tokens": ask.max_tokens,
            "temperature": settings.temperature,
            "top_p": settings.top_p,
            "top_k": settings.top_k or -1,
            "min_p": 0.0,
            "repetition_penalty": 1.0,
            "stop_token_ids": ask.stop_ids,
            "skip_special_tokens": False,
            "no_stop_trim": True,
        }
        if settings.temperature:
            sampling["sampling_seed"] = settings.seed
        if ask.form is not None:
            sampling["json_schema"] = json.dumps(ask.form.schema)
        body = {
            "input_ids": ask.prompt,
            "sampling_params": sampling,
            "return_logprob": True,
            "stream": True,
        }
        return body | self._beside(ask.adapters)

    def parts(self, events: Iterable[dict[str, Any]]) -> Iterator[AnswerPart]:
        num_read = 0
        for event in events:
            meta = event.get("meta_info") or {}
            ids, triples = ids_in(event, "output_ids"), meta.get("output_token_logprobs") or []
            num_all = meta.get("completion_tokens")
            is_whole = not isinstance(num_all, int) or len(ids) >= num_all
            skip = num_read if is_whole else 0
            fresh = ids[skip:]
            num_read += len(fresh)
            finish = meta.get("finish_reason") or {}
            kind = finish.get("type", "") if isinstance(finish, dict) else str(finish)
            if kind == "abort":
                raise RemoteFault(
                    f"{self.client.address.root}: {finish.get('message', 'aborted')}; ask again"
                )
            cached = meta.get("cached_tokens")
            scores = [number(one[0]) for one in triples[len(triples) - len(fresh) :]]
            yield AnswerPart(fresh, scores, kind, cached if isinstance(cached, int) else None)

    def tokens_of(self, text: str) -> list[int]:
        said = self._scored({"text": text, "logprob_start_len": 0})
        return ids_in({"tokens": [one[1] for one in said]}, "tokens")

    def score(self, prompt_T: Sequence[int], answer_T: Sequence[int]) -> list[float]:
        self.check([*prompt_T, *answer_T], 1)
        body = {"input_ids": [*prompt_T, *answer_T], "logprob_start_len": len(prompt_T) - 1}
        said = self._scored(body | self._beside(self.shelf.beside))[-len(answer_T) :]
        if len(said) != len(answer_T):
            raise RemoteFault(
                f"{self.client.address.root}: log-probabilities of a prompt are missing; see how "
                "that server was started"
            )
        scores = [number(one[0]) for one in said]
        return [SURE if score is None else score for score in scores]

    def _scored(self, body: dict[str, Any]) -> list[Any]:
        """[log-probability, token id, text] of each token of a prompt."""
        asked = {"sampling_params": {"max_new_tokens": 1, "temperature": 0}, "return_logprob": True}
        said = self.client.patiently(lambda: self.client.post(self.path, body | asked))
        triples = (said.get("meta_info") or {}).get("input_token_logprobs") or []
        if not all(isinstance(one, list) and len(one) > 1 for one in triples):
            raise RemoteFault(
                f"{self.client.address.root}: input_token_logprobs cannot be read; see how that "
                "server was started"
            )
        return list(triples)

    def _beside(self, adapters: tuple[str, ...]) -> dict[str, Any]:
        return {"lora_path": self.facts.model_beside(adapters)} if adapters else {}

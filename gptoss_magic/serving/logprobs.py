"""Log-probabilities as OpenAI's routes give them; in nats."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gptoss_magic.harmony import HarmonyCodec
    from gptoss_magic.records import TokenDelta

LEAST = -9999.0  # in place of an infinite one, which JSON has not


def logprobs_of(tokens: Iterable[TokenDelta], codec: HarmonyCodec) -> list[dict[str, Any]]:
    """Of each token its text, bytes, log-probability and the likeliest in its place."""
    special = set(codec.special.values())
    return [_entry(token, codec) for token in tokens if token.token_id not in special]


def _entry(token: TokenDelta, codec: HarmonyCodec) -> dict[str, Any]:
    top = [_one(one, logprob, codec) for one, logprob in token.top]
    return {**_one(token.token_id, token.logprob, codec), "top_logprobs": top}


def _one(token_id: int, logprob: float | None, codec: HarmonyCodec) -> dict[str, Any]:
    raw = codec.token_bytes(token_id)
    return {
        "token": raw.decode("utf-8", "replace"),
        "logprob": LEAST if logprob is None else max(logprob, LEAST),
        "bytes": list(raw),
    }

"""Another kernel's `%gptoss serve`: vLLM's routes, without what only vLLM reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gptoss_magic.serving.remote.vllm import VllmEngine

if TYPE_CHECKING:
    from gptoss_magic.serving.remote.token_engine import TokenAsk


class ServedEngine(VllmEngine):
    """It stops at harmony's ends by itself, and its sampler has no defaults but ours."""

    def extras(self, ask: TokenAsk) -> dict[str, Any]:  # noqa: ARG002 (there are none)
        return {}

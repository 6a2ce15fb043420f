"""Another kernel's `%gptoss serve`: vLLM's routes, without what only vLLM reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from gptoss_magic.errors import InputError
from gptoss_magic.serving.remote.vllm import VllmEngine

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gptoss_magic.records import SamplingSettings
    from gptoss_magic.serving.remote.answers import RemoteStream
    from gptoss_magic.serving.remote.token_engine import TokenAsk


class ServedEngine(VllmEngine):
    """It stops at harmony's ends by itself, and its sampler has no defaults but ours."""

    knows_harmony: ClassVar[bool] = True

    def extras(self, ask: TokenAsk) -> dict[str, Any]:
        """Whether tools may be called before an answer by a schema."""
        return {"calls": ask.form.calls} if ask.form is not None else {}

    def stream(
        self, prompt_T: Sequence[int], settings: SamplingSettings, **how: Any
    ) -> RemoteStream:
        """See `Engine.stream`. Raises InputError for a schema behind tokens that stand already."""
        if how.get("kept") and how.get("grammar") is not None:
            raise InputError(
                f"{self.client.address.root} holds whole answers to a schema, none that goes on "
                "behind tokens: leave --schema out, or ask the prompt again"
            )
        return super().stream(prompt_T, settings, **how)

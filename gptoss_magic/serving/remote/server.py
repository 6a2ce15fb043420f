"""What a server said of itself: its kind, its models, its context."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gptoss_magic.records.provenance import ServerRecord

OURS, VLLM, SGLANG = "gptoss_magic", "vLLM", "SGLang"
LLAMA, OLLAMA, PLAIN = "llama-server", "ollama", "OpenAI-compatible server"


@dataclass(frozen=True)
class ServerFacts:
    """`model`: what is asked for by name. `context`: of prompt and answer, 0 where not told.

    `adapters`: what the server calls each of the model's adapters, by the name that the user says.
    """

    kind: str
    version: str
    model: str
    context: int = 0
    adapters: Mapping[str, str] | None = None

    def model_beside(self, adapters: tuple[str, ...]) -> str:
        """What the server calls the model beside these adapters."""
        known = self.adapters or {}
        return known[adapters[0]] if adapters else self.model

    def record(self, url: str, adapters: tuple[str, ...], *, is_exact: bool) -> ServerRecord:
        """For a provenance: who answers."""
        return {
            "url": url,
            "kind": self.kind,
            "version": self.version,
            "model": "+".join((self.model, *adapters)),
            "exact": is_exact,
        }

"""The engine of each kind of server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gptoss_magic.serving.remote.chat_engine import ChatEngine
from gptoss_magic.serving.remote.llama_server import LlamaServerEngine
from gptoss_magic.serving.remote.ollama import OllamaEngine
from gptoss_magic.serving.remote.ours import ServedEngine
from gptoss_magic.serving.remote.server import LLAMA, OLLAMA, OURS, SGLANG, VLLM
from gptoss_magic.serving.remote.sglang import SglangEngine
from gptoss_magic.serving.remote.vllm import VllmEngine

if TYPE_CHECKING:
    from gptoss_magic.serving.remote.token_engine import TokenEngine

BY_TOKENS: dict[str, type[TokenEngine]] = {
    OURS: ServedEngine,
    VLLM: VllmEngine,
    SGLANG: SglangEngine,
    LLAMA: LlamaServerEngine,
}
BY_MESSAGES: dict[str, type[ChatEngine]] = {OLLAMA: OllamaEngine}


def chat_kind(kind: str) -> type[ChatEngine]:
    """What asks a server of this kind by messages."""
    return BY_MESSAGES.get(kind, ChatEngine)

"""Generation: the engine that yields tokens, sampling, one whole turn, many prompts at once."""

from gptoss_magic.generation.batch import Request, stream_batch
from gptoss_magic.generation.engine import Engine
from gptoss_magic.generation.guide import Grammar
from gptoss_magic.generation.prefixes import Beside
from gptoss_magic.generation.sampling import SamplingSettings
from gptoss_magic.generation.turn import Turn, run_tokens, run_turn

__all__ = [
    "Beside",
    "Engine",
    "Grammar",
    "Request",
    "SamplingSettings",
    "Turn",
    "run_tokens",
    "run_turn",
    "stream_batch",
]

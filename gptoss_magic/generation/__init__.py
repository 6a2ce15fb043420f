"""Generation: the engine that yields tokens, sampling, and one whole turn."""

from gptoss_magic.generation.engine import Engine
from gptoss_magic.generation.sampling import SamplingSettings
from gptoss_magic.generation.turn import run_turn

__all__ = ["Engine", "SamplingSettings", "run_turn"]

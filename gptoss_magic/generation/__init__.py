"""Generation: engines that yield tokens, their queue, sampling, one whole answer, many at once."""

from gptoss_magic.generation.batch import BatchPrompt, stream_batch
from gptoss_magic.generation.builder import AnswerBuilder, Slices, run_tokens, run_turn
from gptoss_magic.generation.engine import LocalEngine
from gptoss_magic.generation.guide import Grammar
from gptoss_magic.generation.parallel import Ended, stream_parallel
from gptoss_magic.generation.prefixes import Beside
from gptoss_magic.generation.protocol import Capabilities, Engine
from gptoss_magic.generation.queue import ModelQueue
from gptoss_magic.records import SamplingSettings

__all__ = [
    "AnswerBuilder",
    "BatchPrompt",
    "Beside",
    "Capabilities",
    "Ended",
    "Engine",
    "Grammar",
    "LocalEngine",
    "ModelQueue",
    "SamplingSettings",
    "Slices",
    "run_tokens",
    "run_turn",
    "stream_batch",
    "stream_parallel",
]

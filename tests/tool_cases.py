"""A tool run over a scripted engine: real rendering, real parsing, no model."""

from gptoss_magic.agents.consent import by_policy
from gptoss_magic.agents.limits import Limits
from gptoss_magic.agents.loop import finished, run
from gptoss_magic.api.agent import within
from gptoss_magic.generation import SamplingSettings
from gptoss_magic.generation.turn import run_turn
from gptoss_magic.harmony import HarmonyCodec
from gptoss_magic.records import Message
from gptoss_magic.scripted import ScriptedEngine
from gptoss_magic.testing import tiny_tokenizer

CODEC = HarmonyCodec(tiny_tokenizer())


def ran(script, tools, consent=None, max_tokens=2000, **limits):
    """(answer, engine) of a run; the tools' own policies decide, where no consent is given."""
    engine = ScriptedEngine(CODEC, script)

    def respond(messages, budget):
        how = within(budget, {"max_tokens": max_tokens})
        settings = SamplingSettings(max_tokens=how.pop("max_tokens"))
        return run_turn(engine, messages, settings, **how)

    steps = []
    going = run(respond, [Message("user", "Hi")], tools, consent or by_policy(), Limits(**limits))
    answer = finished(going, steps.append)
    assert tuple(steps) == answer.steps[: len(steps)]
    return answer, engine

"""A tool run over a scripted engine: real rendering, real parsing, no model. An MCP server."""

import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

from gptoss_magic.agents.consent import by_policy
from gptoss_magic.agents.loop import finished, run
from gptoss_magic.generation import SamplingSettings
from gptoss_magic.generation.builder import run_turn
from gptoss_magic.harmony import HarmonyCodec
from gptoss_magic.records import Limits, Listener, Message
from gptoss_magic.scripted import ScriptedEngine
from gptoss_magic.testing import tiny_tokenizer
from gptoss_magic.turns.tool_run import bounded_by

CODEC = HarmonyCodec(tiny_tokenizer())


def ran(script, tools, consent=None, max_tokens=2000, on_step=None, messages=(), **limits):
    """(answer, engine) of a run; the tools' own policies decide, where no consent is given."""
    engine = ScriptedEngine(CODEC, script)

    def respond(messages, budget):
        settings = SamplingSettings(max_tokens=max(1, min(max_tokens, budget.tokens)))
        return run_turn(engine, messages, settings, listener=bounded_by(budget, Listener()))

    steps = []
    asked = messages or [Message("user", "Hi")]
    going = run(respond, asked, tools, consent or by_policy(), Limits(**limits))
    answer = finished(going, on_step or steps.append)
    assert tuple(steps) == answer.steps[: len(steps)]
    return answer, engine


@contextmanager
def served(*words):
    """The URL of an MCP server in a child process; `words`: the token that it wants."""
    script = str(Path(__file__).with_name("mcp_server.py"))
    process = subprocess.Popen(
        [sys.executable, script, "--http", *words], stdout=subprocess.PIPE, text=True
    )
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/mcp"
    finally:
        process.kill()
        process.communicate()

"""Answers as a model would give them, and what suites use of other rooms."""

import pytest

from gptoss_magic.agents.python import ProcessLimits, run_process
from gptoss_magic.evaluation.suite import Means
from gptoss_magic.records import Answer, ToolCall, Usage
from gptoss_magic.turns.settle import answer_form


def said(final="", *calls, finish=None, analysis=""):
    """An answer; `calls` are (name, arguments)."""
    made = tuple(ToolCall(name, arguments, str(arguments)) for name, arguments in calls)
    usage = Usage(10, 20, 5, 0.1, 0.1, 0.2)
    finish = finish or ("call" if made else "return")
    return Answer(final, analysis, "", made, (), usage, finish, (), {})


def run_code(code, seconds):
    ran = run_process(code, ProcessLimits(seconds=seconds, memory=1 << 30, is_confined=True))
    return ran.output, ran.status


@pytest.fixture
def means():
    return Means(run_code, answer_form, {})

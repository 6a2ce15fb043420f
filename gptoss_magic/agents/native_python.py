"""`python` as gpt-oss knows it: raw code, no JSON, in a process of the conversation's own."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from gptoss_magic.agents.python import ProcessLimits
from gptoss_magic.agents.tools import Tool, ToolResult
from gptoss_magic.errors import InputError
from gptoss_magic.quoting import harmless_lines

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gptoss_magic.agents.python_process import PythonProcess

# the first sentence is openai-harmony 0.0.8's; of the rest what is true here
SPACE = """\
Use this tool to execute Python code in your chain of thought.

When you send a message containing Python code to python, it will be executed in a stateful \
process: names are kept between calls. python will respond with the output of the execution, and \
the value of the last expression, or time out after {seconds:g} seconds. Figures and data frames \
are shown to the user. Nothing can be written to disk. Internet access for this session is \
disabled."""
ORIGIN = "built in; a process that stays, which can compute and read files, and nothing else"
PARAMETERS = {"type": "object", "properties": {"code": {"type": "string"}}, "required": ["code"]}
ABOUT = "Run Python code in a process that stays with the conversation."
NOTHING = "(done; it printed nothing)"


def confined_limits() -> ProcessLimits:
    """What holds for the process: nothing is written, nothing leaves this machine."""
    return ProcessLimits(is_confined=True)


def native_python(process: PythonProcess) -> Tool:
    """The tool over a process. Raises InputError where processes cannot be limited (Windows)."""
    if os.name != "posix":
        raise InputError("the python tool needs a POSIX system: elsewhere no limit would hold")

    def python(code: str) -> ToolResult:
        done = process.run(code)
        text = harmless_lines(done.output).strip("\n") or NOTHING
        return ToolResult(text, figures=done.figures, frames=done.frames)

    space = SPACE.format(seconds=process.limits.seconds)
    return Tool("python", ABOUT, PARAMETERS, python, "ask", ORIGIN, _checked, space=space)


def _checked(given: Mapping[str, Any]) -> dict[str, Any]:
    code = given.get("code")
    if not isinstance(code, str) or not code.strip():
        raise ValueError("there is no code: send Python as it is")
    return {"code": code}

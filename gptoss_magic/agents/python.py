"""Python code in a process of its own, with limits of time and memory.

The process has an empty folder, a bare environment and no input. Where it `is_confined`
(`confined.py`) it can compute, read and print, and nothing else; else it can do what the user can.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from gptoss_magic.agents.confined import UNCONFINED
from gptoss_magic.errors import InputError

PYTHON = (sys.executable, "-I", "-X", "utf8")  # by itself: not as the user's variables say
KEPT = ("PATH", "LANG", "LC_ALL", "SYSTEMROOT", "TZ")
SCRIPT = Path(__file__).with_name("confined.py")


@dataclass(frozen=True)
class ProcessLimits:
    """Of one piece of code: seconds, bytes of address space, bytes of a file, characters shown.

    `is_confined`: no network, no other process, nothing written.
    """

    seconds: float = 30.0
    memory: int = 2 << 30
    file: int = 64 << 20
    chars: int = 20_000
    is_confined: bool = False


@dataclass(frozen=True)
class Ran:
    """What a piece of code printed, errors included, and how it ended.

    `status`: its exit status, negative for a signal; None where its time was over.
    """

    output: str
    status: int | None


def run_process(code: str, limits: ProcessLimits) -> Ran:
    """Run `code`. ■, and the time limit of a call, end the process and all it started.

    Raises InputError where it shall be confined and this machine cannot.
    """
    ran = _ran(code, limits)
    if limits.is_confined and ran.status == UNCONFINED:  # the code may say so itself
        probe = _ran("", limits)
        if probe.status == UNCONFINED:
            raise InputError(
                "code of a model is run only where Linux can confine it by seccomp: "
                f"here {probe.output}; leave it out, or use such a machine"
            )
    return ran


def _ran(code: str, limits: ProcessLimits) -> Ran:
    with tempfile.TemporaryDirectory(prefix="gptoss-python-") as name:
        folder = Path(name)
        (folder / "work").mkdir()
        (folder / "code.py").write_text(code, encoding="utf-8", errors="surrogatepass")
        with (folder / "output").open("w+b") as output:
            status = _run(folder, output, limits)
            return Ran(shown_output(output, limits.chars), status)


def _run(folder: Path, output: IO[bytes], limits: ProcessLimits) -> int | None:
    settings = {
        "RLIMIT_AS": limits.memory,
        "RLIMIT_CPU": int(limits.seconds) + 1,
        "RLIMIT_FSIZE": limits.file,
        "RLIMIT_CORE": 0,
        "is_confined": limits.is_confined,
    }
    process = subprocess.Popen(
        [*PYTHON, str(SCRIPT), str(folder / "code.py"), json.dumps(settings)],
        cwd=folder / "work",
        env=environment(folder),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        return process.wait(limits.seconds)
    except subprocess.TimeoutExpired:
        return None
    finally:
        ending(process)


def environment(folder: Path) -> dict[str, str]:
    """Nothing of the user's variables (keys, tokens) but the path and the language."""
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    work = str(folder / "work")
    return kept | {
        "HOME": work,
        "TMPDIR": work,
        "OPENBLAS_NUM_THREADS": "2",
    }


def ending(process: subprocess.Popen[Any]) -> None:
    """End the process and what it started."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def shown_output(output: IO[bytes], chars: int, start: int = 0) -> str:
    """The beginning and the end of what was printed from the byte `start` on."""
    size = output.seek(0, os.SEEK_END)
    output.seek(start)
    if size - start <= 4 * chars:
        text = output.read().decode("utf-8", "replace")
        return text if len(text) <= chars else f"{text[: chars // 2]}\n[…]\n{text[-chars // 2 :]}"
    head = output.read(chars // 2).decode("utf-8", "replace")
    output.seek(max(start, size - chars // 2))
    return f"{head}\n[…]\n{output.read().decode('utf-8', 'replace')}"

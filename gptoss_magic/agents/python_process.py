"""A process of Python that stays: what one call of a conversation defines, the next one has.

It can compute, read and print, and nothing else, where Linux can confine it (`confined.py`): no
network, no other process, nothing written. Elsewhere it has the user's rights, and says so.
"""

from __future__ import annotations

import atexit
import json
import os
import re
import select
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gptoss_magic.agents.python import ProcessLimits, ending, environment, shown_output
from gptoss_magic.errors import InputError
from gptoss_magic.records import FrameHead

SCRIPT = Path(__file__).with_name("python_worker.py")
TOTAL_SECONDS = 3600  # of computing, of all calls
GRACE_S = 2.0  # for code that is interrupted
START_S = 30.0  # until the process is ready
MOST_REPLY = 32 << 20  # bytes
PNG = re.compile(r"iVBORw0KGgo[A-Za-z0-9+/]{20,8000000}={0,2}")


@dataclass(frozen=True)
class CodeResult:
    """What one piece of code gave: its output, its figures (PNG, base64), its last value's rows."""

    output: str
    figures: tuple[str, ...] = ()
    frames: tuple[FrameHead, ...] = ()


@dataclass
class PythonProcess:
    """Starts at its first call, and anew where it ended. `is_fresh`: nothing is defined in it."""

    limits: ProcessLimits
    is_fresh: bool = True
    _process: subprocess.Popen[bytes] | None = None
    _folder: Any = None
    _answers: int = -1
    _told: bytes = field(default=b"", repr=False)

    def run(self, code: str) -> CodeResult:
        """Run a piece of code. ■ and the limit of its time interrupt it; where it does not heed
        that, the process ends, and its names with it. Raises InputError where it cannot be
        confined.
        """
        if self._process is None or self._process.poll() is not None:
            self._start()
        before = self._output.stat().st_size
        try:
            reply = self._asked(code)
        except BaseException:  # ■, or the end of the call's time
            self._interrupt()
            raise
        with self._output.open("rb") as output:
            text = shown_output(output, self.limits.chars, before)
        if reply is None:
            return CodeResult("\n".join(filter(None, [text.rstrip("\n"), self._ended()])))
        self.is_fresh = False
        if reply["ended"] == "timeout":
            text += f"[interrupted after {self.limits.seconds:g} s]\n"
        return CodeResult(text.rstrip("\n"), _figures(reply), _frames(reply))

    def end(self) -> None:
        """End the process and all that it started."""
        if self._process is not None:
            ending(self._process)
        if self._answers >= 0:
            os.close(self._answers)
        if self._folder is not None:
            self._folder.cleanup()
        self._process, self._folder, self._answers, self._told = None, None, -1, b""
        self.is_fresh = True
        atexit.unregister(self.end)

    @property
    def _output(self) -> Path:
        return Path(self._folder.name) / "output"

    def _start(self) -> None:
        self.end()
        atexit.register(self.end)
        self._folder = tempfile.TemporaryDirectory(prefix="gptoss-python-")
        folder = Path(self._folder.name)
        (folder / "work").mkdir()
        settings = {
            "RLIMIT_AS": self.limits.memory,
            "RLIMIT_CPU": TOTAL_SECONDS,
            "RLIMIT_FSIZE": self.limits.file,
            "RLIMIT_CORE": 0,
            "is_confined": self.limits.is_confined,
        }
        self._answers, theirs = os.pipe()
        try:
            with self._output.open("wb") as output:
                self._process = subprocess.Popen(
                    [sys.executable, "-I", str(SCRIPT), json.dumps(settings), str(theirs)],
                    cwd=folder / "work",
                    env=environment(folder),
                    stdin=subprocess.PIPE,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    pass_fds=(theirs,),
                    start_new_session=True,
                )
        finally:
            os.close(theirs)
        self._reply(START_S)

    def _asked(self, code: str) -> dict[str, Any] | None:
        """The process's word on a piece of code; None where it ended."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._told = b""
        while select.select([self._answers], [], [], 0)[0] and os.read(self._answers, 1 << 16):
            pass  # what earlier code said in the process's place
        line = json.dumps({"code": code}).encode() + b"\n"
        try:
            self._process.stdin.write(line)
            self._process.stdin.flush()
        except OSError:
            return None
        reply = self._reply(self.limits.seconds)
        if reply is not None or self._process.poll() is not None:
            return reply
        return self._interrupt()

    def _interrupt(self) -> dict[str, Any] | None:
        """As ■ does in a kernel; the process is ended where that does not help."""
        assert self._process is not None
        with suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGINT)
        reply = self._reply(GRACE_S)
        if reply is None:
            ending(self._process)
            return None
        return {**reply, "ended": "timeout"}

    def _reply(self, seconds: float) -> dict[str, Any] | None:
        """A line of the answers' pipe; None where none comes in time, or ever."""
        until = time.monotonic() + seconds
        while b"\n" not in self._told:
            left = until - time.monotonic()
            ready = left > 0 and select.select([self._answers], [], [], left)[0]
            piece = os.read(self._answers, 1 << 16) if ready else b""
            if not piece or len(self._told) > MOST_REPLY:
                return None
            self._told += piece
        line, _, self._told = self._told.partition(b"\n")
        try:
            value = json.loads(line)
        except ValueError:
            return None
        return value if isinstance(value, dict) and "ended" in value else None

    def _ended(self) -> str:
        """Why the process is no more, in words; its names are gone."""
        assert self._process is not None
        ending(self._process)
        status = self._process.returncode
        if self.is_fresh and self.limits.is_confined and status == 78:
            raise InputError(
                "python runs only where Linux can confine it by seccomp: "
                "--tool python:kernel runs code in this kernel, with your rights"
            )
        return f"[the process ended by status {status}; what was defined is gone]"


def _figures(reply: dict[str, Any]) -> tuple[str, ...]:
    """PNGs as base64: what the process says is the model's word."""
    figures = reply.get("figures")
    given = figures if isinstance(figures, list) else []
    return tuple(one for one in given if isinstance(one, str) and PNG.fullmatch(one))


def _frames(reply: dict[str, Any]) -> tuple[FrameHead, ...]:
    frames = reply.get("frames")
    try:
        return tuple(
            FrameHead(
                tuple(map(str, one["columns"])),
                tuple(tuple(map(str, row)) for row in one["rows"]),
                (int(one["size"][0]), int(one["size"][1])),
            )
            for one in (frames if isinstance(frames, list) else [])
        )
    except (KeyError, TypeError, ValueError, IndexError):
        return ()

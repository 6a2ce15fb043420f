"""Processes of Python that stay: what one call of a conversation defines, the next one has.

They can compute, read files and print, and nothing else (`confined.py`): no network, no other
process, nothing written. Where Linux cannot confine them none is started.
"""

from __future__ import annotations

import json
import os
import platform
import select
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptoss_magic.agents.confined import ARCHES, UNCONFINED
from gptoss_magic.agents.python import PYTHON, ProcessLimits, ending, environment, shown_output
from gptoss_magic.agents.python_reply import figures_of, frames_of
from gptoss_magic.errors import InputError
from gptoss_magic.records import CodeRun
from gptoss_magic.textfiles import json_object

if TYPE_CHECKING:
    from collections.abc import Sequence

SCRIPT = Path(__file__).with_name("python_worker.py")
TOTAL_SECONDS = 3600  # of computing, of all calls
GRACE_S = 2.0  # for code that is interrupted
START_S = 30.0  # until a process is ready
MOST_PROCESSES = 4
MOST_REPLY = 48 << 20  # bytes
GONE = "what was defined is gone"
ANEW = "[a new process: what earlier calls defined is gone]"
UNABLE = (
    "python runs code only where Linux can confine it by seccomp: --tool python:kernel runs it in "
    "this kernel, with your rights"
)


def check_confinable() -> None:
    """Raise InputError where no process can be confined: another system, or another processor."""
    if platform.system() != "Linux" or platform.machine() not in ARCHES:
        raise InputError(f"{UNABLE} (this is {platform.system()} on {platform.machine()})")


@dataclass
class PythonProcess:
    """Starts at its first call, and anew where it ended.

    `place`: whose it is. `ran`: the code of a conversation that it stands behind. `is_lost`: what
    that code defined is gone, and nobody was told yet.
    """

    limits: ProcessLimits
    place: str = ""
    ran: tuple[str, ...] = ()
    is_lost: bool = False
    _process: subprocess.Popen[bytes] | None = None
    _folder: Any = None
    _answers: int = -1
    _number: int = 0
    _told: bytes = field(default=b"", repr=False)

    @property
    def is_running(self) -> bool:
        """True where its names are there."""
        return self._process is not None and self._process.poll() is None

    def run(self, code: str) -> CodeRun:
        """Run a piece of code, behind what it ran before.

        ■ and the limit of its time interrupt it; where it does not heed that, the process ends and
        its names with it; the output says so. Raises InputError where none can be started.
        """
        if not self.is_running:
            self.is_lost = self.is_lost or self._process is not None  # it ended between two calls
            self._start()
        before, self.is_lost = ANEW if self.is_lost else "", False
        os.truncate(self._output, 0)  # the process appends to it
        note = ""
        try:
            reply = self._asked(code)
            if reply is None and self.is_running:
                reply, note = self._stopped()
        except BaseException:  # ■, or the end of the call's time
            self.is_lost = self._stopped()[0] is None
            raise
        with self._output.open("rb") as output:
            text = shown_output(output, self.limits.chars).rstrip("\n")
        if reply is None:
            note = note or f"[the process ended by {_words(self._status())}: {GONE}]"
            self.end()
        elif reply.get("is_cut") is True:
            note = note or "[the rest of its output is lost: there is no room for more]"
        whole = "\n".join(filter(None, (before, text, note)))
        return CodeRun(code, whole, figures_of(reply or {}), frames_of(reply or {}))

    def end(self) -> None:
        """End the process and all that it started."""
        if self._process is not None:
            self._status()
            assert self._process.stdin is not None
            with suppress(OSError):
                self._process.stdin.close()
        if self._answers >= 0:
            os.close(self._answers)
        if self._folder is not None:
            self._folder.cleanup()
        self._process, self._folder, self._answers, self._told = None, None, -1, b""

    @property
    def _output(self) -> Path:
        return Path(self._folder.name) / "output"

    def _start(self) -> None:
        self.end()
        self._number = 0
        try:
            self._folder = tempfile.TemporaryDirectory(prefix="gptoss-python-")
            self._begin(Path(self._folder.name))
            is_ready = self._reply(START_S) is not None
        except OSError as error:
            self.end()
            raise InputError(
                f"python cannot start: {error.strerror or error}; free some space and memory"
            ) from error
        if not is_ready:
            status = self._status()
            self.end()
            words = f"python cannot start: it ended by {_words(status)}; free some memory"
            raise InputError(UNABLE if status == UNCONFINED else words)

    def _begin(self, folder: Path) -> None:
        (folder / "work").mkdir()
        settings = {
            "RLIMIT_AS": self.limits.memory,
            "RLIMIT_CPU": TOTAL_SECONDS,
            "RLIMIT_FSIZE": self.limits.file,
            "RLIMIT_CORE": 0,
            "is_confined": self.limits.is_confined,
        }
        self._answers, theirs = os.pipe()
        command = [*PYTHON, str(SCRIPT), json.dumps(settings)]
        try:
            with (folder / "output").open("ab") as output:
                self._process = subprocess.Popen(
                    [*command, str(theirs)],
                    cwd=folder / "work",
                    env=environment(folder) | {"MPLBACKEND": "Agg", "MPLCONFIGDIR": _fonts(folder)},
                    stdin=subprocess.PIPE,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    pass_fds=(theirs,),
                    start_new_session=True,
                )
        finally:
            os.close(theirs)

    def _asked(self, code: str) -> dict[str, Any] | None:
        """The process's word on a piece of code; None where it ended, or the time did."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._number += 1
        line = json.dumps({"number": self._number, "code": code}).encode() + b"\n"
        try:
            self._process.stdin.write(line)
            self._process.stdin.flush()
        except OSError:
            return None
        return self._reply(self.limits.seconds)

    def _stopped(self) -> tuple[dict[str, Any] | None, str]:
        """Interrupt the code as ■ does in a kernel; (its word, what is to be told of it).

        The process ends where that does not help. What rings or is pressed meanwhile says nothing
        new.
        """
        assert self._process is not None
        until, reply = time.monotonic() + GRACE_S, None
        with suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGINT)
        while reply is None and self.is_running and time.monotonic() < until:
            try:
                reply = self._reply(until - time.monotonic())
            except BaseException:  # noqa: BLE001, S112, PERF203 (the first of them is raised)
                continue
        seconds = f"{self.limits.seconds:g} s"
        if reply is not None:
            return reply, f"[interrupted after {seconds}]"
        self._status()
        return None, f"[stopped after {seconds}; it did not heed the interrupt: {GONE}]"

    def _reply(self, seconds: float) -> dict[str, Any] | None:
        """What it says of the latest piece; None where nothing comes in time, or ever."""
        assert self._process is not None
        until = time.monotonic() + seconds
        while True:
            line, end, rest = self._told.partition(b"\n")
            if end:
                self._told = rest
                reply = json_object(line)
                if reply.get("number") == self._number and "ended" in reply:
                    return reply
                continue  # of an earlier piece, or what the code said in the process's place
            left = until - time.monotonic()
            is_ready = left > 0 and select.select([self._answers], [], [], left)[0]
            piece = os.read(self._answers, 1 << 16) if is_ready else b""
            if is_ready and not piece:  # it ends, or the code closed what it is heard by
                with suppress(subprocess.TimeoutExpired):
                    self._process.wait(GRACE_S / 2)
            if not piece or len(self._told) > MOST_REPLY:
                return None
            self._told += piece

    def _status(self) -> int:
        """How it ended; it is ended first."""
        assert self._process is not None
        if self.is_running:
            ending(self._process)
        return int(self._process.returncode)


@dataclass
class PythonProcesses:
    """Those of a kernel, at most four; the one that was not used for longest ends first.

    One is found again by what it ran: a turn that was taken back, or a branch, does not find what
    came behind it.
    """

    held: list[PythonProcess] = field(default_factory=list)

    def of(self, place: str, ran: Sequence[str]) -> PythonProcess | None:
        """The process of `place` that stands behind the code `ran`; None where there is none."""
        found = (one for one in self.held if one.place == place and one.ran == tuple(ran))
        return next(found, None) if ran else None

    def begin(self, place: str, ran: Sequence[str], limits: ProcessLimits) -> PythonProcess:
        """Another one; where code ran before, its first output says that its names are gone."""
        while len(self.held) >= MOST_PROCESSES:
            self.held.pop(0).end()
        made = PythonProcess(limits, place, tuple(ran), is_lost=bool(ran))
        self.held.append(made)
        return made

    def use(self, process: PythonProcess) -> None:
        """It is the latest now."""
        self.held = [*(one for one in self.held if one is not process), process]

    def end(self) -> None:
        """End them all."""
        while self.held:
            self.held.pop().end()


def _words(status: int) -> str:
    """`signal SIGSEGV`, or `status 3`."""
    try:
        return f"signal {signal.Signals(-status).name}"
    except ValueError:
        return f"status {status}"


def _fonts(folder: Path) -> str:
    """Where matplotlib finds the list of fonts that it made before; it makes its own if nowhere."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "matplotlib"
    return str(cache if cache.is_dir() else folder / "work")

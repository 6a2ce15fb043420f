"""The process that has imported the engine's packages, and forks for each that wants them.

Run by tests/warm/child.py. It has one thread, and ends with the process that offered it.
"""

import array
import contextlib
import gc
import io
import json
import os
import runpy
import select
import signal
import socket
import sys
import tempfile
from importlib import import_module
from pathlib import Path

OF_THE_ENGINE = (
    "accelerate",
    "torch",
    "safetensors",
    "transformers.models.gpt_oss.modeling_gpt_oss",
    "transformers.models.auto.tokenization_auto",
    "peft",
    "ipykernel.kernelapp",
    "ipykernel.zmqshell",
    "pydantic",
)


class Parent:
    """Its children, {pidfd: (the wire to who started it, pid)}, and where it is asked for more."""

    def __init__(self, told: dict) -> None:
        self.owner = os.pidfd_open(told["owner"])
        self.children: dict[int, tuple[socket.socket, int]] = {}
        self.listener = socket.socket(socket.AF_UNIX)
        place = Path(told["socket"])
        self.listener.bind(str(place.with_suffix(".new")))
        self.listener.listen(64)
        place.with_suffix(".new").rename(place)

    def serve(self) -> list[str]:
        """Until the owner ends; gives, in a fork alone, the arguments that it is to run."""
        while True:
            wires = {wire: pidfd for pidfd, (wire, _) in self.children.items()}
            asked = [self.listener, self.owner, *wires, *self.children]
            ready, _, _ = select.select(asked, [], [])
            if self.owner in ready:
                self.end()
            for pidfd in [pidfd for pidfd in self.children if pidfd in ready]:
                self.ended(pidfd)
            for wire, pidfd in wires.items():
                if wire in ready and pidfd in self.children:
                    self.pass_on(wire.recv(64), pidfd)
            if self.listener in ready and (arguments := self.fork()):
                return arguments

    def end(self) -> None:
        for _, pid in self.children.values():
            send(pid, signal.SIGKILL)
        os._exit(0)

    def ended(self, pidfd: int) -> None:
        """Say how a child ended, and forget it."""
        wire, pid = self.children.pop(pidfd)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        with contextlib.suppress(OSError):
            wire.send(code.to_bytes(8, signed=True))
        wire.close()
        os.close(pidfd)

    def pass_on(self, numbers: bytes, pidfd: int) -> None:
        """The signals that its starter had; b"" where the starter is dead."""
        for number in numbers or [signal.SIGKILL]:
            send(self.children[pidfd][1], number)
        if not numbers:
            self.ended(pidfd)

    def fork(self) -> list[str]:
        """A child more; gives its arguments in the child, and none here."""
        wire, _ = self.listener.accept()
        asked, fds = read(wire)
        pid = os.fork()
        if not pid:
            for held in (self.listener, wire, *(wire for wire, _ in self.children.values())):
                held.close()
            for fd in (self.owner, *self.children):
                os.close(fd)
            return become(asked, fds)
        for fd in fds:
            os.close(fd)
        self.children[os.pidfd_open(pid)] = (wire, pid)
        return []


def read(wire: socket.socket) -> tuple[dict, list[int]]:
    """What a starter asks for, and the files that are to be 0, 1 and 2."""
    fds = array.array("i")
    size, ancillary, _, _ = wire.recvmsg(8, socket.CMSG_SPACE(3 * fds.itemsize))
    for _, _, data in ancillary:
        fds.frombytes(data)
    line = b""
    while len(line) < int.from_bytes(size):
        line += wire.recv(1 << 20)
    return json.loads(line), list(fds)


def send(pid: int, number: int) -> None:
    """To the process; a kill to all of its group, as its starter's went to that of the starter."""
    if number == signal.SIGKILL:
        with contextlib.suppress(ProcessLookupError):  # it leads no group yet
            os.killpg(pid, number)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def become(asked: dict, fds: list[int]) -> list[str]:
    """Take what makes a process one of its own; gives the arguments of Python."""
    if asked["is_leader"]:
        os.setsid()
    else:
        os.setpgid(0, 0)
    for own, fd in enumerate(fds):
        os.dup2(fd, own)
        os.close(fd)
    os.environ.clear()
    os.environ.update(asked["environ"])
    os.environ["JPY_PARENT_PID"] = str(os.getppid())
    os.chdir(asked["folder"])
    given = list(filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep)))
    is_unbuffered, argv = asked["argv"][0] == "-u", asked["argv"]
    argv = argv[is_unbuffered:]
    first = {"-m": asked["folder"], "-c": ""}.get(argv[0], str(Path(argv[0]).resolve().parent))
    sys.path[:1] = [*([] if os.environ.get("PYTHONSAFEPATH") else [first]), *given]
    if is_unbuffered or os.environ.get("PYTHONUNBUFFERED"):
        for name, fd in (("stdout", 1), ("stderr", 2)):
            setattr(sys, name, io.TextIOWrapper(io.FileIO(fd, "w"), "utf-8", write_through=True))
    tempfile.tempdir = None
    signal.signal(signal.SIGINT, signal.default_int_handler)
    return argv


if __name__ == "__main__":
    told = json.loads(os.environ.pop("WARM"))
    os.environ["OMP_WAIT_POLICY"] = "passive"  # as gptoss_magic.model.imports says
    for name in OF_THE_ENGINE:
        import_module(name)
    gc.collect()
    gc.freeze()
    how, *rest = sys.argv = Parent(told).serve()
    if how == "-m":
        sys.argv = rest
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    elif how == "-c":
        sys.argv = ["-c", *rest[1:]]
        exec(compile(rest[0], "<string>", "exec"), {"__name__": "__main__"})  # noqa: S102
    else:
        runpy.run_path(how, run_name="__main__")

"""What stands for a forked process where it was started: it passes signals on and waits.

Run with the arguments of Python: `-m MODULE …`, `-c CODE …` or `SCRIPT …`, `-u` before them or not.
Where the process would not be as the parent is (see `tests/warm`), or there is no parent, it
becomes a Python that was started as ever.
"""

import array
import fcntl
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

PASSED_ON = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGCONT")
PATIENCE_S = 120


def main() -> None:
    told = json.loads(os.environ.get("WARM", "null"))
    if told is None or not _is_alike(told):
        _start_as_ever()
    try:
        wire = _parent(told)
    except OSError:
        _start_as_ever()
    asked = {
        "argv": sys.argv[1:],
        "environ": dict(os.environ),
        "folder": str(Path.cwd()),
        "is_leader": os.getsid(0) == os.getpid(),
    }
    for name in PASSED_ON:
        signal.signal(getattr(signal, name), lambda number, frame: wire.send(bytes([number])))
    line = json.dumps(asked).encode()
    fds = array.array("i", [0, 1, 2])
    wire.sendmsg([len(line).to_bytes(8)], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)])
    wire.sendall(line)
    for fd in (0, 1, 2):  # only the process itself holds its pipes
        os.dup2(os.open(os.devnull, os.O_RDWR), fd)
    _end_as(wire.recv(8))


def _is_alike(told: dict) -> bool:
    starts = tuple(told["starts"])
    words = sys.argv[2:] if sys.argv[1] == "-u" else sys.argv[1:]
    read = {
        key: value
        for key, value in os.environ.items()
        if key.startswith(starts) and key not in told["seen_to"]
    }
    limits = [list(resource.getrlimit(limit)) for limit in told["limited"]]
    inherited = [place for place in Path("/proc/self/fd").iterdir() if int(place.name) > 2]
    return (
        (read, limits) == (told["read"], told["limits"])
        and sorted(os.sched_getaffinity(0)) == told["cpus"]
        and (words[0] in ("-m", "-c") or words[0].endswith(".py"))
        and len(inherited) <= 1  # the listing itself
    )


def _start_as_ever() -> None:
    os.execv(sys.executable, [sys.executable, *sys.argv[1:]])


def _parent(told: dict) -> socket.socket:
    """A wire to the parent process, which the first that needs it starts."""
    with Path(f"{told['socket']}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            return _wire(told)
        except OSError:
            return _first(told)


def _wire(told: dict) -> socket.socket:
    wire = socket.socket(socket.AF_UNIX)
    wire.connect(told["socket"])
    return wire


def _first(told: dict) -> socket.socket:
    with Path(f"{told['socket']}.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("parent.py"))],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={key: os.environ[key] for key in os.environ if key not in told["seen_to"]},
            start_new_session=True,
        )
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return _wire(told)
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def _end_as(status: bytes) -> None:
    """End as the process did: its exit status, or the signal that killed it."""
    code = int.from_bytes(status, signed=True) if status else -signal.SIGKILL
    if code >= 0:
        os._exit(code)
    if -code != signal.SIGKILL:
        signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)


main()

"""Run by itself, as a script: gives up rights and resources, then runs the code of a file.

`python -I confined.py CODE.py SETTINGS`, the settings being JSON: limits in bytes and seconds, and
`is_confined`. It imports nothing of this package, so that the process starts in no time.

A seccomp filter says what the kernel refuses, for this process and whatever it starts. In any case:
leaving the process group, by which all of it is ended. Where it is confined also: every socket,
every other process and program, signals to others, every write, change or removal of a file, and
what would lift a limit. Files can still be read; what is read cannot leave but by the output.
"""

import ast
import ctypes
import errno
import json
import os
import platform
import signal
import struct
import sys
from collections.abc import Sequence
from pathlib import Path

UNCONFINED = 78  # the exit status where this machine cannot confine
NO_NEW_PRIVS, SECCOMP, FILTER, PARENT_DEATH = 38, 22, 2, 1
LOAD, EQUAL, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
ALLOW, KILL, REFUSE = 0x7FFF0000, 0x80000000, 0x00050000 | errno.EPERM
MISSING = 0x00050000 | errno.ENOSYS  # callers fall back on the older call, which is looked at
NUMBER, ARCH = 0, 4  # offsets in the kernel's record of a call
X32 = 0x40000000  # a second numbering of calls on x86-64
THREAD = 0x00010000
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | 0o20000000  # the last: O_TMPFILE
TERMINAL = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)  # harmless questions to a file
Instruction = tuple[int, int, int, int]  # code, jump if true, jump if false, value
Numbers = tuple[int, int | None]  # of a call on x86-64 and aarch64
ARCHES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
# calls with their numbers on x86-64 and aarch64; -: it has none of that name
LEAVING = "setsid 112 157, setpgid 109 154"
REFUSED = """
# the network
socket 41 198, connect 42 203, bind 49 200, listen 50 201, io_uring_setup 425 425
# other processes
fork 57 -, vfork 58 -, execve 59 221, execveat 322 281, tkill 200 130, rt_sigqueueinfo 129 138
rt_tgsigqueueinfo 297 240, pidfd_open 434 434, pidfd_send_signal 424 424, pidfd_getfd 438 438
ptrace 101 117, process_vm_readv 310 270, process_vm_writev 311 271, process_madvise 440 440
setpriority 141 140, sched_setattr 314 274, sched_setscheduler 144 119, sched_setparam 142 118
ioprio_set 251 30
# what outlives a process
shmget 29 194, semget 64 190, msgget 68 186, mq_open 240 180, mq_unlink 241 181
memfd_create 319 279, add_key 248 217, request_key 249 218, keyctl 250 219
# files
creat 85 -, truncate 76 45, mkdir 83 -, mkdirat 258 34, rmdir 84 -, unlink 87 -
unlinkat 263 35, rename 82 -, renameat 264 38, renameat2 316 276, link 86 -, linkat 265 37
symlink 88 -, symlinkat 266 36, mknod 133 -, mknodat 259 33, chmod 90 -, fchmod 91 52
fchmodat 268 53, fchmodat2 452 452, chown 92 -, fchown 93 55, lchown 94 -, fchownat 260 54
utime 132 -, utimes 235 -, futimesat 261 -, utimensat 280 88, setxattr 188 5, lsetxattr 189 6
fsetxattr 190 7, removexattr 197 14, lremovexattr 198 15, fremovexattr 199 16
setxattrat 463 463, removexattrat 466 466, file_setattr 469 469, open_by_handle_at 304 265
fanotify_init 300 262
# the machine
mount 165 40, umount2 166 39, pivot_root 155 41, chroot 161 51, open_tree 428 428
move_mount 429 429, fsopen 430 430, fsmount 432 432, fspick 433 433, mount_setattr 442 442
unshare 272 97, setns 308 268, reboot 169 142, swapon 167 224, swapoff 168 225
kexec_load 246 104, kexec_file_load 320 294, init_module 175 105, finit_module 313 273
delete_module 176 106, bpf 321 280, perf_event_open 298 241, userfaultfd 323 282
sethostname 170 161, setdomainname 171 162, settimeofday 164 170, clock_settime 227 112
clock_adjtime 305 266, adjtimex 159 171, acct 163 89, syslog 103 116, quotactl 179 60
setrlimit 160 164, iopl 172 -, ioperm 173 -
"""


def numbers_of(table: str) -> list[Numbers]:
    """(number on x86-64, number on aarch64) of each call of a table; None where there is none."""
    lines = [line for line in table.splitlines() if not line.startswith("#")]
    calls = [call.split() for call in ",".join(lines).split(",") if call.strip()]
    return [(int(call[1]), None if call[2] == "-" else int(call[2])) for call in calls]


def argument(place: int) -> int:
    """The offset of the lower half of a call's argument."""
    return 16 + 8 * place


def one_of(place: int, values: Sequence[int]) -> list[Instruction]:
    """Allow a call whose argument is one of `values`."""
    checks = [(EQUAL, len(values) - n, 0, value) for n, value in enumerate(values)]
    return [(LOAD, 0, 0, argument(place)), *checks, (RETURN, 0, 0, REFUSE), (RETURN, 0, 0, ALLOW)]


def bits(place: int, mask: int, if_any: int, if_none: int) -> list[Instruction]:
    """What comes of a call by whether its argument has one of the bits of `mask`."""
    check = (ANY_BIT, 0, 1, mask)
    return [(LOAD, 0, 0, argument(place)), check, (RETURN, 0, 0, if_any), (RETURN, 0, 0, if_none)]


def looked_at() -> dict[Numbers, list[Instruction]]:
    """{(number on x86-64, on aarch64): instructions} of calls that depend on their arguments."""
    no_limit = [
        (LOAD, 0, 0, argument(2)),
        (EQUAL, 0, 2, 0),
        (LOAD, 0, 0, argument(2) + 4),
        (EQUAL, 1, 0, 0),
        (RETURN, 0, 0, REFUSE),
        (RETURN, 0, 0, ALLOW),
    ]
    return {
        (56, 220): bits(0, THREAD, ALLOW, REFUSE),  # clone
        (435, 435): [(RETURN, 0, 0, MISSING)],  # clone3: its flags lie in memory
        (2, None): bits(1, WRITING, REFUSE, ALLOW),  # open
        (257, 56): bits(2, WRITING, REFUSE, ALLOW),  # openat
        (437, 437): [(RETURN, 0, 0, MISSING)],  # openat2
        (62, 129): one_of(0, [os.getpid()]),  # kill
        (234, 131): one_of(0, [os.getpid()]),  # tgkill
        (302, 261): no_limit,  # prlimit64, but to ask
        (16, 29): one_of(1, TERMINAL),  # ioctl
    }


def program(is_confined: bool) -> list[Instruction]:
    """The filter as (code, jump if true, jump if false, value) for this machine."""
    column = list(ARCHES).index(platform.machine())
    calls: dict[Numbers, list[Instruction]] = {
        number: [(RETURN, 0, 0, REFUSE)] for number in numbers_of(LEAVING)
    }
    if is_confined:
        calls |= {number: [(RETURN, 0, 0, REFUSE)] for number in numbers_of(REFUSED)} | looked_at()
    made = [(LOAD, 0, 0, ARCH), (EQUAL, 1, 0, ARCHES[platform.machine()]), (RETURN, 0, 0, KILL)]
    made += [(LOAD, 0, 0, NUMBER)]
    if platform.machine() == "x86_64":
        made += [(AT_LEAST, 0, 1, X32), (RETURN, 0, 0, REFUSE)]
    for numbers, block in calls.items():
        number = numbers[column]
        if number is not None:
            made += [(EQUAL, 0, len(block), number), *block]
    return [*made, (RETURN, 0, 0, ALLOW)]


def confine(is_confined: bool) -> None:
    """Install the filter. Raises OSError or RuntimeError where this machine cannot."""
    if platform.system() != "Linux" or platform.machine() not in ARCHES:
        raise RuntimeError(f"{platform.system()} on {platform.machine()}")
    made = program(is_confined)
    code = b"".join(struct.pack("=HBBI", *one) for one in made)
    buffer = ctypes.create_string_buffer(code, len(code))
    whole = struct.pack("@HP", len(made), ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PARENT_DEATH, signal.SIGKILL, 0, 0, 0)
    if libc.prctl(NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(SECCOMP, FILTER, whole, 0, 0):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def limit(settings: dict[str, int]) -> None:
    """Bytes of memory and of a file, seconds of computing; no dump of a crash."""
    import resource  # which Windows lacks, where this module is read but never run

    for name, wanted in settings.items():
        kind = getattr(resource, name)
        hard = resource.getrlimit(kind)[1]
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(kind, (most, most))


def run(path: str) -> None:
    """The code; the value of its last expression is printed, as a cell's is."""
    code = ast.parse(Path(path).read_bytes(), "<code>")
    names = {"__name__": "__main__"}
    last = code.body[-1] if code.body else None
    value = last.value if isinstance(last, ast.Expr) else None
    if value is not None:
        code.body.pop()
    exec(compile(code, "<code>", "exec"), names)  # noqa: S102 (what this process is for)
    if value is not None:
        shown = eval(compile(ast.Expression(value), "<code>", "eval"), names)  # noqa: S307
        if shown is not None:
            sys.stdout.write((shown if isinstance(shown, str) else repr(shown)) + "\n")


def main() -> None:
    """Give up, then run."""
    path, settings = sys.argv[1], json.loads(sys.argv[2])
    is_confined = settings.pop("is_confined")
    limit(settings)
    try:
        confine(is_confined)
    except (OSError, RuntimeError) as error:
        if is_confined:
            sys.stdout.write(str(error))
            sys.stdout.flush()
            os._exit(UNCONFINED)
    run(path)


if __name__ == "__main__":
    main()

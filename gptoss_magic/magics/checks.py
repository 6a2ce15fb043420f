"""What the options of every magic may be: checked once, behind the parser, before anything runs."""

from __future__ import annotations

import math
import os
import re
from keyword import iskeyword
from types import ModuleType
from typing import TYPE_CHECKING, Any

from IPython import get_ipython

from gptoss_magic.errors import InputError
from gptoss_magic.quoting import is_encodable, printable
from gptoss_magic.vocabulary import SAMPLER, Range, check_date

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable, Sequence

MAY_BE_EMPTY = ("-y", "--system", "-x", "--stop")  # no instructions; a stop string of blanks
READ = ("map", "schema", "tool", "data", "seeds", "prompts")  # options that name the user's things
EXPERTS = re.compile(r"(?:\*|\d+(?:-\d+)?):(?:\*|\d+(?:-\d+)?)")


def check_output(name: str) -> None:
    """Raise InputError where -o names no variable, or one that is hardly meant to be lost.

    `-o NAME` assigns, as `NAME = …` does; only a module, function, class, table or array of the
    user's stays.
    """
    if not name.isidentifier() or iskeyword(name):
        raise InputError(f"-o {name}: not a variable name; give one")
    shell = get_ipython()
    value = shell.user_ns.get(name) if shell else None
    if _is_kept(value):
        raise InputError(
            f"-o {name}: that is a {type(value).__name__} of the notebook, which would be lost: "
            f"give another name, or `del {name}` first"
        )


def _is_kept(value: Any) -> bool:
    """True for what is no plain value: it was imported, defined or read from somewhere."""
    is_ours = type(value).__module__.startswith("gptoss_magic.")
    is_code = isinstance(value, ModuleType) or callable(value)
    return not is_ours and (is_code or hasattr(type(value), "shape"))


def check_read(options: Namespace) -> None:
    """Raise InputError where -o names what the line itself reads."""
    name = getattr(options, "output", None)
    for read in READ if name else ():
        value = getattr(options, read, None) or ()
        if name in ([value] if isinstance(value, str) else value):
            raise InputError(f"-o {name}: the line reads {name}: give the result another name")


def check_experts(spec: str) -> None:
    """Raise InputError for what no model's experts are called."""
    for part in spec.split(","):
        if not EXPERTS.fullmatch(part.strip()):
            raise InputError(f"{part!r}: write LAYER:EXPERT, such as 3:7, 3:0-5, 3:* or *:7")


def _whole(name: str, low: int, words: str) -> Callable[[Any], Any]:
    return Range(name, low, words, is_whole=True).check


def _above(name: str, words: str = "a number above 0") -> Callable[[Any], Any]:
    return Range(name, 0, words, is_open=True).check


CHECKS: dict[str, Callable[[Any], Any]] = {
    **{name: allowed.check for name, allowed in SAMPLER.items()},
    "output": check_output,
    "date": check_date,
    "mask_experts": check_experts,
    "force_experts": check_experts,
    "passages": _whole("--passages", 1, "1 or more"),
    "at": _whole("at", 0, "0 or more"),
    "branch": _whole("--branch", 0, "0 (no token stays) or more"),
    "calls": _whole("--calls", 1, "1 or more, or --no-run"),
    "batch": _whole("batch", 1, "1 row or more"),
    "lanes": _whole("--lanes", 1, "1 goal or more"),
    "scale": Range("scale", -math.inf, "a number").check,
    "context": _whole("--context", 0, "0 (what fits) or more tokens"),
    "drafts": _whole("--drafts", 0, "0 (templates alone) or more"),
    "num": _whole("--num", 1, "1 or more"),
    "rows": _whole("--rows", 1, "a number above 0"),
    "learning_rate": _above("learning rate"),
    "epochs": _above("epochs"),
    "num_steps": _whole("steps", 1, "1 or more"),
    "replay": _above("--replay"),
    "own": _whole("--own", 1, "1 or more"),
    "launch": _whole("--launch", 1, "1 process or more"),
    "nodes": _whole("--nodes", 1, "1 machine or more"),
    "show": _whole("--show", 0, "an example's number, from 0"),
    "length": _whole("--length", 8, "8 tokens or more"),
    "tflops": _above("--tflops"),
    "gb_per_s": _above("--gb-per-s"),
    "card": _above("--card", "the GPU's memory in GB"),
}


def check_words(prog: str, words: Sequence[str]) -> None:
    """Raise InputError for an option or a word that is empty, or has half a character in it.

    Instructions and stop strings may: there it is read as U+FFFD. So may a file's name on disk.
    """
    for before, word in zip(("", *words), words, strict=False):
        if not (is_encodable(word) or before in MAY_BE_EMPTY or os.path.exists(word)):  # noqa: PTH110 (any text)
            raise InputError(
                f"{prog}: {printable(word)}: half a character (a lone surrogate) is in it; write "
                "it anew"
            )
        is_bare = word.startswith("--") and word.endswith("=")
        if before not in MAY_BE_EMPTY and (is_bare or not word.strip()):
            name = word[:-1] if is_bare else before if before.startswith("-") else repr(word)
            raise InputError(f"{prog}: {name}: nothing is given; write a value, or leave it out")


def check_values(options: Namespace) -> None:
    """Raise InputError for a number, date or name that cannot be."""
    check_read(options)
    for name, value in vars(options).items():
        if name in CHECKS and isinstance(value, str | int | float):
            CHECKS[name](value)


def said_in(options: Namespace) -> set[str]:
    """Names of the options that the line has; 0 is said, None and False are not."""
    return {
        name for name, value in vars(options).items() if value is not None and value is not False
    }


def check_alone(prog: str, options: Namespace, chosen: str, beside: Sequence[str]) -> None:
    """Raise InputError for options that mean nothing beside the option or command `chosen`."""
    for other in sorted(said_in(options) - {*beside, chosen.lstrip("-").replace("-", "_")}):
        name = other.replace("_", "-")
        raise InputError(f"{prog} {chosen}: --{name} means nothing beside it; leave it out")


def check_nothing(prog: str, rest: str) -> None:
    """Raise InputError for words behind a command that takes none."""
    if rest.strip():
        raise InputError(f"{prog}: it takes nothing; leave {rest.strip()!r} out")

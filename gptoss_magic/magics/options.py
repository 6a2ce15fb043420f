"""The options of the magics, each once: parsers, help and Tab completion read this table."""

from __future__ import annotations

import argparse
import shlex
from typing import TYPE_CHECKING, Any, NoReturn

from gptoss_magic.errors import InputError
from gptoss_magic.magics.checks import check_values, check_words, said_in
from gptoss_magic.vocabulary import BATCH, CONVERSATION, EFFORTS, PASSAGES

if TYPE_CHECKING:
    from collections.abc import Mapping

Option = tuple[tuple[str, ...], dict[str, Any]]

PROMPT: list[Option] = [
    (("-t", "--temperature"), {"type": float, "help": "0 is greedy; default: the checkpoint's"}),
    (("-p", "--top-p"), {"type": float, "help": "nucleus share in (0, 1]"}),
    (("-k", "--top-k"), {"type": int, "help": "keep the k likeliest tokens; 0 keeps all"}),
    (("-m", "--max-tokens"), {"type": int, "help": "at most so many new tokens"}),
    (("-s", "--seed"), {"type": int, "help": "repeat an answer; drawn and recorded if left out"}),
    (("-l", "--lookup"), {"type": int, "help": "greedy: draft so many tokens from earlier text"}),
    (("-e", "--effort"), {"choices": EFFORTS, "help": "reasoning effort"}),
    (("-y", "--system"), {"help": "instructions (the developer message)"}),
    (("--raw",), {"action": "store_true", "help": "{{ }} in the cell is text, not an expression"}),
    (("-P", "--persona"), {"help": "for this cell: NAME, NAME+OVERLAY, or none"}),
    (("-d", "--date"), {"help": "pin the prompt's current date, YYYY-MM-DD"}),
    (
        ("-n", "--new"),
        {"action": "store_true", "help": "start the conversation, or the map, afresh"},
    ),
    (("-C", "--cold"), {"action": "store_true", "help": "reuse nothing that was computed before"}),
    (("-c", "--conversation"), {"help": f"name of the conversation; {CONVERSATION}"}),
    (
        ("-T", "--tool"),
        {
            "action": "append",
            "help": "a function, python, search:INDEX, browser:SOURCE, notebook, plan, a server",
        },
    ),
    (("-N", "--calls"), {"type": int, "help": "tools: at most so many calls"}),
    (("--no-run",), {"action": "store_true", "help": "tools: show the call, run nothing"}),
    (("-a", "--adapter"), {"action": "append", "help": "an attached adapter, or none; repeatable"}),
    (("-o", "--output"), {"help": "put the Answer into this variable"}),
    (("-q", "--quiet"), {"action": "store_true", "help": "show nothing"}),
    (("-x", "--stop"), {"action": "append", "help": "end the answer at this text"}),
    (("-R", "--routing"), {"action": "store_true", "help": "record where each token goes"}),
    (("--mask-experts",), {"help": "a probe: no token goes to these LAYER:EXPERT, e.g. 3:7,5:0-2"}),
    (("--force-experts",), {"help": "a probe: every token goes to these, e.g. 5:1 or *:3"}),
    (("-G", "--rag"), {"help": "answer from this index or retriever, cited; NAME,NAME; none"}),
    (("-K", "--passages"), {"type": int, "help": f"rag: chunks to quote, at most; {PASSAGES}"}),
    (("-W", "--where"), {"help": "rag: an SQL condition, such as \"kind = 'markdown'\""}),
    (("-A", "--at"), {"type": int, "help": "rag: this version of the index"}),
    (("--rerank",), {"metavar": "MODEL", "help": "rag: a cross-encoder orders the best 50 anew"}),
    (("--edit",), {"action": "store_true", "help": "the cell is the last answer's new analysis"}),
    (("--branch",), {"type": int, "help": "go on from its token N, behind the cell's text"}),
    (("--of",), {"help": "edit, branch: the Answer in this variable, not the last"}),
    (("-M", "--map"), {"help": "answer the cell, a template, for each row of this DataFrame"}),
    (("-I", "--into"), {"help": "map: the column for the answers; answer"}),
    (("-S", "--schema"), {"help": "a JSON schema or pydantic model: final follows it"}),
    (("-B", "--batch"), {"type": int, "help": f"map: rows at a time, at most; {BATCH}"}),
    (("-J", "--journal"), {"help": "map: the folder that keeps what is done"}),
]
_BRANCH = ("-t", "-p", "-k", "-m", "-s", "-l", "-C", "-a", "-o", "-q", "-x", "-R", "--of")
BRANCH: list[Option] = [
    (("at",), {"type": int, "nargs": "?", "help": "its first N tokens stay; none: where it ended"}),
    *(option for option in PROMPT if option[0][0] in _BRANCH),
]
ROUTING: list[Option] = [
    (("data",), {"nargs": "+", "help": "names of the notebook, .jsonl or .txt files, or texts"}),
    (("-P", "--prompts-only"), {"action": "store_true", "help": "score prompts without answers"}),
    (("-m", "--max-tokens"), {"type": int, "help": "of each answer, at most; 256"}),
    (("-e", "--effort"), {"choices": EFFORTS, "help": "reasoning effort"}),
    (("-y", "--system"), {"help": "instructions (the developer message)"}),
    (("-d", "--date"), {"help": "pin the prompts' current date, YYYY-MM-DD"}),
    (("-a", "--adapter"), {"action": "append", "help": "an attached adapter, or none; repeatable"}),
    (("-o", "--output"), {"help": "put the Scores, or the Comparison, into this variable"}),
    (
        ("-b", "--by"),
        {"choices": ["share", "gate", "reap"], "help": "compare this score; share"},
    ),
]
LOAD: list[Option] = [
    (("model",), {"nargs": "?", "help": "built-in, a directory, or a hub name"}),
    (("-D", "--device"), {"default": "", "help": "cpu, cuda, cuda:1, or auto (all GPUs)"}),
    (("-C", "--context"), {"type": int, "default": 0, "help": "tokens of context to plan for"}),
    (("-r", "--revision"), {"help": "a hub revision"}),
    (("-O", "--offline"), {"action": "store_true", "help": "never ask the network"}),
    (("-R", "--replace"), {"action": "store_true", "help": "unload another model first"}),
]
LORA: dict[str, list[Option]] = {
    "attach": [
        (("path",), {"help": "a directory that peft, or export, wrote"}),
        (("-n", "--as"), {"dest": "name", "default": "", "help": "its name; else the directory's"}),
        (("-s", "--scale"), {"type": float, "default": 1.0, "help": "1: as trained"}),
    ],
    "detach": [(("name",), {"help": "an attached adapter"})],
    "use": [(("names",), {"nargs": "+", "help": "what prompts use by default; none: the base"})],
    "scale": [
        (("name",), {"help": "an attached adapter"}),
        (("scale",), {"type": float, "help": "1: as trained"}),
    ],
    "list": [],
    "compare": [
        (
            ("prompts",),
            {"nargs": "+", "metavar": "PROMPT", "help": "its words; quotes keep spaces"},
        ),
        (("-a", "--adapter"), {"action": "append", "help": "these only; else all attached"}),
        (("-t", "--temperature"), {"type": float, "default": 0.0, "help": "0 is greedy"}),
        (("-m", "--max-tokens"), {"type": int, "help": "at most so many new tokens"}),
        (("-e", "--effort"), {"choices": EFFORTS, "help": "reasoning effort"}),
        (("-s", "--seed"), {"type": int, "default": 0, "help": "for a temperature above 0"}),
    ],
    "export": [
        (("name",), {"help": "an attached adapter"}),
        (("path",), {"help": "a new directory"}),
        (("-M", "--merged"), {"action": "store_true", "help": "the whole model, merged, 16 bits"}),
        (("-X", "--mxfp4"), {"action": "store_true", "help": "refused; says why"}),
    ],
}


class _Parser(argparse.ArgumentParser):
    """Raises InputError where argparse would leave the process."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{self.prog}: {message}; {self.hint}")

    @property
    def hint(self) -> str:
        """What shows the options, when it is typed: IPython's `?` knows whole magics only."""
        if " " not in self.prog:
            return f"see {self.prog}? for the options"
        return f"its options: {' '.join(flags_of(self)) or 'none'}"


def parser(prog: str, options: list[Option], about: str) -> argparse.ArgumentParser:
    """An argparse parser of `options`, without -h (that is `?` in IPython)."""
    made = _Parser(prog=prog, description=about, add_help=False, allow_abbrev=False)
    for flags, settings in options:
        made.add_argument(*flags, **settings)
    return made


def parse(made: argparse.ArgumentParser, line: str) -> argparse.Namespace:
    """Parse one line; quotes are stripped as a shell would."""
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise InputError(f"{made.prog}: {line!r}: {error}; close the quote") from error
    check_words(made.prog, words)
    options = made.parse_args(words)
    check_values(options)
    return options


def command(
    prog: str, parsers: Mapping[str, argparse.ArgumentParser], line: str
) -> tuple[str, argparse.Namespace]:
    """The first word of `line`, one of `parsers`, and its options. Raises InputError."""
    name, _, rest = line.strip().partition(" ")
    if name not in parsers:
        raise InputError(f"{prog} {name}: no such command; there are {', '.join(parsers)}")
    return name, parse(parsers[name], rest)


def usages(parsers: Mapping[str, argparse.ArgumentParser]) -> str:
    """A line for each command."""
    made = (parser.format_usage().removeprefix("usage: ").strip() for parser in parsers.values())
    return "\n".join(made)


BESIDE = {  # options that mean something beside another one only
    "edit or branch": ("of",),
    "map": ("into", "batch", "journal"),
}
NOT_FOR = {  # what an option leaves no room for, and why
    "map": (
        "rows are answered many at a time, each alone",
        (
            *("tool", "calls", "no_run", "rag", "where", "at", "rerank", "passages"),
            *("routing", "mask_experts", "force_experts", "conversation", "cold", "lookup", "raw"),
            *("edit", "branch", "quiet"),
        ),
    ),
    "no_run": ("nothing is called", ("calls",)),
    "edit": (
        "the prompt and its settings stay as they were",
        (
            *("system", "persona", "effort", "date", "new", "conversation", "tool", "calls"),
            *("no_run", "rag", "where", "at", "rerank", "passages", "map", "schema", "branch"),
            *("mask_experts", "force_experts"),
        ),
    ),
}
NOT_FOR["branch"] = (NOT_FOR["edit"][0], tuple(n for n in NOT_FOR["edit"][1] if n != "branch"))


def check_together(options: argparse.Namespace) -> None:
    """Raise InputError for options that would mean nothing beside the others."""
    said = said_in(options)
    for others, names in BESIDE.items():
        lonely = sorted(said & set(names)) if not said & set(others.split(" or ")) else []
        if lonely:
            near = " or ".join(f"--{other}" for other in others.split(" or "))
            raise InputError(f"--{_dashed(lonely[0])} means something beside {near} only")
    for name in sorted(said & set(NOT_FOR)):
        why, refused = NOT_FOR[name]
        for other in (one for one in refused if one in said):
            raise InputError(f"--{_dashed(name)}: {why}; leave --{_dashed(other)} out")
    check_sampling(options)


def check_sampling(options: argparse.Namespace) -> None:
    """Raise InputError for what means nothing at the line's temperature."""
    if options.temperature == 0 and said_in(options) & {"top_p", "top_k"}:
        raise InputError("--temperature 0: nothing is drawn; leave --top-p and --top-k out")
    if options.temperature and options.lookup:
        raise InputError("--lookup: drafts are for greedy answers; give --temperature 0")


def _dashed(name: str) -> str:
    return name.replace("_", "-")


def flags_of(made: argparse.ArgumentParser) -> list[str]:
    """The usage of a parser's options and words, one each."""
    return made.format_usage().removeprefix(f"usage: {made.prog}").split()


def flags(options: list[Option]) -> list[str]:
    """All option strings, long ones first."""
    names = [name for option, _ in options for name in option if name.startswith("-")]
    return sorted(names, key=lambda name: (not name.startswith("--"), name))

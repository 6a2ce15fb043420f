"""The options of the magics, each once: parsers, help and Tab completion read this table."""

from __future__ import annotations

import argparse
import shlex
from typing import TYPE_CHECKING, Any, NoReturn

from gptoss_magic.errors import InputError
from gptoss_magic.magics.checks import check_values, check_words, said_in
from gptoss_magic.vocabulary import BATCH, CONVERSATION, EFFORTS, PASSAGES, nearest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Option = tuple[tuple[str, ...], dict[str, Any]]

HELP = ("-h", "--help")
WIDTH, NAME_WIDTH, MOST_USAGE_LINES = 96, 22, 3
NARGS: dict[int | str | None, str] = {None: "{}", "?": "[{}]", "*": "[{} …]", "+": "{} …"}
NO_GROUPS: Mapping[str, str] = {}

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
PROMPT_GROUPS = {  # how the help has them together
    "what is asked": "-e -y -P -a -d -S --raw",
    "sampling": "-t -p -k -m -s -l -x",
    "the conversation": "-c -n -C",
    "answers from sources": "-G -K -W -A --rerank",
    "tools": "-T -N --no-run",
    "a row at a time": "-M -I -B -J",
    "the last answer, changed": "--edit --branch --of",
    "routing": "-R --mask-experts --force-experts",
    "what is left behind": "-o -q",
}
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


class HelpAsked(Exception):
    """A line asked for help, which the door prints: nothing runs."""


class LineParser(argparse.ArgumentParser):
    """Raises InputError or HelpAsked where argparse would leave the process."""

    def error(self, message: str) -> NoReturn:
        extra = message.removeprefix("unrecognized arguments: ")
        if extra != message and not self.usage_words:
            raise InputError(f"{self.prog}: it takes nothing; leave {extra!r} out")
        word = extra.partition(" ")[0].partition("=")[0]
        near = nearest(word, self._option_string_actions) if word.startswith("--") else ""
        raise InputError(f"{self.prog}: {message}{near}; {self.hint}")

    @property
    def hint(self) -> str:
        """What shows the options, when it is typed."""
        if " " not in self.prog:
            return f"see {self.prog}? for the options"
        return f"its options: {' '.join(self.usage_words) or 'none'}"

    @property
    def usage_words(self) -> list[str]:
        """The usage without the name in front and without --help, word by word."""
        return self.format_usage().removeprefix(f"usage: {self.prog}").replace("[-h]", "").split()

    @property
    def places(self) -> str:
        """The words that are no options, as in `NAME [PATH…]`."""
        words = [action for action in self._actions if not action.option_strings]
        return " ".join(NARGS[word.nargs].format(word.metavar or word.dest) for word in words)

    def print_help(self, file: Any = None) -> NoReturn:
        """What `--help` and `-h` do."""
        raise HelpAsked(self.format_help())

    def format_help(self) -> str:
        """As argparse's; of many options the usage is one line, since they stand below it."""
        whole, usage = super().format_help(), self.format_usage()
        if usage.count("\n") <= MOST_USAGE_LINES:
            return whole
        return whole.replace(usage, f"usage: {self.prog} [OPTIONS] {self.places}".rstrip() + "\n")


def _formatter(prog: str) -> argparse.HelpFormatter:
    return argparse.RawDescriptionHelpFormatter(prog, max_help_position=28, width=WIDTH)


def parser(
    prog: str,
    options: list[Option],
    about: str,
    examples: Sequence[str] = (),
    groups: Mapping[str, str] = NO_GROUPS,
) -> LineParser:
    """An argparse parser of `options`, with what its help has besides: lines to copy, and groups.

    `groups`: the first name of each of their options, by title; the rest stand in front of them.
    """
    shown = "".join(f"  {line}\n" for example in examples for line in example.split("\n"))
    made = LineParser(
        prog=prog,
        description=about,
        epilog=f"examples:\n{shown}" if shown else None,
        formatter_class=_formatter,
        add_help=False,
        allow_abbrev=False,
    )
    titled = {title: made.add_argument_group(title) for title in groups}
    places = {name: titled[title] for title, names in groups.items() for name in names.split()}
    for flags, settings in options:
        places.get(flags[0], made).add_argument(*flags, **settings)
    made.add_argument(*HELP, action="help", help="show this; nothing runs")
    return made


def parse(made: LineParser, line: str) -> argparse.Namespace:
    """Parse one line; quotes are stripped as a shell would."""
    options = made.parse_args(words_of(made.prog, line))
    check_values(options)
    return options


def words_of(prog: str, line: str) -> list[str]:
    """The words of a line, as a shell would split it. Raises InputError."""
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise InputError(
            f"{prog}: {line!r}: {error}; close the quote, or put the text in double quotes"
        ) from error
    check_words(prog, words)
    return words


def command(
    prog: str, parsers: Mapping[str, LineParser], line: str
) -> tuple[str, argparse.Namespace]:
    """The first word of `line`, one of `parsers`, and its options. Raises InputError."""
    name, _, rest = line.strip().partition(" ")
    if name in HELP:
        raise HelpAsked(overview(prog, parsers))
    if name not in parsers:
        near = nearest(name, parsers) or f"; there are {', '.join(parsers)}"
        raise InputError(f"{prog} {name}: no such command{near}")
    return name, parse(parsers[name], rest)


def overview(prog: str, parsers: Mapping[str, LineParser]) -> str:
    """What a noun of several commands shows for help: a line for each, and what it does."""
    lines = [f"usage: {prog} COMMAND …, and {prog} COMMAND --help for one of them", ""]
    for name, made in parsers.items():
        lines.append(f"  {f'{name} {made.places}':<{NAME_WIDTH}} {made.description}")
    return "\n".join([*lines, ""])


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


def flags(options: list[Option]) -> list[str]:
    """All option strings, long ones first."""
    names = [name for option, _ in options for name in option if name.startswith("-")]
    names.append(HELP[1])
    return sorted(names, key=lambda name: (not name.startswith("--"), name))

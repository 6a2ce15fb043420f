"""The commands of `%gptoss`, a line each: where it is, what it does.

A noun's module has `run(line, magics)`, its parser as `PARSER`, or those of its commands by name as
`PARSERS`, or both, and may have `words(line_words)`: what Tab offers behind the noun. Modules are
imported at the first use.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from gptoss_magic.magics.options import overview
from gptoss_magic.magics.plain import PLAIN

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gptoss_magic.magics.options import LineParser


@dataclass(frozen=True)
class Noun:
    """`%gptoss NAME`, in gptoss_magic.magics.`module`; `usage` and `about` are its help."""

    name: str
    module: str
    usage: str
    about: str

    def run(self, line: str, magics: Any) -> None:
        """Run one line; `magics` has the notebook's shell and the defaults."""
        import_module(f"gptoss_magic.magics.{self.module}").run(line, magics)

    def words(self, typed: list[str]) -> list[str]:
        """What may follow, by the words typed behind the noun (the last may be begun)."""
        module = import_module(f"gptoss_magic.magics.{self.module}")
        offer: Callable[[list[str]], list[str]] = getattr(module, "words", lambda typed: [])
        return offer(typed)

    def parsers(self) -> dict[str, LineParser]:
        """Its parsers by what is typed: the noun, and the noun with a command."""
        module = import_module(f"gptoss_magic.magics.{self.module}")
        one, several = getattr(module, "PARSER", None), getattr(module, "PARSERS", {})
        own = {self.name: one} if one is not None and one.prog == f"%gptoss {self.name}" else {}
        return own | {f"{self.name} {command}": made for command, made in several.items()}


NOUNS = [
    Noun("connect", "connect", "URL", "let a server answer: vLLM, SGLang, llama-server, ollama, …"),
    Noun("routing", "routing", "DATA", "which experts a text or data set uses; compare A B"),
    Noun("tokens", "tokens", "[NAME]", "the last Answer's tokens, or NAME's, to branch at"),
    Noun("branch", "branch", "[N]", "keep its first N tokens and go on otherwise"),
    Noun("lora", "lora", "…", "adapters: attach, detach, use, scale, list, compare, export"),
    Noun("panel", "panel", "", "sliders for the defaults of %%gptoss, Stop, presets"),
    Noun("compare", "compare", "PROMPT…", "one prompt over a grid of settings, side by side"),
    Noun("runs", "runs", "", "tuning runs: list, show, compare; attach NAME; stop [NAME]"),
    Noun("recipe", "recipe", "", "what of gpt-oss can be tuned on a card; --write: as files"),
    Noun("index", "index", "PATH…", "index files, folders, patterns or a DataFrame; list, info, …"),
    Noun("persona", "persona", "…", "use, list, show, diff, export, import, score, distil, remove"),
    Noun("goal", "goals", "…", "goals of %%gptoss_goal: list, show, tick, rows, keep"),
    Noun("memory", "memory", "…", "what is remembered: on, off, list, show, note, edit, forget"),
    Noun("reflect", "reflect", "", "criticise the last answer, propose a better one; --accept"),
    Noun(
        "evaluate",
        "evaluate",
        "SUITE…",
        "benchmarks, arms compared; retrieval NAME FILE; questions NAME",
    ),
    Noun(
        "depth", "depth_report", "[NAME]", "a depth study shown again; list; pick RUNG: its voice"
    ),
    Noun("search", "search", "NAME …", "passages of an index for a query, without the model"),
    Noun("turns", "turns", "", "what was asked and answered, in tokens; keep N; forget NAME…"),
    Noun("page", "page", "NOTEBOOK", "a notebook as one HTML file that fetches and runs nothing"),
    Noun("replay", "replay", "FILE", "a notebook's recorded answers, run again: same tokens?"),
    Noun("share", "share", "PATH.zip", "the notebook and what its answers name, in one file"),
    Noun("open", "open_bundle", "PATH.zip", "what such a file brings, and what differs here"),
    Noun("serve", "serve", "", "an OpenAI-compatible endpoint on this machine; stop, log [ID]"),
    Noun("tools", "tools", "", "tools of the model: list; allow, ask or never NAME; mcp COMMAND…"),
    Noun(
        "help",
        "helping",
        "[TOPIC]",
        "a screen on tuning, retrieval, tools, …; a command's options",
    ),
    Noun("examples", "examples", "[FOLDER]", "copies the example notebooks into a folder of yours"),
]
BY_NAME = {noun.name: noun for noun in NOUNS}
CELLS = {
    "%%gptoss [OPTIONS]": "prompt it: the cell's body is the prompt; %%gptoss? lists the options",
    "%%gptoss --rag NAME": "answer from an index, with citations that are checked",
    "%%gptoss --tool NAME": "let the model call a function; each call needs your consent",
    "%%gptoss --tool browser:SOURCE,…": "let it search, open and find in pages, and cite lines",
    "%%gptoss --edit": "the body is the last answer's new analysis; final is written again",
    "%%gptoss --map FRAME": "the body is a Jinja template, answered for each row of a DataFrame",
    "%%gptoss_tune": "tune on the cell's rows: a plan, then with --go a run with a live panel",
    "%%gptoss_persona NAME": "a persona: Markdown below YAML front matter; persona use NAME",
    "%%gptoss_goal NAME": "goals with a test each, worked on until the tests pass",
    "%%gptoss_depth": "how deep a task can be specialised for, by what, and what that breaks",
    "%%gptoss_data": "grow rows from a description and seeds, to review before tuning",
}
GROUPS = {
    "the model": "load status bench connect unload",
    "prompts and answers": "panel compare tokens branch turns reflect",
    "sources, memory, tools, personas": "index search memory tools persona goal",
    "specialise and measure": "lora runs recipe routing depth evaluate",
    "share and serve": "page replay share open serve",
    "help": "help examples traceback",
}


def help_text() -> str:
    """What `%gptoss` shows: every command, by what it is for, and the cells."""
    usages = {name: (made.places, made.description) for name, made in PLAIN.items()}
    usages |= {noun.name: (noun.usage, noun.about) for noun in NOUNS}
    rest = usages.keys() - {name for names in GROUPS.values() for name in names.split()}
    groups = {title: names.split() for title, names in GROUPS.items()} | {"more": sorted(rest)}
    lines = []
    for title, names in groups.items():
        lines += [f"{title}:"] if names else []
        lines += [f"%gptoss {f'{n} {usages[n][0]}':<15}{usages[n][1]}" for n in names]
    cells = [f"{usage:<23}{about}" for usage, about in CELLS.items()]
    foot = "--help behind any of them shows its options and examples, and runs nothing"
    return "\n".join([*lines, "cells:", *cells, foot, ""])


def parsers_of(name: str) -> dict[str, LineParser]:
    """The parsers of a command by what is typed behind `%gptoss`; empty for no command."""
    if name in PLAIN:
        return {name: PLAIN[name]}
    return BY_NAME[name].parsers() if name in BY_NAME else {}


def help_of(words: Sequence[str]) -> str | None:
    """What `--help` shows behind these words; None where they are no command."""
    if not words:
        return help_text()
    parsers, line = parsers_of(words[0]), " ".join(words)
    if line in parsers:
        return parsers[line].format_help()
    commands = {key.partition(" ")[2]: made for key, made in parsers.items()}
    return overview(f"%gptoss {line}", commands) if len(words) == 1 and commands else None

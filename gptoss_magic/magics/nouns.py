"""The commands of `%gptoss`, a line each: where it is, what it does.

A noun's module has `run(line, magics)` (or the function named here) and may have
`words(line_words)`: what Tab offers behind the noun. Modules are imported at the first use.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


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
]
BY_NAME = {noun.name: noun for noun in NOUNS}

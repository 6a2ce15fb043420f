"""Tab completion of our magics in the kernel, for every front end.

On a cell's first line stand options and names, between `{{ }}` the notebook's names, and elsewhere
in the body prose or YAML: there Python has nothing to offer.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from IPython.core.completer import CompletionContext, SimpleCompletion, context_matcher
from IPython.core.getipython import get_ipython

from gptoss_magic.magics import options as opt
from gptoss_magic.magics import tune_options
from gptoss_magic.magics.depth import DEPTH
from gptoss_magic.magics.goals import GOAL
from gptoss_magic.magics.lora import adapters
from gptoss_magic.magics.nouns import BY_NAME
from gptoss_magic.magics.plain import LOAD, PLAIN
from gptoss_magic.magics.toolbox import BUILT_IN
from gptoss_magic.session import current
from gptoss_magic.vocabulary import EFFORTS

if TYPE_CHECKING:
    from collections.abc import Callable

LINE = re.compile(r"\s*%gptoss\s+(.*)$", re.DOTALL)
CELL = re.compile(r"%%(gptoss(?:_tune|_data|_persona|_depth|_goal)?)(?=\s|$)(.*)", re.DOTALL)
OPEN = re.compile(r"\{\{(?:(?!\}\}).)*$", re.DOTALL)
NAME = re.compile(r"[^\W\d]\w*(?:\.\w*)*$")
TABLES = {
    "gptoss": opt.PROMPT,
    "gptoss_tune": tune_options.TUNE,
    "gptoss_data": tune_options.DATA,
    "gptoss_depth": DEPTH,
    "gptoss_goal": GOAL,
}


class Nothing(list[SimpleCompletion]):
    """No completion, and none of others: IPython asks a list's length before it silences them."""

    def __len__(self) -> int:
        return 1


def candidates(line: str) -> list[str]:
    """What may stand at the end of `line` (up to the cursor), a magic's."""
    if cell := CELL.match(line.lstrip()):
        words = cell[2].split(" ")
        pool = after_flag(cell[1], words[-2], words[-1]) if len(words) > 2 else None
        if pool is None:
            pool = opt.flags(TABLES[cell[1]]) if cell[1] in TABLES else sorted(current().personas)
        return _begun(pool, words[-1]) if len(words) > 1 else []
    noun = LINE.match(line)
    words = noun[1].split(" ") if noun else [""]
    return _begun(_line_words(words), words[-1]) if noun else []


def _line_words(words: list[str]) -> list[str]:
    if len(words) == 1:
        return [*PLAIN, *BY_NAME]
    if words[0] == "load":
        return [*opt.flags(LOAD), "built-in"]
    return BY_NAME[words[0]].words(words[1:]) if words[0] in BY_NAME else []


def _begun(pool: list[str], word: str) -> list[str]:
    return [name for name in pool if name.startswith(word)]


def after_flag(magic: str, flag: str, typed: str) -> list[str] | None:
    """What may follow an option: [] where it takes a value that nobody knows, None for no option.

    `typed`: the value so far, of which only the part behind `+` or `,` may be begun.
    """
    found = _option(magic, flag)
    if found is None or found[1].get("action", "append") != "append":
        return None
    named = NAMES.get(next(name for name in found[0] if name.startswith("--")))
    pool = named() if named else [str(choice) for choice in found[1].get("choices", ())]
    before = typed[: max(typed.rfind("+"), typed.rfind(",")) + 1]
    return [f"{before}{name}" for name in pool]


def _option(magic: str, flag: str) -> opt.Option | None:
    return next((option for option in TABLES.get(magic, ()) if flag in option[0]), None)


def _personas() -> list[str]:
    return [*sorted(current().personas), "none"]


def _indexes() -> list[str]:
    from gptoss_magic.retrieval.store import names_at_home

    return [*names_at_home(), "none"]


NAMES: dict[str, Callable[[], list[str]]] = {
    "--effort": lambda: [*EFFORTS],
    "--persona": _personas,
    "--tool": lambda: [*BUILT_IN, *current().servers],
    "--adapter": lambda: [*adapters(), "none"],
    "--rag": _indexes,
    "--conversation": lambda: sorted(current().conversations),
    "--from-conversation": lambda: sorted(current().conversations),
    "--of": lambda: _variables("Answer"),
    "--map": lambda: _variables("DataFrame"),
}


def _variables(kind: str) -> list[str]:
    """The notebook's names for values of a class."""
    shell: Any = get_ipython()
    names = dict(shell.user_ns) if shell is not None else {}
    return sorted(n for n, v in names.items() if type(v).__name__ == kind and n[0] != "_")


def expression_names(text: str) -> tuple[str, list[str]]:
    """(the name that is begun, what it may be) at the end of an open `{{`."""
    begun = NAME.search(text)
    fragment, shell = begun[0] if begun else "", get_ipython()
    is_behind_value = not fragment and re.search(r"[\w)\]'\"]\s*$", text)
    if shell is None or is_behind_value:
        return fragment, []
    completer = shell.Completer
    matches = completer.attr_matches(fragment) if "." in fragment else _user_names(fragment)
    return fragment, [name for name in matches if not name.split(".")[-1].startswith("__")]


def _user_names(fragment: str) -> list[str]:
    """The notebook's own names, which Jinja gets; not Python's words and builtins."""
    shell: Any = get_ipython()
    own = set(shell.user_ns) - set(shell.user_ns_hidden)
    return sorted(name for name in own if name.startswith(fragment) and name[0] != "_")


def at_cursor(text: str) -> tuple[str, list[str]] | None:
    """(what is begun, what it may be) at the end of a cell's text; None in what is not ours."""
    lines = text.lstrip("\n").split("\n")
    while len(lines) > 1 and not lines[0].strip():  # IPython drops them before a cell magic
        lines.pop(0)
    cell = CELL.match(lines[0])
    line = lines[-1]
    if len(lines) == 1 or not cell:
        is_ours = cell or LINE.match(line)
        return (line.split(" ")[-1], candidates(line)) if is_ours else None
    is_open = OPEN.search("\n".join(lines[1:])) if cell[1] == "gptoss" else None
    return expression_names(is_open[0][2:]) if is_open else ("", [])


@context_matcher()
def gptoss_matcher(context: CompletionContext) -> Any:
    """IPython's door to `at_cursor`; silences other matchers wherever the text is ours."""
    lines = context.full_text.split("\n")[: context.cursor_line + 1]
    lines[-1] = lines[-1][: context.cursor_position]
    here = at_cursor("\n".join(lines))
    if here is None:
        return {"completions": [], "suppress": False}
    fragment, names = here
    found = [SimpleCompletion(text=name, type="magic") for name in names]
    return {
        "completions": found or Nothing(),
        "matched_fragment": fragment,
        "suppress": True,
    }

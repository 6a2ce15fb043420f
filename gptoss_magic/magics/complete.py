"""Tab completion of `%gptoss` and `%%gptoss` in the kernel, for every front end."""

from __future__ import annotations

import re
from typing import Any

from IPython.core.completer import CompletionContext, SimpleCompletion, context_matcher

from gptoss_magic.magics import options as opt
from gptoss_magic.magics.index import COMMANDS as COMMANDS_OF_INDEX
from gptoss_magic.magics.index import INDEX, SEARCH
from gptoss_magic.session import current

CHOICES = {"-e": ["low", "medium", "high"], "--effort": ["low", "medium", "high"]}
COMMANDS = ["load", "status", "bench", "routing", "lora", "runs", "index", "search"]
COMMANDS += ["unload", "traceback"]
ARGUMENTS = {
    "load": [*opt.flags(opt.LOAD), "built-in"],
    "routing": [*opt.flags(opt.ROUTING), "compare"],
    "runs": ["list", "compare", "show", "stop"],
    "index": [*COMMANDS_OF_INDEX, *opt.flags(INDEX)],
    "search": opt.flags(SEARCH),
}
NAMED = ("detach", "use", "scale", "export")


def candidates(line: str) -> list[str]:
    """What may stand at the end of `line` (up to the cursor)."""
    found = re.match(r"\s*(%%?gptoss)\s+(.*)$", line)
    if not found:
        return []
    words = found[2].split(" ")
    if found[1] == "%%gptoss":
        pool = _choices(words[-2]) if len(words) > 1 else []
        pool = pool or opt.flags(opt.PROMPT)
    elif len(words) == 1:
        pool = COMMANDS
    elif words[0] == "lora":
        pool = list(opt.LORA) if len(words) == 2 else _lora(words[1:])
    else:
        pool = ARGUMENTS.get(words[0], [])
    return [name for name in pool if name.startswith(words[-1])]


def _choices(flag: str) -> list[str]:
    """What may follow an option."""
    return [*_adapters(), "none"] if flag in ("-a", "--adapter") else CHOICES.get(flag, [])


def _lora(words: list[str]) -> list[str]:
    """Names of adapters and options behind `%gptoss lora COMMAND`."""
    flags = opt.flags(opt.LORA.get(words[0], []))
    more = ["none"] if words[0] == "use" else []
    return _choices(words[-2]) or [*flags, *(_adapters() if words[0] in NAMED else []), *more]


def _adapters() -> list[str]:
    session = current()
    return list(session.shelf.names) if session.resident else []


@context_matcher()
def gptoss_matcher(context: CompletionContext) -> Any:
    """IPython's door to `candidates`; silences other matchers where it has an answer."""
    line = context.full_text.split("\n")[context.cursor_line][: context.cursor_position]
    names = candidates(line)
    return {
        "completions": [SimpleCompletion(text=name, type="magic") for name in names],
        "matched_fragment": line.split(" ")[-1],
        "suppress": bool(names),
    }

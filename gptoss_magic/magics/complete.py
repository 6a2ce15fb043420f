"""Tab completion of `%gptoss` and `%%gptoss` in the kernel, for every front end."""

from __future__ import annotations

import re
from typing import Any

from IPython.core.completer import CompletionContext, SimpleCompletion, context_matcher

from gptoss_magic.magics import options as opt
from gptoss_magic.magics.lora import adapters
from gptoss_magic.magics.nouns import BY_NAME
from gptoss_magic.magics.toolbox import BUILT_IN
from gptoss_magic.session import current
from gptoss_magic.vocabulary import EFFORTS

CHOICES = {"-e": [*EFFORTS], "--effort": [*EFFORTS]}
PLAIN = ["load", "status", "bench", "unload", "traceback"]


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
        pool = [*PLAIN, *BY_NAME]
    elif words[0] == "load":
        pool = [*opt.flags(opt.LOAD), "built-in"]
    else:
        pool = BY_NAME[words[0]].words(words[1:]) if words[0] in BY_NAME else []
    return [name for name in pool if name.startswith(words[-1])]


def _choices(flag: str) -> list[str]:
    """What may follow an option."""
    if flag in ("-P", "--persona"):
        return [*sorted(current().personas), "none"]
    if flag in ("-T", "--tool"):
        return [*BUILT_IN, *current().servers]
    return [*adapters(), "none"] if flag in ("-a", "--adapter") else CHOICES.get(flag, [])


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

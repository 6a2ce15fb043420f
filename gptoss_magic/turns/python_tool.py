"""`python` as gpt-oss knows it, for scripts; `--tool python` of a cell makes the same tool."""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import TYPE_CHECKING

from gptoss_magic.public import public
from gptoss_magic.records import Limits
from gptoss_magic.session import current

if TYPE_CHECKING:
    from gptoss_magic.agents.tools import Policy, Tool


@public
def python_tool(
    *, kept: bool = True, seconds: float = Limits.call_seconds, policy: Policy = "ask"
) -> Tool:
    """`python` as gpt-oss knows it: `generate(…, tools=[python_tool()], consent=…)`.

    Code runs confined (no network, nothing written), for at most `seconds` a call, in a process
    whose names stay in the conversation as long as this tool is given; not `kept`: in a new process
    each time. `policy="auto"` lets code run unasked, which can read your files. Raises InputError
    where nothing can be confined (Linux alone can).
    """
    from gptoss_magic.agents.native_python import native_python

    place = f"script {secrets.token_hex(4)}"
    made = native_python(current().pythons, place, seconds, is_kept=kept)
    return replace(made, policy=policy)

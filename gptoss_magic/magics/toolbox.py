"""What `--tool NAME` and `%gptoss tools` mean by a name: functions, built-in tools, MCP servers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import partial
from typing import TYPE_CHECKING, Any

from gptoss_magic.agents.consent import asking
from gptoss_magic.agents.term_search import INDEX
from gptoss_magic.agents.tools import Tool, as_tool
from gptoss_magic.errors import InputError
from gptoss_magic.magics.consent import ask
from gptoss_magic.records import Limits
from gptoss_magic.session import current
from gptoss_magic.vocabulary import CONVERSATION

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable, Sequence

    from gptoss_magic.records import Consent, Passage, Voice

PYTHONS = ("", "kept", "fresh", "kernel")  # a process that stays, one for each call, the user's own


@dataclass(frozen=True)
class ToolPlace:
    """Where a built-in tool is asked for: `name:argument`, in this shell and conversation.

    `persona`: names, whose memory it is. `taken` numbers of passages are in the prompt already;
    `new`: the conversation starts afresh. `seconds`: of a call, at most.
    """

    argument: str
    shell: Any
    conversation: str = CONVERSATION
    taken: int = 0
    new: bool = False
    persona: tuple[str, ...] = ()
    seconds: float = Limits.call_seconds


def tool_finder(
    options: Namespace, magics: Any, passages: Sequence[Passage] | None
) -> Callable[[str, Voice], list[Tool]]:
    """What a tool's name means in this cell, as the user has set its policy."""

    def tool_named(name: str, voice: Voice) -> list[Tool]:
        place = ToolPlace(
            "",
            magics.shell,
            options.conversation or CONVERSATION,
            len(passages or ()),
            options.new,
            voice.names,
            magics.call_seconds,
        )
        policies = current().policies
        return [replace(tool, policy=policies.of(tool)) for tool in named(name, place)]

    return tool_named


def limits_of(options: Namespace, magics: Any) -> Limits:
    """The bounds of a cell's run of tools. Raises InputError."""
    calls = magics.calls if options.calls is None else options.calls
    if calls < 1:
        raise InputError(f"--calls {calls}: give 1 or more, or --no-run")
    return Limits(calls=calls, seconds=magics.run_seconds, call_seconds=magics.call_seconds)


def consent_of(shell: Any) -> Consent:
    """Asks the user, as the policies of this kernel say."""
    return asking(current().policies, partial(ask, shell))


def named(name: str, place: ToolPlace) -> list[Tool]:
    """The tools that `name` means. Raises InputError where there is none.

    A function of the notebook comes first, then a built-in tool (`search:INDEX`), or three of them
    (`browser:SOURCE,…`), then an MCP server (all its tools) or one tool of it (`SERVER.TOOL`).
    """
    given = place.shell.user_ns.get(name)
    if isinstance(given, Tool) or (callable(given) and not isinstance(given, type)):
        return [as_tool(given)]
    word, _, argument = name.partition(":")
    if word in BUILT_IN:
        made = BUILT_IN[word](ToolPlace(**{**vars(place), "argument": argument}))
        return made if isinstance(made, list) else [made]
    server, _, one = name.partition(".")
    if server in current().servers:
        from gptoss_magic.agents.servers import identifier

        found = current().servers[server].tools()
        wanted = (one, identifier(one)) if one else tuple(tool.name for tool in found)
        return _picked(name, [tool for tool in found if tool.name in wanted])
    if given is not None:
        raise InputError(f"--tool {name}: it is {type(given).__name__}, no function")
    raise InputError(f"--tool {name}: {_hint(name, place)}")


def _picked(name: str, found: list[Tool]) -> list[Tool]:
    if not found:
        raise InputError(f"--tool {name}: the server has no such tool; see %gptoss tools")
    return found


def _hint(name: str, place: ToolPlace) -> str:
    functions = [n for n, v in place.shell.user_ns.items() if callable(v) and n[0] != "_"]
    close = get_close_matches(name, [*functions, *BUILT_IN, *current().servers], 3)
    near = f"did you mean {' or '.join(close)}?" if close else "define the function first"
    return f"the notebook has no such name, and no built-in tool has it; {near}"


def _python(place: ToolPlace) -> Tool:
    from gptoss_magic.agents.native_python import native_python

    if place.argument not in PYTHONS:
        known = ", ".join(f"python:{name}" for name in PYTHONS if name)
        raise InputError(f"--tool python:{place.argument}: give python, {known}")
    if place.argument == "kernel":
        return _in_kernel(place.shell)
    whose = " @ ".join([place.conversation, *place.persona])
    is_kept = place.argument != "fresh"
    made = native_python(current().pythons, whose, place.seconds, is_kept=is_kept)
    return replace(made, offer=f"python:{place.argument}") if place.argument else made


def _in_kernel(shell: Any) -> Tool:
    """Python in the user's own kernel, with its names: only where the line asks for it."""
    from IPython.utils.capture import capture_output

    def python(code: str) -> str:
        """Run Python code in the user's notebook kernel and give what it shows."""
        with capture_output() as captured:
            result = shell.run_cell(code, store_history=False)
        error = result.error_before_exec or result.error_in_exec
        if error is not None:
            raise error
        shown = [str(output.data.get("text/plain", "")) for output in captured.outputs]
        return "\n".join(filter(None, [captured.stdout, *shown]))

    made = as_tool(python)
    origin = "built in; this kernel, with all its names"
    return Tool("python", made.description, made.parameters, python, "ask", origin, made.check)


def _search(place: ToolPlace) -> Tool:
    from gptoss_magic.agents.search import search_tool
    from gptoss_magic.retrieval.cite import quoted
    from gptoss_magic.retrieval.index import Index, search_all

    names = [part.strip() for part in place.argument.split(",") if part.strip()]
    if not names:
        raise InputError("--tool search: say which index: search:NAME")
    if names == [INDEX] and (terms := terms_of(place.persona)):
        return search_tool("terms of the persona", terms, quoted, place.taken)
    for name in names:
        Index.open(name)
    return search_tool(", ".join(names), lambda q, k: search_all(names, q, k), quoted, place.taken)


def terms_of(persona: Sequence[str] | None = None) -> Callable[[str, int], list[Passage]] | None:
    """How the terms of a persona (None: the one in use) are searched; None where it has none."""
    from gptoss_magic.agents.layers import overlay
    from gptoss_magic.agents.term_search import found_terms

    whole = overlay(current().layers(persona))
    if not whole.terms:
        return None
    return lambda query, k: found_terms(whole.terms, query, k, f"persona:{whole.name}")


def _notebook(place: ToolPlace) -> Tool:
    from gptoss_magic.agents.notebook import notebook_tool

    names = place.shell.user_ns
    return notebook_tool(lambda: names.get("In", [""]), lambda: names.get("Out", {}))


def _plan(place: ToolPlace) -> Tool:
    from gptoss_magic.agents.plan import Goals

    plans = current().plans
    if place.new or place.conversation not in plans:
        plans[place.conversation] = Goals()
    return plans[place.conversation].tool()


def _remember(place: ToolPlace) -> Tool:
    from gptoss_magic.agents.remember import remember_tool
    from gptoss_magic.retrieval.items import Item
    from gptoss_magic.turns.recall import memory_of

    memory = memory_of(place.persona)

    def keep(fact: str) -> str:
        (item,) = memory.remember([Item("note", fact, conversation=place.conversation)])
        return item.id[:6]

    return remember_tool(memory.name, keep)


def _recall(place: ToolPlace) -> Tool:
    from gptoss_magic.agents.remember import recall_tool
    from gptoss_magic.retrieval.items import lines
    from gptoss_magic.turns.recall import memory_of

    memory = memory_of(place.persona)
    where = None if current().memory.is_shared else ""
    return recall_tool(memory.name, lambda query: lines(memory.recall(query, notebook=where)))


def _browser(place: ToolPlace) -> list[Tool]:
    from gptoss_magic.retrieval.pages.cells import NotebookPages
    from gptoss_magic.turns.browser import browser_over

    names = place.shell.user_ns
    cells = NotebookPages(lambda: names.get("In", [""]), lambda: names.get("Out", {}))
    return browser_over((place.argument or "notebook").split(","), cells)


def _handoff(place: ToolPlace) -> Tool:
    from gptoss_magic.agents.handoff import handoff_tool
    from gptoss_magic.agents.layers import overlay

    names = overlay(current().layers(place.persona or None)).handoff or ()
    if not names:
        raise InputError("--tool handoff: the persona names none to hand over to (handoff:)")
    try:
        current().layers(names)
    except InputError as error:
        raise InputError(f"handoff: {error}; %gptoss persona import brings it") from error
    return handoff_tool(names)


BUILT_IN: dict[str, Callable[[ToolPlace], Tool | list[Tool]]] = {
    "browser": _browser,
    "handoff": _handoff,
    "notebook": _notebook,
    "plan": _plan,
    "python": _python,
    "recall": _recall,
    "remember": _remember,
    "search": _search,
}

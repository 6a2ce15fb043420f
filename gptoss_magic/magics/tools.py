"""`%gptoss tools`: which tools there are, who may let them run, MCP servers."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from gptoss_magic.agents.tools import Policy, Tool, as_tool
from gptoss_magic.errors import InputError
from gptoss_magic.magics.checks import check_nothing, check_words
from gptoss_magic.magics.index import show_table
from gptoss_magic.magics.mcp import start
from gptoss_magic.magics.toolbox import BUILT_IN, ToolPlace, named
from gptoss_magic.session import current

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SAY: dict[str, Policy] = {"allow": "auto", "ask": "ask", "never": "never"}
COMMANDS = ["list", *SAY, "forget", "mcp", "stop"]
USAGE = (
    "%gptoss tools [list | allow NAME… | ask NAME… | never NAME… | forget | mcp COMMAND… | mcp URL "
    "| stop]"
)


def run(line: str, magics: Any) -> None:
    """One line of `%gptoss tools`."""
    try:
        command, *rest = shlex.split(line) or ["list"]
    except ValueError as error:
        raise InputError(f"%gptoss tools: {line!r}: {error}; close the quote") from error
    check_words("%gptoss tools", [command, *rest])
    actions: dict[str, Callable[[list[str], Any], None]] = {
        "list": show,
        "forget": forget,
        "mcp": start,
        "stop": stop,
    }
    if command in SAY:
        return say(SAY[command], rest, magics.shell)
    if command not in actions:
        raise InputError(f"%gptoss tools {command}: no such command: {USAGE}")
    actions[command](rest, magics.shell)


def words(typed: list[str]) -> list[str]:
    if len(typed) < 2:
        return COMMANDS
    return [*BUILT_IN, *current().servers] if typed[0] in SAY else []


def show(names: list[str], shell: Any) -> None:
    """Every tool by name, with what holds for it now."""
    check_nothing("%gptoss tools list", " ".join(names))
    policies = current().policies
    rows = [(name, policies.of(t), t.origin, t.description) for name, t in known(shell)]
    rows.append(("browser:SOURCE", "ask", "built in; reads pages", "Search, open, find, and cite."))
    rows.append(("search:INDEX", "ask", "built in; reads an index", "Search the user's documents."))
    show_table(("tool", "policy", "from", "what it does"), rows)


def known(shell: Any) -> Iterator[tuple[str, Tool]]:
    """The notebook's tools, the built-in ones, the servers': by the name that --tool takes."""
    said = current().policies.names()
    for name, value in list(shell.user_ns.items()):
        if isinstance(value, Tool) or (name in said and callable(value)):
            yield name, as_tool(value)
    for name in ("notebook", "plan", "python", "python:kernel"):
        yield name, named(name, ToolPlace("", shell))[0]
    for server, running in current().servers.items():
        for tool in running.tools():
            yield f"{server}.{tool.name}", tool


def say(policy: Policy, names: list[str], shell: Any) -> None:
    """Set the policy of each named tool, for this kernel."""
    if not names:
        raise InputError(f"{USAGE}: name a tool")
    for name in names:
        for tool in named(name, ToolPlace("", shell)):
            current().policies.say(tool, policy)
            print(f"{tool.name} ({tool.origin}): {policy}, until this kernel ends")


def forget(names: list[str], _shell: Any) -> None:
    check_nothing("%gptoss tools forget", " ".join(names))
    current().policies.forget()
    print("every tool asks again, but for those that the notebook itself defines as auto")


def stop(names: list[str], _shell: Any) -> None:
    """End servers; without names, all."""
    servers = current().servers
    for name in names or list(servers):
        if name not in servers:
            raise InputError(f"server {name}: there is none of that name")
        servers.pop(name).close()
        print(f"server {name}: stopped")

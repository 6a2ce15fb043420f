"""`%gptoss tools`: which tools there are, who may let them run, MCP servers."""

from __future__ import annotations

import shlex
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from gptoss_magic.agents.tools import Policy, Tool, as_tool
from gptoss_magic.errors import InputError
from gptoss_magic.magics.consent import confirm, visible
from gptoss_magic.magics.index import show_table
from gptoss_magic.magics.toolbox import BUILT_IN, Place, named
from gptoss_magic.session import current

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SAY: dict[str, Policy] = {"allow": "auto", "ask": "ask", "never": "never"}
COMMANDS = ["list", *SAY, "forget", "mcp", "stop"]
USAGE = (
    "%gptoss tools [list | allow NAME… | ask NAME… | never NAME… | forget | mcp COMMAND… | stop]"
)


def run(line: str, magics: Any) -> None:
    """One line of `%gptoss tools`."""
    try:
        command, *rest = shlex.split(line) or ["list"]
    except ValueError as error:
        raise InputError(f"%gptoss tools: {line!r}: {error}; close the quote") from error
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


def show(_names: list[str], shell: Any) -> None:
    """Every tool by name, with what holds for it now."""
    policies = current().policies
    rows = [(name, policies.of(t), t.origin, t.description) for name, t in known(shell)]
    rows.append(("search:INDEX", "ask", "built in; reads an index", "Search the user's documents."))
    show_table(("tool", "policy", "from", "what it does"), rows)


def known(shell: Any) -> Iterator[tuple[str, Tool]]:
    """The notebook's tools, the built-in ones, the servers': by the name that --tool takes."""
    said = current().policies.names()
    for name, value in list(shell.user_ns.items()):
        if isinstance(value, Tool) or (name in said and callable(value)):
            yield name, as_tool(value)
    for name in ("notebook", "plan", "python", "python:kernel"):
        yield name, named(name, Place("", shell))[0]
    for server, running in current().servers.items():
        for tool in running.tools():
            yield f"{server}.{tool.name}", tool


def say(policy: Policy, names: list[str], shell: Any) -> None:
    """Set the policy of each named tool, for this kernel."""
    if not names:
        raise InputError(f"{USAGE}: name a tool")
    for name in names:
        for tool in named(name, Place("", shell)):
            current().policies.say(tool, policy)
            print(f"{tool.name} ({tool.origin}): {policy}, until this kernel ends")


def forget(_names: list[str], _shell: Any) -> None:
    current().policies.forget()
    print("every tool asks again, but for those that the notebook itself defines as auto")


def start(given: list[str], shell: Any) -> None:
    """Start an MCP server, if the user says so: `mcp [--as NAME] [--yes] COMMAND…`."""
    from gptoss_magic.agents.servers import Server

    name, said_yes, command = _server_words(given)
    if name in current().servers:
        raise InputError(f"server {name}: it runs already; %gptoss tools stop {name}")
    line = shlex.join(command)
    question = f"Start this program as an MCP server?\n    {visible(line)}"
    is_allowed = said_yes or confirm(shell, question)
    if is_allowed is None:
        raise InputError(
            f"{line}: not started: that needs your consent and nobody can be asked here (--yes)"
        )
    if not is_allowed:
        return print("not started")
    current().servers[name] = server = Server(command)
    tools = ", ".join(tool.name for tool in server.tools()) or "none"
    print(f"server {name}: tools {tools}; each call asks. Use: %%gptoss --tool {name}")


def _server_words(given: list[str]) -> tuple[str, bool, list[str]]:
    """(name, --yes, command)."""
    words, name, is_allowed = list(given), "", False
    while words and words[0].startswith("--"):
        flag = words.pop(0)
        if flag == "--as" and words:
            name = words.pop(0)
        elif flag == "--yes":
            is_allowed = True
        else:
            raise InputError(f"%gptoss tools mcp {flag}: give [--as NAME] [--yes] COMMAND…")
    if not words:
        raise InputError("%gptoss tools mcp: give the command that starts the server")
    return name or PurePath(words[-1]).stem, is_allowed, words


def stop(names: list[str], _shell: Any) -> None:
    """End servers; without names, all."""
    servers = current().servers
    for name in names or list(servers):
        if name not in servers:
            raise InputError(f"server {name}: there is none of that name")
        servers.pop(name).close()
        print(f"server {name}: stopped")

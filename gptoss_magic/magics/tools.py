"""`%gptoss tools`: which tools there are, who may let them run, MCP servers."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from gptoss_magic.agents.tools import Policy, Tool, as_tool
from gptoss_magic.errors import InputError
from gptoss_magic.magics import options as opt
from gptoss_magic.magics.index import show_table
from gptoss_magic.magics.mcp import PARSER as MCP
from gptoss_magic.magics.mcp import start
from gptoss_magic.magics.toolbox import BUILT_IN, ToolPlace, named
from gptoss_magic.session import current
from gptoss_magic.vocabulary import check_known

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SAY: dict[str, Policy] = {"allow": "auto", "ask": "ask", "never": "never"}
NAMES: opt.Option = (("names",), {"nargs": "+", "metavar": "NAME", "help": "what --tool takes"})
SERVERS: opt.Option = (("names",), {"nargs": "*", "metavar": "NAME", "help": "servers; none: all"})
PARSERS = {
    "list": opt.parser(
        "%gptoss tools list",
        [],
        "Every tool by name, with what holds for it now.",
        ["%gptoss tools list"],
    ),
    "allow": opt.parser(
        "%gptoss tools allow",
        [NAMES],
        "Let these run unasked, until this kernel ends.",
        ["%gptoss tools allow get_weather"],
    ),
    "ask": opt.parser(
        "%gptoss tools ask",
        [NAMES],
        "Ask before each of their calls.",
        ["%gptoss tools ask python"],
    ),
    "never": opt.parser(
        "%gptoss tools never",
        [NAMES],
        "Refuse each of their calls, unasked.",
        ["%gptoss tools never python:kernel"],
    ),
    "forget": opt.parser(
        "%gptoss tools forget",
        [],
        "Forget what was allowed or refused: every tool asks again.",
        ["%gptoss tools forget"],
    ),
    "mcp": MCP,
    "stop": opt.parser(
        "%gptoss tools stop", [SERVERS], "End MCP servers.", ["%gptoss tools stop weather"]
    ),
}


def run(line: str, magics: Any) -> None:
    """One line of `%gptoss tools`."""
    command, _, rest = line.strip().partition(" ")
    if command == "mcp":
        return start(opt.words_of(MCP.prog, rest), magics.shell)
    command, options = opt.command("%gptoss tools", PARSERS, f"{command or 'list'} {rest}")
    if command in SAY:
        return say(SAY[command], options.names, magics.shell)
    actions: dict[str, Callable[[], None]] = {
        "list": lambda: show(magics.shell),
        "forget": forget,
        "stop": lambda: stop(options.names),
    }
    actions[command]()


def words(typed: list[str]) -> list[str]:
    if len(typed) < 2:
        return list(PARSERS)
    return [*BUILT_IN, *current().servers] if typed[0] in SAY else []


def show(shell: Any) -> None:
    """Every tool by name, with what holds for it now."""
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
    for name in ("notebook", "plan", "python", "python:fresh", "python:kernel"):
        with suppress(InputError):  # of what this machine cannot confine
            yield name, named(name, ToolPlace("", shell))[0]
    for server, running in current().servers.items():
        for tool in running.tools():
            yield f"{server}.{tool.name}", tool


def say(policy: Policy, names: list[str], shell: Any) -> None:
    """Set the policy of each named tool, for this kernel."""
    for name in names:
        for tool in named(name, ToolPlace("", shell)):
            current().policies.say(tool, policy)
            print(f"{tool.name} ({tool.origin}): {policy}, until this kernel ends")


def forget() -> None:
    current().policies.forget()
    print("every tool asks again, but for those that the notebook itself defines as auto")


def stop(names: list[str]) -> None:
    """End servers; without names, all."""
    servers = current().servers
    for name in names or list(servers):
        check_known("server", [name], servers)
        servers.pop(name).close()
        print(f"server {name}: stopped")

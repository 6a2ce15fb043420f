"""`%gptoss tools mcp COMMAND…`, `… mcp URL`: an MCP server, where the user says so.

A token is given by the name of an environment variable, so that it stands in no notebook.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from gptoss_magic.agents.links import Address, Program, is_url
from gptoss_magic.errors import InputError
from gptoss_magic.magics import options as opt
from gptoss_magic.magics.consent import confirm, visible
from gptoss_magic.session import current

if TYPE_CHECKING:
    from gptoss_magic.agents.links import Link

OPTIONS: list[opt.Option] = [
    (("words",), {"nargs": "+", "metavar": "COMMAND", "help": "what starts it, or its URL"}),
    (("--as",), {"dest": "name", "metavar": "NAME", "help": "what --tool calls it"}),
    (("--yes",), {"action": "store_true", "help": "agree to what would be asked"}),
    (("--token",), {"metavar": "VARIABLE", "help": "URL: environment variable with its token"}),
    (
        ("--header",),
        {"action": "append", "metavar": "NAME=VARIABLE", "help": "URL: a header from a variable"},
    ),
]
PARSER = opt.parser(
    "%gptoss tools mcp",
    OPTIONS,
    "Start an MCP server, or reach one; options stand in front of its command or URL.",
    [
        "%gptoss tools mcp --as weather python weather_server.py",
        "%gptoss tools mcp --token WEATHER_TOKEN https://weather.example.org/mcp",
    ],
)
USAGE = (
    "%gptoss tools mcp: give [--as NAME] [--yes] and the command that starts the server, or its "
    "URL with [--token VARIABLE] [--header NAME=VARIABLE]"
)
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
HEADER = re.compile(r"[A-Za-z0-9-]+")
PLAIN = ("www", "api", "mcp")  # parts of a host's name that name no server


@dataclass
class ServerLine:
    """What one line asks for. `headers`: names of environment variables by header."""

    words: list[str] = field(default_factory=list)
    name: str = ""
    is_allowed: bool = False
    headers: dict[str, str] = field(default_factory=dict)


def start(given: list[str], shell: Any) -> None:
    """Start or reach an MCP server, if the user says so."""
    from gptoss_magic.agents.servers import Server

    asked = read(given)
    link, question = linked(asked)
    name = asked.name or name_of(link)
    if name in current().servers:
        raise InputError(f"server {name}: it runs already; %gptoss tools stop {name}")
    is_allowed = asked.is_allowed or not question or confirm(shell, question)
    if is_allowed is None:
        raise InputError(
            f"{link.label}: not started: that needs your consent and nobody can be asked here "
            "(--yes)"
        )
    if not is_allowed:
        print("not started")
        return
    server = Server(link)
    current().servers[name] = server
    tools = ", ".join(tool.name for tool in server.tools()) or "none"
    print(f"server {name}: tools {tools}; each call asks. Use: %%gptoss --tool {name}")
    for one in server.left_out:
        print(f"left out: {visible(one)}")


def linked(asked: ServerLine) -> tuple[Link, str]:
    """(how the server is reached, what the user is asked first; '' for one of this machine)."""
    if not is_url(asked.words[0]):
        if asked.headers:
            raise InputError("--token and --header: for a URL; a program reads its environment")
        program = Program(asked.words)
        return program, f"Start this program as an MCP server?\n    {visible(program.label)}"
    if len(asked.words) > 1:
        raise InputError(f"%gptoss tools mcp URL {asked.words[1]}: options stand before the URL")
    address = Address(asked.words[0], asked.headers)
    if address.is_local:
        return address, ""
    lines = [f"Connect to this MCP server?\n    {visible(address.url)}"]
    lines += [f"    sending {name} from ${variable}" for name, variable in asked.headers.items()]
    lines.append("    It is not on this machine: what its tools are called with goes there.")
    return address, "\n".join(lines)


def read(given: list[str]) -> ServerLine:
    """The line's words. Raises InputError."""
    asked, words = ServerLine(), list(given)
    while words and (words[0].startswith("--") or words[0] in opt.HELP):
        flag = words.pop(0)
        if flag in opt.HELP:
            PARSER.print_help()
        elif flag == "--yes":
            asked.is_allowed = True
        elif flag == "--as" and words:
            asked.name = words.pop(0)
        elif flag == "--token" and words:
            asked.headers["Authorization"] = variable(words.pop(0))
        elif flag == "--header" and words:
            header, _, name = words.pop(0).partition("=")
            if not HEADER.fullmatch(header):
                raise InputError("--header: give NAME=VARIABLE, such as X-Api-Key=MY_KEY")
            asked.headers[header] = variable(name)
        else:
            raise InputError(f"{flag}: {USAGE}")
    if not words:
        raise InputError(USAGE)
    asked.words = words
    return asked


def variable(word: str) -> str:
    """An environment variable's name. What is none may be a token, so it is not shown."""
    if not VARIABLE.fullmatch(word):
        raise InputError("--token, --header: give an environment variable's name, not its value")
    return word


def name_of(link: Link) -> str:
    """A short name: of the program's file, or of the host."""
    if isinstance(link, Program):
        return PurePath(link.words[-1]).stem
    host = link.host.split(".") if isinstance(link, Address) else []
    return next((part for part in host if part.isidentifier() and part not in PLAIN), "local")

"""Reference pages of the magics, made of their parsers: an option is described once, there."""

from __future__ import annotations

import argparse
import pkgutil
import re
from dataclasses import dataclass, field
from importlib import import_module
from textwrap import dedent

from tools.docs_site.markdown import code, plain, table

FOLDER = "reference/magics"
HELP_LINE = re.compile(r"^%gptoss (\w+)(.*?)  +(\S.*)$", re.MULTILINE)
SEE = {  # pages beside the reference, by magic
    "gptoss": ("../../start/laptop.md", "Start"),
    "compare": ("../../how-to/compare.md", "Compare"),
    "connect": ("../../start/remote.md", "A model on a server"),
    "depth": ("../../depth.md", "How deep"),
    "evaluate": ("../../evaluation.md", "Evaluation"),
    "gptoss_data": ("../../how-to/tune.md", "Tune on your rows"),
    "gptoss_depth": ("../../depth.md", "How deep"),
    "gptoss_persona": ("../../personas.md", "A persona's file"),
    "gptoss_tune": ("../../how-to/tune.md", "Tune on your rows"),
    "gptoss-index": ("../../how-to/cite.md", "Cite your files"),
    "load": ("../../start/one-card.md", "One card of 80 GB"),
    "lora": ("../../how-to/tune.md", "Tune on your rows"),
    "memory": ("../../how-to/persona.md", "A persona"),
    "open": ("../../how-to/share.md", "Share"),
    "page": ("../../how-to/share.md", "Share"),
    "persona": ("../../how-to/persona.md", "A persona"),
    "recipe": ("../../start/small-card.md", "A card of 24 GB"),
    "replay": ("../../how-to/share.md", "Share"),
    "routing": ("../../how-to/experts.md", "Find your experts"),
    "search": ("../../how-to/cite.md", "Cite your files"),
    "serve": ("../../how-to/serve.md", "Serve"),
    "share": ("../../how-to/share.md", "Share"),
    "tools": ("../../how-to/tools.md", "Run tools safely"),
}


@dataclass(frozen=True)
class Magic:
    """One magic as it is typed, `%gptoss lora` or `%%gptoss`, and the parsers of its lines."""

    name: str
    usage: str
    about: str
    parsers: list[argparse.ArgumentParser] = field(default_factory=list)

    @property
    def slug(self) -> str:
        """The page's name: the command's, or the cell magic's; `index` is the page of all."""
        name = self.name.split()[-1].strip("%")
        return name if name != "index" else "gptoss-index"

    @property
    def uri(self) -> str:
        return f"{FOLDER}/{self.slug}.md"


def parsers() -> dict[str, argparse.ArgumentParser]:
    """All of the magics' by what is typed, such as '%gptoss lora attach'."""
    from gptoss_magic import magics

    found: dict[str, argparse.ArgumentParser] = {}
    for module in pkgutil.iter_modules(magics.__path__):
        for value in vars(import_module(f"{magics.__name__}.{module.name}")).values():
            several = value.values() if isinstance(value, dict) else [value]
            for one in several:
                if isinstance(one, argparse.ArgumentParser):
                    found.setdefault(one.prog, one)
    return dict(sorted(found.items()))


def magics() -> list[Magic]:
    """Cell magics, then the commands of `%gptoss` in the order of its help."""
    from gptoss_magic.magics.complete import PLAIN
    from gptoss_magic.magics.gptoss import HELP
    from gptoss_magic.magics.nouns import NOUNS

    known = parsers()
    cells = [
        Magic(prog, "", one.description or "", [one])
        for prog, one in known.items()
        if prog.startswith("%%")
    ]
    told = {one.prog.split()[-1]: ("", one.description or "") for one in known.values()}
    told |= {name: (usage.strip(), about) for name, usage, about in HELP_LINE.findall(HELP)}
    told |= {noun.name: (noun.usage, noun.about) for noun in NOUNS}
    names = dict.fromkeys([*PLAIN, *(noun.name for noun in NOUNS)])
    return cells + [
        Magic(f"%gptoss {name}", *told.get(name, ("", "")), _of(f"%gptoss {name}", known))
        for name in names
    ]


def _of(name: str, known: dict[str, argparse.ArgumentParser]) -> list[argparse.ArgumentParser]:
    return [one for prog, one in known.items() if prog == name or prog.startswith(f"{name} ")]


def magic_pages() -> dict[str, str]:
    """{address below docs: Markdown} of a page for each magic, and one of all."""
    found = magics()
    rows = [(f"[`{one.name}`]({one.slug}.md)", code(one.usage), plain(one.about)) for one in found]
    head = (
        "# Magics\n\nAll of them, from the parsers that read the lines. `%load_ext gptoss_magic` "
        "brings them; Tab completes commands, options and names; `%%gptoss?` and `%gptoss?` show "
        "this in the notebook.\n\n"
    )
    pages = {f"{FOLDER}/index.md": head + table(("magic", "", "what it does"), rows) + "\n"}
    return pages | {one.uri: magic_page(one) for one in found}


def magic_page(magic: Magic) -> str:
    """The page of one magic: each of its parsers with a table of options."""
    parts = [f"# `{magic.name}`", plain(_sentence(magic.about))]
    if magic.slug in SEE:
        address, title = SEE[magic.slug]
        parts.append(f"How to: [{title}]({address}).")
    for parser in magic.parsers:
        parts += _parser_parts(parser, magic.name)
    if not magic.parsers:
        parts += _spoken_parts(magic)
    if magic.name == "%%gptoss":
        parts += _together_parts()
    return "\n\n".join(filter(None, parts)) + "\n"


def _sentence(text: str) -> str:
    text = text.strip()
    return text and f"{text[:1].upper()}{text[1:]}{'' if text.endswith('.') else '.'}"


def _parser_parts(parser: argparse.ArgumentParser, name: str) -> list[str]:
    parts = [f"## `{parser.prog}`"] if parser.prog != name else []
    if parser.prog != name:
        parts.append(plain(_sentence(parser.description or "")))
    parts.append(f"```text\n{usage(parser)}\n```")
    for group in parser._action_groups:
        rows = [row(parser, action) for action in group._group_actions if action.dest != "help"]
        title = group.title or ""
        is_own = title not in ("positional arguments", "options")
        parts.append(f"**{plain(title)}**" if is_own and rows else "")
        headers = ("", "default", "what it is")
        parts.append(table(headers, rows) if rows else "")
    if parser.epilog:
        title, _, lines = parser.epilog.partition("\n")
        parts += [f"**{plain(title).rstrip(':')}**", f"```text\n{dedent(lines).rstrip()}\n```"]
    return parts


def usage(parser: argparse.ArgumentParser) -> str:
    """The usage, whatever the terminal's width."""
    formatter = argparse.HelpFormatter(parser.prog, width=88)
    formatter.add_usage(parser.usage, parser._actions, parser._mutually_exclusive_groups, prefix="")
    return formatter.format_help().strip()


def row(parser: argparse.ArgumentParser, action: argparse.Action) -> tuple[str, str, str]:
    """An option or word: how it is written, what it is where it is left out, what it does."""
    formatter = argparse.HelpFormatter(parser.prog)
    value = formatter._format_args(action, formatter._get_default_metavar_for_optional(action))
    flags = ", ".join(code(flag) for flag in action.option_strings)
    if not action.option_strings:
        flags = code(action.metavar or action.dest)
    elif action.nargs != 0:
        flags += f" {code(value)}"
    default = action.default
    is_said = default is not False and default not in (None, "", argparse.SUPPRESS, [], ())
    words = (action.help or "").replace("%%", "%")
    return flags, code(default) if is_said else "", plain(words)


def _spoken_parts(magic: Magic) -> list[str]:
    """Of a command that reads its line without a parser: its usage, where it has one."""
    name = magic.name.split()[-1]
    lines = [f"{magic.name} {magic.usage}".strip()]
    if name == "tools":
        from gptoss_magic.magics import mcp, tools

        lines = [tools.USAGE, mcp.USAGE.replace(": give ", " ", 1)]
    return ["```text\n" + "\n".join(lines) + "\n```"]


def _together_parts() -> list[str]:
    """Which options mean nothing beside which others, from the tables that refuse them."""
    from gptoss_magic.magics.options import BESIDE, NOT_FOR

    def flags(names: tuple[str, ...]) -> str:
        return ", ".join(code(f"--{name.replace('_', '-')}") for name in names)

    beside = [
        (flags(tuple(others.split(" or "))), flags(names)) for others, names in BESIDE.items()
    ]
    against = [(flags((name,)), plain(why), flags(names)) for name, (why, names) in NOT_FOR.items()]
    return [
        "## What goes together",
        table(("with", "only then"), beside),
        table(("with", "because", "leave out"), against),
    ]

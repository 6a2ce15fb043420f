"""`%%gptoss_persona NAME` and `%gptoss persona …`: who answers."""

from __future__ import annotations

from dataclasses import replace
from textwrap import shorten
from typing import TYPE_CHECKING, Any

from IPython.core.magic import Magics, cell_magic, magics_class, no_var_expand

from gptoss_magic.errors import InputError
from gptoss_magic.magics import options as opt
from gptoss_magic.magics.door import through
from gptoss_magic.quoting import encodable
from gptoss_magic.session import current

if TYPE_CHECKING:
    from argparse import Namespace
    from pathlib import Path

    from gptoss_magic.agents.persona import Persona

NAME = (("name",), {"help": "a persona"})
FILE = {"help": "prompts: a .txt (one a line) or data file, or a list of the notebook"}
TOKENS = (
    ("-m", "--max-tokens"),
    {"type": int, "default": 256, "help": "of each answer, at most"},
)
OPTIONS: dict[str, list[opt.Option]] = {
    "use": [
        (("names",), {"nargs": "+", "metavar": "NAME", "help": "a base, then overlays; or none"})
    ],
    "list": [],
    "show": [NAME],
    "diff": [(("one",), {"help": "a persona"}), (("other",), {"help": "another"})],
    "export": [
        NAME,
        (("path",), {"help": "a new file"}),
        (("-f", "--force"), {"action": "store_true", "help": "write over a file that is there"}),
    ],
    "import": [
        (("path",), {"help": "a persona's text file"}),
        (("-n", "--as"), {"dest": "name", "default": "", "help": "its name; else as it says"}),
    ],
    "score": [
        NAME,
        (("-a", "--adapter"), {"help": "compare with this attached adapter, without the text"}),
        (("-f", "--prompts"), FILE),
        TOKENS,
        (("-o", "--output"), {"help": "put the PersonaScore into this variable"}),
    ],
    "distil": [
        NAME,
        (("-f", "--prompts"), FILE),
        TOKENS,
        (("-o", "--output"), {"dest": "file", "required": True, "help": "a new .jsonl file"}),
    ],
    "questions": [
        NAME,
        (("-o", "--output"), {"dest": "file", "required": True, "help": "a new .jsonl file"}),
        (("-n", "--drafts"), {"type": int, "default": 1, "help": "by the model, of each rule; 0"}),
        (("-s", "--seed"), {"type": int, "default": 0, "help": "of the drafts"}),
    ],
    "holds": [
        NAME,
        (("-f", "--prompts"), {"help": "reviewed questions; else those of templates"}),
        (("-a", "--adapter"), {"help": "an attached adapter: alone, and beside the text"}),
        TOKENS,
        (("-o", "--output"), {"help": "put the PositionScore into this variable"}),
    ],
    "remove": [NAME],
}
ABOUT = {
    "use": "Let this persona answer, each with conversations of its own.",
    "list": "The personas of this kernel; * marks those in use.",
    "show": "A persona as its text file.",
    "diff": "Two personas, line by line.",
    "export": "Write a persona as one text file.",
    "import": "Read a persona's file. It is not used until you say so.",
    "score": "How much the text changes answers, and how much of an adapter's effect it has.",
    "distil": "Tuning rows of the persona's own answers, without its text.",
    "questions": "Questions that touch each rule of its position, for your review.",
    "holds": "Does the position hold? Bare, with the text, with an adapter, with both; judged.",
    "remove": "Forget a persona; its memory stays.",
}
EXAMPLES = {
    "use": ["%gptoss persona use poet terse", "%gptoss persona use none"],
    "list": ["%gptoss persona list"],
    "show": ["%gptoss persona show poet"],
    "diff": ["%gptoss persona diff poet terse"],
    "export": ["%gptoss persona export poet poet.md"],
    "import": ["%gptoss persona import poet.md --as bard"],
    "score": ["%gptoss persona score poet", "%gptoss persona score poet -a verse -f prompts.txt"],
    "distil": ["%gptoss persona distil poet -o rows.jsonl"],
    "questions": ["%gptoss persona questions poet -o questions.jsonl"],
    "holds": ["%gptoss persona holds poet -f questions.jsonl -a verse"],
    "remove": ["%gptoss persona remove poet"],
}
PARSERS = {
    name: opt.parser(f"%gptoss persona {name}", options, ABOUT[name], EXAMPLES[name])
    for name, options in OPTIONS.items()
}
CELL = opt.parser(
    "%%gptoss_persona",
    [NAME],
    "The cell is a persona: YAML front matter, Markdown.",
    ["%%gptoss_persona poet\n---\neffort: low\n---\nAnswer in two rhymed lines."],
)
HEADERS = (
    *("", "persona", "extends", "effort", "sampler", "adapters", "tools", "memory", "rag", "terms"),
    "text",
)


@magics_class
class PersonaMagics(Magics):
    """`%%gptoss_persona NAME`: the body is the persona's file."""

    @no_var_expand
    @cell_magic("gptoss_persona")
    def persona(self, line: str, cell: str) -> None:
        through("%%gptoss_persona", define, line, cell)


PersonaMagics.persona.__doc__ = CELL.format_help()


def define(line: str, cell: str) -> None:
    """Read the cell's persona and keep it; a Turtle file of terms lies in this folder."""
    from pathlib import Path

    from gptoss_magic.agents.persona_file import parse_persona

    hold(whole(parse_persona(cell, opt.parse(CELL, line).name), Path()))


def whole(made: Persona, folder: Path) -> Persona:
    """The persona with the terms of the file that it names beside it, what was left out said."""
    from gptoss_magic.agents.persona_terms import with_terms

    found, remarks = with_terms(made, folder)
    for remark in remarks:
        print(remark)
    return found


def run(line: str, magics: Any) -> None:
    """One `%gptoss persona` line."""
    from gptoss_magic.magics import persona_position, persona_study

    if not line.strip():
        print(opt.overview("%gptoss persona", PARSERS))
        return
    command, options = opt.command("%gptoss persona", PARSERS, line)
    commands = {
        "use": use,
        "list": show_list,
        "show": show,
        "diff": diff,
        "export": export,
        "import": import_file,
        "score": persona_study.score,
        "distil": persona_study.distil,
        "questions": persona_position.questions,
        "holds": persona_position.holds,
        "remove": remove,
    }
    commands[command](options, magics)


def words(typed: list[str]) -> list[str]:
    """Commands; behind one, personas and options."""
    if len(typed) == 1:
        return list(PARSERS)
    names = [] if typed[0] in ("list", "import") else sorted(current().personas)
    more = ["none"] if typed[0] == "use" else []
    return [*opt.flags(OPTIONS.get(typed[0], [])), *names, *more]


def hold(made: Persona) -> None:
    """Keep a persona in the session under its name, and say what it names."""
    held = current().personas
    verb = "changed" if made.name in held else "kept"
    held[made.name] = made
    named = ", ".join(filter(None, (*(made.tools or ()), *(made.adapters or ()), made.rag)))
    more = f"; it names {named}" if named else ""
    more += f"; {len(made.terms)} terms" if made.terms else ""
    for signal in made.signals:
        more += f"; «{signal.hears[0]}» calls {signal.words}"
    more += f"; it may hand over to {', '.join(made.handoff)}" if made.handoff else ""
    print(f"persona {made.name} {verb}{more}. %gptoss persona use {made.name}")


def use(options: Namespace, _magics: Any) -> None:
    session = current()
    layers = session.layers(options.names)
    session.persona = tuple(options.names) if layers else ()
    print(f"{' + '.join(one.name for one in layers) or 'no persona'} in use{_memory_words(layers)}")


def show_list(_options: Namespace, _magics: Any) -> None:
    from gptoss_magic.magics.index import show_table

    session = current()
    if not session.personas:
        print("no persona yet: %%gptoss_persona NAME, or %gptoss persona import PATH")
        return
    rows = [
        (
            "*" if name in session.persona else "",
            name,
            one.extends,
            one.effort,
            ", ".join(f"{k} {v}" for k, v in one.settings.items() if k != "effort"),
            ", ".join(one.adapters or ()),
            ", ".join(one.tools or ()),
            one.memory,
            one.rag,
            len(one.terms) or None,
            shorten(one.instructions, 80, placeholder=" …"),
        )
        for name, one in sorted(session.personas.items())
    ]
    used = [n for n in range(len(HEADERS)) if any(row[n] for row in rows)]
    show_table([HEADERS[n] for n in used], [[row[n] for n in used] for row in rows])


def show(options: Namespace, _magics: Any) -> None:
    print(_text(options.name), end="")


def diff(options: Namespace, _magics: Any) -> None:
    from difflib import unified_diff

    one, other = options.one, options.other
    sides = [_text(name).splitlines(keepends=True) for name in (one, other)]
    lines = "".join(unified_diff(sides[0], sides[1], one, other))
    print(lines or f"{one} and {other} say the same")


def export(options: Namespace, _magics: Any) -> None:
    from pathlib import Path

    from gptoss_magic.atomic import whole_file

    held, path = _named(options.name), Path(options.path).expanduser()
    if path.exists() and not options.force:
        raise InputError(f"{path}: is there already; --force writes over it")
    with whole_file(path) as file:
        file.write_text(encodable(held.source or _text(options.name)), "utf-8", newline="")
    print(f"{options.name} written to {path}")


def import_file(options: Namespace, _magics: Any) -> None:
    from pathlib import Path

    from gptoss_magic.agents.persona import check_name
    from gptoss_magic.agents.persona_file import parse_persona
    from gptoss_magic.quoting import printable
    from gptoss_magic.textfiles import read_text

    path = Path(options.path)
    made = whole(parse_persona(read_text(options.path).text, "", printable(path.stem)), path.parent)
    hold(replace(made, name=check_name(options.name), source="") if options.name else made)


def remove(options: Namespace, _magics: Any) -> None:
    session = current()
    _named(options.name)
    if options.name in session.persona:
        raise InputError(f"persona {options.name} is in use; %gptoss persona use none first")
    del session.personas[options.name]
    print(f"{options.name} removed")


def _memory_words(layers: list[Persona]) -> str:
    """What a persona asks of memory, in words."""
    from gptoss_magic.agents.layers import overlay
    from gptoss_magic.turns.settle import NAMELESS, is_memory_wanted, notebook_name

    persona, settings = overlay(layers), current().memory
    asked = persona.memory
    if asked in (None, "off") or not is_memory_wanted(persona):
        return ""
    if not notebook_name():
        return f"; it asks to remember, and does not: {NAMELESS}"
    words = "; its memory is on: turns are kept on this disk (%gptoss memory list, off)"
    if asked == "shared" and not settings.is_shared:
        words += ". It asks to remember across notebooks: %gptoss memory on --shared agrees"
    return words


def _named(name: str) -> Persona:
    return current().layers([name])[-1]


def _text(name: str) -> str:
    from gptoss_magic.agents.persona_file import render_persona

    return render_persona(_named(name))

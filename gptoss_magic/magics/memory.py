"""`%gptoss memory …`: what a persona remembers, shown, edited and forgotten."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError
from gptoss_magic.magics import options as opt
from gptoss_magic.quoting import printable
from gptoss_magic.retrieval.items import KINDS
from gptoss_magic.session import current
from gptoss_magic.vocabulary import counted

if TYPE_CHECKING:
    from argparse import Namespace

    from gptoss_magic.retrieval.items import Item
    from gptoss_magic.retrieval.memory import Memory

PERSONA = (("-P", "--persona"), {"help": "whose memory; else of the one in use, or of none"})
EVERYWHERE = (("-A", "--everywhere"), {"action": "store_true", "help": "of all notebooks"})
OPTIONS: dict[str, list[opt.Option]] = {
    "on": [
        (("-s", "--shared"), {"action": "store_true", "help": "recall from all notebooks"}),
        (("-u", "--summary"), {"action": "store_true", "help": "let the model sum up old turns"}),
        (
            ("-f", "--facts"),
            {
                "action": "store_true",
                "help": "let the model draw facts from what you say: one call more for each turn",
            },
        ),
        (("-n", "--as"), {"dest": "name", "default": "", "help": "what this notebook is called"}),
        (
            ("-S", "--store"),
            {
                "help": "move what is remembered to faiss:PATH, chroma:PATH or weaviate:URL, or "
                "back to lancedb; it stays there"
            },
        ),
    ],
    "off": [],
    "list": [
        (("-k", "--kind"), {"choices": list(KINDS), "help": "these only"}),
        EVERYWHERE,
        PERSONA,
    ],
    "show": [(("id",), {"help": "an item's id, or how it begins"}), PERSONA],
    "recall": [(("query",), {"nargs": "+", "help": "a question, or words"}), EVERYWHERE, PERSONA],
    "note": [(("text",), {"nargs": "+", "help": "a fact to keep"}), PERSONA],
    "edit": [
        (("id",), {"help": "an item's id, or how it begins"}),
        (("text",), {"nargs": "+", "help": "its new text"}),
        PERSONA,
    ],
    "forget": [
        (("ids",), {"nargs": "*", "metavar": "ID", "help": "items"}),
        (("-X", "--all"), {"action": "store_true", "help": "all items of this notebook"}),
        EVERYWHERE,
        PERSONA,
    ],
}
ABOUT = {
    "on": "Remember turns and notes, whatever the persona says; in this notebook alone.",
    "off": "Remember and recall nothing; what is kept stays, and another process may have it.",
    "list": "All that is remembered, and where it came from.",
    "show": "One item in full.",
    "recall": "What a prompt would recall.",
    "note": "Keep a fact.",
    "edit": "Give an item another text.",
    "forget": "Delete items, from the disk too.",
}
EXAMPLES = {
    "on": [
        "%gptoss memory on",
        "%gptoss memory on --shared --as thesis",
        "%gptoss memory on --store faiss:remembered",
    ],
    "off": ["%gptoss memory off"],
    "list": ["%gptoss memory list -k note"],
    "show": ["%gptoss memory show 3f2a"],
    "recall": ["%gptoss memory recall Where does Clara live?"],
    "note": ["%gptoss memory note The samples of May are cold."],
    "edit": ["%gptoss memory edit 3f2a The samples of June are cold."],
    "forget": ["%gptoss memory forget 3f2a", "%gptoss memory forget --all"],
}
PARSERS = {
    name: opt.parser(f"%gptoss memory {name}", options, ABOUT[name], EXAMPLES[name])
    for name, options in OPTIONS.items()
}
HEADERS = ("id", "kind", "text", "conversation", "turn", "when", "notebook")
MOST_CHARS = 300  # of an item in a list


def run(line: str, magics: Any) -> None:
    """One `%gptoss memory` line; without a command, whether it is on."""
    name_notebook(magics.shell.user_ns)
    if not line.strip():
        print(state())
        return
    command, options = opt.command("%gptoss memory", PARSERS, line)
    commands = {
        "on": turn_on,
        "off": turn_off,
        "list": show_list,
        "show": show,
        "recall": recall,
        "note": note,
        "edit": edit,
        "forget": forget,
    }
    commands[command](options)


def words(typed: list[str]) -> list[str]:
    return list(PARSERS) if len(typed) == 1 else opt.flags(OPTIONS.get(typed[0], []))


def name_notebook(names: dict[str, Any]) -> None:
    """Let the session know the notebook's path where the front end tells it in the namespace."""
    path = names.get("__vsc_ipynb_file__")
    session = current()
    if isinstance(path, str) and not session.memory.notebook:
        session.memory = replace(session.memory, notebook=path)


def state() -> str:
    """`memory of pirate: on, in this notebook (…)`."""
    from gptoss_magic.agents.layers import overlay
    from gptoss_magic.retrieval.memories import where_is
    from gptoss_magic.retrieval.stores.named import LANCEDB
    from gptoss_magic.turns.recall import memory_of
    from gptoss_magic.turns.settle import NAMELESS, is_memory_wanted, notebook_name

    session, here = current(), notebook_name()
    is_on = is_memory_wanted(overlay(session.layers()))
    where = (
        "on, from all notebooks" if session.memory.is_shared else f"on, in this notebook ({here})"
    )
    held = where if here else f"off: {NAMELESS}"
    who = f" of {session.persona[0]}" if session.persona else ""
    lies = where_is(memory_of(everywhere=True).name)
    at = "" if lies == LANCEDB else f"; it lies in {printable(lies)}"
    return f"memory{who}: {held if is_on else 'off'}{at}"


def turn_on(options: Namespace) -> None:
    from gptoss_magic.turns.settle import NAMELESS, notebook_name

    session = current()
    if not (options.name or notebook_name()):
        raise InputError(f"memory: {NAMELESS}")
    name = options.name or session.memory.notebook
    if options.store:
        move_to(options.store)
    session.memory = replace(
        session.memory,
        is_on=True,
        is_shared=options.shared,
        summarise=options.summary,
        learns=options.facts,
        notebook=name,
    )
    print(state())


def move_to(store: str) -> None:
    """Let the memory of the persona in use lie there, with what it holds."""
    from gptoss_magic.retrieval.memories import move
    from gptoss_magic.turns.recall import memory_of

    num = move(memory_of(everywhere=True).name, store)
    print(f"memory: {counted(num, 'item')} in {printable(store)} now")


def turn_off(_options: Namespace) -> None:
    from gptoss_magic.retrieval.memories import close
    from gptoss_magic.turns.recall import memory_of

    session = current()
    close(memory_of(everywhere=True).name)
    session.memory = replace(session.memory, is_on=False)
    print(state())


def show_list(options: Namespace) -> None:
    where = None if options.everywhere else ""
    _show(_memory(options).items(notebook=where, kind=options.kind or ""))


def show(options: Namespace) -> None:
    item = _memory(options, everywhere=True).show(options.id)
    for name in ("id", "kind", "notebook", "conversation", "turn", "time"):
        print(f"{name:<14}{getattr(item, name)}")
    print(f"\n{item.text}")


def recall(options: Namespace) -> None:
    where = None if options.everywhere or current().memory.is_shared else ""
    _show(_memory(options).recall(" ".join(options.query), notebook=where))


def note(options: Namespace) -> None:
    from gptoss_magic.retrieval.items import Item

    (item,) = _memory(options).remember([Item("note", " ".join(options.text))])
    print(f"note {item.id[:6]} kept")


def edit(options: Namespace) -> None:
    item = _memory(options, everywhere=True).edit(options.id, " ".join(options.text))
    print(f"{item.kind} {item.id[:6]} changed")


def forget(options: Namespace) -> None:
    keys = list(options.ids)
    memory = _memory(options, everywhere=bool(keys))
    if options.all == bool(keys):
        raise InputError("%gptoss memory forget: give ids, or --all")
    if options.all:
        keys = [item.id for item in memory.items(notebook=None if options.everywhere else "")]
    print(f"{memory.forget(keys)} forgotten")


def _memory(options: Namespace, *, everywhere: bool = False) -> Memory:
    """`everywhere`: what the line names by an id, or of all notebooks."""
    from gptoss_magic.turns.recall import memory_of

    everywhere = everywhere or getattr(options, "everywhere", False)
    return memory_of([options.persona] if options.persona else None, everywhere=everywhere)


def _show(items: Any) -> None:
    from gptoss_magic.magics.index import show_table

    if not items:
        print("nothing is remembered here")
        return
    places = {item.notebook for item in items}
    used = HEADERS if len(places) > 1 else HEADERS[:-1]
    show_table(used, [_row(item)[: len(used)] for item in items])


def _row(item: Item) -> tuple[Any, ...]:
    """`show` has all of a text, and the seconds."""
    text = item.text if len(item.text) <= MOST_CHARS else f"{item.text[:MOST_CHARS]} …"
    when = item.time[:16].replace("T", " ")
    turn = item.turn or None
    return item.id[:6], item.kind, text, item.conversation, turn, when, item.notebook

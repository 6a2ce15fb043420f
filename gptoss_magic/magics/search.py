"""`%gptoss search`, and what `%%gptoss --rag` quotes: passages of one index or several."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError
from gptoss_magic.magics import options as opt

if TYPE_CHECKING:
    from gptoss_magic.records import Passage

NONE, PASSAGES = "none", 5
SEARCH: list[opt.Option] = [
    (("name",), {"metavar": "NAME", "help": "an index; NAME,NAME: several"}),
    (("query",), {"nargs": "+", "metavar": "QUERY", "help": "a question, or words"}),
    (("-K", "--passages"), {"type": int, "default": PASSAGES, "help": "chunks to show, at most"}),
    (("-W", "--where"), {"help": "an SQL condition, such as \"kind = 'markdown'\""}),
    (("-A", "--at"), {"type": int, "help": "this version of the index"}),
]
PARSER = opt.parser("%gptoss search", SEARCH, "Passages of an index, without the model.")


def run(line: str, _magics: Any) -> None:
    """One line of `%gptoss search`: the passages, their text folded."""
    from IPython.display import display

    from gptoss_magic.widgets.sources import sources_html, sources_text

    given = opt.parse(PARSER, line)
    found = passages(given.name, " ".join(given.query), given)
    if not found:
        return print("no passage matches")
    data = {"text/html": sources_html(found), "text/plain": sources_text(found, quotes=True)}
    display(data, raw=True)  # type: ignore[no-untyped-call]


def words(_typed: list[str]) -> list[str]:
    return opt.flags(SEARCH)


def found_passages(
    options: Namespace, prompt: str, default: str | None = None
) -> list[Passage] | None:
    """What `%%gptoss --rag` quotes, or the default index; None without, and for 'none'."""
    name = options.rag or default
    if not name or name == NONE:
        if options.where or options.at is not None:
            raise InputError("--where and --at choose passages: add --rag NAME")
        return None
    return passages(name, prompt, options)


def passages_of(default: str | None, prompt: str) -> list[Passage] | None:
    """What the default index has to say; None without one."""
    if not default or default == NONE:
        return None
    return passages(default, prompt, Namespace(passages=PASSAGES, where=None, at=None))


def passages(name: str, query: str, options: Namespace) -> list[Passage]:
    """Passages of the index, or of several in turn."""
    from gptoss_magic.retrieval.index import search_all

    names = [part.strip() for part in name.split(",") if part.strip()]
    if not names:
        raise InputError(f"{name!r}: give the name of an index")
    return search_all(names, query, options.passages, options.where, options.at)

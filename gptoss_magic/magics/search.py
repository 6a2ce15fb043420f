"""`%gptoss search`, and what `%%gptoss --rag` quotes: passages of indexes and retrievers."""

from __future__ import annotations

from argparse import Namespace
from functools import partial
from typing import TYPE_CHECKING, Any

from gptoss_magic.agents.term_search import INDEX
from gptoss_magic.errors import InputError
from gptoss_magic.magics import options as opt
from gptoss_magic.magics.toolbox import terms_of
from gptoss_magic.session import current

if TYPE_CHECKING:
    from collections.abc import Callable

    from gptoss_magic.agents.persona import Persona
    from gptoss_magic.records import Passage

    Search = Callable[[str, int], list[Passage]]

from gptoss_magic.vocabulary import NONE, PASSAGES

SEARCH: list[opt.Option] = [
    (
        ("name",),
        {"metavar": "NAME", "help": "an index, or a retriever of the notebook; NAME,NAME: several"},
    ),
    (("query",), {"nargs": "+", "metavar": "QUERY", "help": "a question, or words"}),
    (("-K", "--passages"), {"type": int, "default": PASSAGES, "help": "chunks to show, at most"}),
    (("-W", "--where"), {"help": "an SQL condition, such as \"kind = 'markdown'\""}),
    (("-A", "--at"), {"type": int, "help": "this version of the index"}),
    (("--rerank",), {"metavar": "MODEL", "help": "a cross-encoder orders the best 50 anew"}),
]
PARSER = opt.parser(
    "%gptoss search",
    SEARCH,
    "Passages of an index or a retriever, without the model.",
    [
        "%gptoss search docs When was the bridge opened?",
        "%gptoss search docs,notes cold samples -K 3",
    ],
)


def run(line: str, magics: Any) -> None:
    """One line of `%gptoss search`: the passages, a line of each, the whole text folded."""
    from IPython.display import display

    from gptoss_magic.widgets.sources import sources_html, sources_text

    given = opt.parse(PARSER, line)
    query = " ".join(given.query)
    found = passages(given.name, query, given, magics.shell.user_ns)
    if not found:
        print("no passage matches")
        return
    html = sources_html(found, query=query)
    data = {"text/html": html, "text/plain": sources_text(found, quotes=True)}
    display(data, raw=True)


def words(_typed: list[str]) -> list[str]:
    return opt.flags(SEARCH)


def found_passages(
    options: Namespace, prompt: str, names: dict[str, Any], default: str | None = None
) -> list[Passage] | None:
    """What `%%gptoss --rag` quotes: the line's index, the persona's, or the default one.

    None without, and for 'none'.
    """
    persona = rag_of(getattr(options, "persona", None))
    name = options.rag or persona.rag or default
    if not options.rag and options.passages is None and name == persona.rag:
        options = Namespace(**{**vars(options), "passages": persona.passages})
    if name and not options.rag and name == persona.rag:
        check_here(name)
    if not name or name == NONE:
        if options.where or options.at is not None or options.rerank or options.passages:
            raise InputError(
                "--where, --at, --rerank and --passages choose passages: add --rag NAME"
            )
        return None
    return passages(name, prompt, options, names)


def passages_of(default: str | None, prompt: str, names: dict[str, Any]) -> list[Passage] | None:
    """What the index of the persona in use has to say, or the default one; None without."""
    persona = rag_of()
    default = persona.rag or default
    if not default or default == NONE:
        return None
    if persona.rag:
        check_here(persona.rag)
    num = persona.passages if persona.rag else None
    plain = Namespace(passages=num or PASSAGES, where=None, at=None, rerank=None)
    return passages(default, prompt, plain, names)


def check_here(name: str) -> None:
    """Raise InputError where an index lies with a server: a persona's own fetches nothing."""
    from gptoss_magic.retrieval.stores.named import placed

    where = placed(name)
    if where is not None and where.is_remote:
        raise InputError(
            f"the persona's index {name} lies at {where}: it would be told what you ask; say so "
            f"yourself: --rag {name}"
        )


def rag_of(names: str | None = None) -> Persona:
    """The persona of these names (None: the one in use), as one."""
    from gptoss_magic.agents.layers import overlay

    parts = [part.strip() for part in names.split("+")] if names else None
    return overlay(current().layers(parts))


def passages(name: str, query: str, options: Namespace, names: dict[str, Any]) -> list[Passage]:
    """Passages of an index or a retriever of the notebook, or of several in turn."""
    from gptoss_magic.retrieval.retriever import in_turn
    from gptoss_magic.studies.hidden_states import offer

    given = [part.strip() for part in name.split(",") if part.strip()]
    if not given:
        raise InputError(f"{name!r}: give the name of an index, or of a retriever")
    offer()
    searches = [search_of(part, options, names) for part in given]
    num = PASSAGES if options.passages is None else options.passages
    return in_turn([search(query, num) for search in searches], num)


def search_of(name: str, options: Namespace, names: dict[str, Any]) -> Search:
    """How `name` is searched: a retriever that the notebook calls so, else the index.

    'terms' are those of the persona in use, where it has some.
    """
    if name == INDEX and name not in names and (search := terms_of()):
        if options.where or options.at is not None or options.rerank:
            raise InputError("terms are the persona's: --where, --at and --rerank are for indexes")
        return search
    from gptoss_magic.retrieval.index import Index
    from gptoss_magic.retrieval.neighbours import neighbour
    from gptoss_magic.retrieval.rerank import reranker_named

    near = neighbour(name, names[name]) if name in names else None
    if near is None:
        reranker = reranker_named(options.rerank) if options.rerank else None
        opened = Index.open(name, version=options.at)
        return partial(opened.search, where=options.where, reranker=reranker)
    if options.where or options.at is not None or options.rerank:
        raise InputError(
            f"{name} is a retriever of the notebook: --where, --at and --rerank are for indexes"
        )
    return near.search

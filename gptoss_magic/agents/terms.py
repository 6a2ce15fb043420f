"""A persona's `terms:`: read from YAML, checked as a whole, written back.

Terms are untrusted text, as all of a persona: sizes are bounded, and they are quoted as data.
"""

from __future__ import annotations

from difflib import get_close_matches
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError
from gptoss_magic.quoting import encodable, one_line
from gptoss_magic.records import Term

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MOST_TERMS, MOST_NAMES = 1000, 50  # terms of a persona; synonyms, or relations of a kind, of a term
MOST_NAME_CHARS, MOST_DEFINITION_CHARS = 200, 2000
RELATIONS = ("broader", "narrower", "related")
KEYS = {  # as they may be written, SKOS's words among them, to the fields of `Term`
    **dict.fromkeys(("term", "name", "preflabel"), "name"),
    "definition": "definition",
    **dict.fromkeys(("synonyms", "synonym", "altlabel"), "synonyms"),
    **{name: name for name in RELATIONS},
}


def read_terms(value: Any, label: str) -> tuple[Term, ...]:
    """The terms of YAML: a mapping of names, or a list with `term`. Raises InputError."""
    if value is None:
        return ()
    if isinstance(value, dict):
        listed = [({"term": name}, about) for name, about in value.items()]
    elif isinstance(value, list):
        listed = [({}, about) for about in value]
    else:
        raise InputError(
            f"{label} is a {type(value).__name__}: write TERM: DEFINITION lines, a list of terms, "
            "or the name of a Turtle file beside the persona, which ends in .ttl"
        )
    terms = [_term(named, about, label) for named, about in listed]
    return check_terms(terms, label)


def check_terms(terms: Sequence[Term], label: str) -> tuple[Term, ...]:
    """The terms, relations by the names as they are written there.

    Raises InputError for too many, one that stands twice, a relation to none, and a circle.
    """
    if len(terms) > MOST_TERMS:
        raise InputError(f"{label}: {len(terms):,} terms; give {MOST_TERMS:,} at most")
    known: dict[str, str] = {}
    for term in terms:
        if key_of(term.name) in known:
            raise InputError(f"{label}: {shown(term.name)} stands twice; leave one")
        known[key_of(term.name)] = term.name
    found = tuple(_resolved(term, known, label) for term in terms)
    _check_circle(found, label)
    return found


def terms_record(terms: Iterable[Term]) -> dict[str, Any]:
    """The terms as YAML has them: `read_terms` reads the same."""
    record: dict[str, Any] = {}
    for term in terms:
        more = {
            key: list(getattr(term, key)) for key in ("synonyms", *RELATIONS) if getattr(term, key)
        }
        record[term.name] = {"definition": term.definition, **more} if more else term.definition
    return record


def key_of(name: str) -> str:
    """What two ways to write one name have in common."""
    return " ".join(name.casefold().split())


def shown(name: str) -> str:
    """A name of others in a message."""
    return f"«{one_line(name, 60)}»"


def new_term(
    label: str,
    name: str,
    definition: str,
    synonyms: Iterable[str] = (),
    **relations: Iterable[str],
) -> Term:
    """A term whose sizes are checked. Raises InputError, for a missing definition too."""
    title = f"{label}: term {shown(name)}"
    if not any(letter.isalnum() for letter in name):
        raise InputError(f"{title}: a name has a letter or a digit")
    if not definition:
        raise InputError(f"{title} has no definition; write one, or take the term out")
    if len(definition) > MOST_DEFINITION_CHARS:
        raise InputError(
            f"{title}: its definition has {len(definition):,} characters; give "
            f"{MOST_DEFINITION_CHARS:,} at most"
        )
    own = key_of(name)
    others = [other for other in synonyms if key_of(other) != own]
    names = {"synonyms": others, **relations}
    kept = {kind: tuple({key_of(n): n for n in given}.values()) for kind, given in names.items()}
    for kind, given in kept.items():
        if len(given) > MOST_NAMES:
            raise InputError(f"{title}: {len(given)} {kind}; give {MOST_NAMES} at most")
    for one in (name, *kept["synonyms"]):
        if len(one) > MOST_NAME_CHARS:
            raise InputError(f"{title}: a name has {MOST_NAME_CHARS} characters at most")
    return Term(name, definition, **kept)


def _term(named: dict[Any, Any], about: Any, label: str) -> Term:
    about = {"definition": about} if isinstance(about, str) or about is None else about
    if not isinstance(about, dict):
        raise InputError(f"{label}: a term is a {type(about).__name__}; write definition: …")
    fields: dict[str, Any] = {}
    for written, value in [*named.items(), *about.items()]:
        key = _key(written, label)
        if key in fields:
            raise InputError(
                f"{label}: {one_line(str(written), 60)!r}: a term has one {key}; leave one"
            )
        fields[key] = value
    if "name" not in fields:
        raise InputError(f"{label}: a term has no name; write term: …")
    name = _line(fields.pop("name"), f"{label}: a term's name")
    title = f"{label}: term {shown(name)}"
    definition = _text(fields.pop("definition", None), f"{title}: definition")
    lists = {key: _lines(value, f"{title}: {key}") for key, value in fields.items()}
    return new_term(label, name, definition, **lists)


def _key(written: Any, label: str) -> str:
    name = str(written).casefold().removeprefix("skos:")
    if name in KEYS:
        return KEYS[name]
    near = get_close_matches(name, KEYS, 1)
    hint = (
        f"perhaps {near[0]}" if near else "there are definition, synonyms, " + ", ".join(RELATIONS)
    )
    raise InputError(f"{label}: a term has no key {one_line(str(written), 60)!r}; {hint}")


def _text(value: Any, label: str) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise InputError(f"{label} is a {type(value).__name__}, not a text; put it in quotes")
    return encodable(value).strip()


def _line(value: Any, label: str) -> str:
    return " ".join(_text(value, label).split())


def _lines(value: Any, label: str) -> list[str]:
    if value is None:
        return []
    listed = value if isinstance(value, list) else [value]
    return [line for line in (_line(one, label) for one in listed) if line]


def _resolved(term: Term, known: dict[str, str], label: str) -> Term:
    """The term with its relations called as those terms are. Raises InputError for unknown ones."""
    found = {}
    for kind in RELATIONS:
        names = getattr(term, kind)
        for name in names:
            if key_of(name) not in known:
                near = get_close_matches(key_of(name), known, 1)
                hint = f"perhaps {shown(known[near[0]])}" if near else "define it, or take it out"
                title = f"{label}: term {shown(term.name)}: {kind}"
                raise InputError(f"{title}: there is no term {shown(name)}; {hint}")
        found[kind] = tuple(known[key_of(name)] for name in names)
    return Term(term.name, term.definition, term.synonyms, **found)


def _check_circle(terms: Sequence[Term], label: str) -> None:
    """Raise InputError where a term is broader than itself, in however many steps."""
    graph: dict[str, set[str]] = {term.name: set(term.broader) for term in terms}
    for term in terms:
        for name in term.narrower:
            graph[name].add(term.name)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        circle = " → ".join(one_line(name, 40) for name in error.args[1][::-1][:6])
        raise InputError(f"{label}: broader goes in a circle: {circle}; take one out") from None

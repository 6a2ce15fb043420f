"""Terms of a Turtle file (SKOS concepts, OWL or RDFS classes), read by rdflib."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from gptoss_magic.agents.terms import MOST_TERMS, RELATIONS, check_terms, key_of, new_term
from gptoss_magic.errors import InputError, MissingPackage
from gptoss_magic.quoting import encodable, one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from gptoss_magic.records import Term

    Words = list[tuple[str, str]]  # (language, text)

LARGEST_FILE = 1 << 20
SKOS, RDFS = "http://www.w3.org/2004/02/skos/core#", "http://www.w3.org/2000/01/rdf-schema#"
TERMS, OWL = "http://purl.org/dc/terms/", "http://www.w3.org/2002/07/owl#"
RDF_TYPE = "http://www.w3.org/1999/02/22-rdf-syntax-ns#type"
KINDS = (SKOS + "Concept", OWL + "Class", RDFS + "Class")
NAMES = (SKOS + "prefLabel", RDFS + "label")
DEFINITIONS = (SKOS + "definition", SKOS + "scopeNote", RDFS + "comment", TERMS + "description")
SYNONYMS = (SKOS + "altLabel", SKOS + "hiddenLabel")
LINKS = {
    **{SKOS + name: name for name in RELATIONS},
    RDFS + "subClassOf": "broader",
    SKOS + "broaderTransitive": "broader",
    SKOS + "narrowerTransitive": "narrower",
}


def read_turtle(data: bytes, label: str) -> tuple[tuple[Term, ...], list[str]]:
    """(terms, remarks on what was left out) of a Turtle file's bytes.

    Where a concept has names in several languages, the one without a language or in English is its
    name, and the others are synonyms; its definitions stand behind each other.
    Nothing is fetched. Raises InputError, MissingPackage.
    """
    found = _concepts(_graph(data, label))
    if not found:
        raise InputError(f"{label}: no skos:Concept or class is in it; give a file of terms")
    if len(found) > MOST_TERMS:
        raise InputError(f"{label}: {len(found):,} terms; give {MOST_TERMS:,} at most")
    names = {node: _name(node, words) for node, words in found.items()}
    unknown: set[str] = set()
    terms = [_term(node, words, names, unknown, label) for node, words in found.items()]
    remarks = []
    if unknown:
        first = one_line(min(unknown), 80)
        more = f" and {len(unknown) - 1} more" if len(unknown) > 1 else ""
        remarks.append(f"{label}: relations to {first}{more} left out: not a concept of this file")
    return check_terms(sorted(terms, key=lambda term: key_of(term.name)), label), remarks


def _graph(data: bytes, label: str) -> Any:
    if len(data) > LARGEST_FILE:
        raise InputError(f"{label}: larger than 1 MiB; give a smaller file")
    try:
        from rdflib import Graph
    except ImportError:
        raise MissingPackage(
            "a Turtle file of terms needs rdflib: pip install 'gptoss_magic[ontology]'"
        ) from None
    graph = Graph(bind_namespaces="none")
    try:
        text = data.decode("utf-8-sig")
        graph.parse(data=text, format="turtle", publicID="urn:terms:")
    except (Exception, RecursionError) as error:  # noqa: BLE001 (its parser raises many kinds)
        why = one_line(str(error) or type(error).__name__, 160)
        raise InputError(
            f"{label}: no Turtle ({why}); mend it, or write the terms in YAML"
        ) from None
    return graph


def _concepts(graph: Any) -> dict[str, dict[str, Words]]:
    """Concepts by IRI, in order, each with its words by predicate; links are words too."""
    from rdflib import BNode

    kinds = {str(s) for s, p, o in graph if str(p) == RDF_TYPE and str(o) in KINDS}
    words: dict[str, dict[str, Words]] = defaultdict(lambda: defaultdict(list))
    for s, p, o in graph:
        if isinstance(o, BNode) and str(o) not in kinds:  # such as OWL's restrictions
            continue
        language = str(getattr(o, "language", None) or "")
        words[str(s)][str(p)].append((language, encodable(str(o))))
    named = {s for s, known in words.items() if SKOS + "prefLabel" in known}
    schemes = {
        str(s) for s, p, o in graph if str(p) == RDF_TYPE and str(o) == SKOS + "ConceptScheme"
    }
    return {s: words[s] for s in sorted((kinds | named) - schemes)}


def _first(words: Mapping[str, Words], predicates: Iterable[str]) -> Words:
    """The words of the first predicate that is there: no language first, then English."""
    for predicate in predicates:
        if predicate in words:
            return sorted(words[predicate], key=lambda one: (_rank(one[0]), one))
    return []


def _rank(language: str) -> int:
    if not language:
        return 0
    return 1 if language.casefold().split("-")[0] == "en" else 2


def _name(node: str, words: Mapping[str, Words]) -> str:
    """Its label, else the end of its IRI."""
    labels = _first(words, NAMES)
    name = labels[0][1] if labels else node.rstrip("/#").replace("#", "/").split("/")[-1]
    return " ".join(name.split())


def _term(
    node: str,
    words: Mapping[str, Words],
    names: Mapping[str, str],
    unknown: set[str],
    label: str,
) -> Term:
    labels = [text for predicate in (*NAMES, *SYNONYMS) for _, text in words.get(predicate, [])]
    definitions = _first(words, DEFINITIONS)
    links: dict[str, list[str]] = {kind: [] for kind in RELATIONS}
    for predicate, kind in LINKS.items():
        for _, other in sorted(words.get(predicate, [])):
            if other in names:
                links[kind].append(names[other])
            else:
                unknown.add(other)
    synonyms = [" ".join(text.split()) for text in sorted(labels)]
    definition = " / ".join(dict.fromkeys(text.strip() for _, text in definitions))
    return new_term(label, names[node], definition, [s for s in synonyms if s], **links)

"""A term of a field, as a persona defines it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

LEAST_APART = 6  # terms of which some are kept apart


@dataclass(frozen=True)
class Term:
    """Its name, other names for it, and names of terms that it stands in a relation to.

    `broader` are its genera, `narrower` its species, `related` neither (SKOS,
    w3.org/TR/skos-primer).
    """

    name: str
    definition: str
    synonyms: tuple[str, ...] = ()
    broader: tuple[str, ...] = ()
    narrower: tuple[str, ...] = ()
    related: tuple[str, ...] = ()

    @property
    def labels(self) -> tuple[str, ...]:
        """Every name that it goes by."""
        return (self.name, *self.synonyms)


def split_terms(terms: Sequence[Term]) -> tuple[tuple[Term, ...], tuple[Term, ...]]:
    """(terms that rows are grown from, terms that a suite asks about), in their order.

    A third is asked about, by a hash of the name: the same third whatever else there is or in which
    order. Of fewer than six all are on both sides.
    """
    if len(terms) < LEAST_APART:
        return tuple(terms), tuple(terms)
    by_hash = sorted(terms, key=_hash)
    asked = {term.name for term in by_hash[: len(terms) // 3]}
    return (
        tuple(term for term in terms if term.name not in asked),
        tuple(term for term in terms if term.name in asked),
    )


def ancestors(term: Term, terms: Sequence[Term]) -> list[str]:
    """Names of all that is broader, the nearest first, whichever side says so."""
    above: dict[str, list[str]] = {one.name: list(one.broader) for one in terms}
    for one in terms:
        for name in one.narrower:
            above.setdefault(name, []).append(one.name)
    found, left = [], list(above.get(term.name, []))
    while left:
        name = left.pop(0)
        if name not in found and name != term.name:
            found.append(name)
            left += above.get(name, [])
    return found


def _hash(term: Term) -> str:
    name = " ".join(term.name.casefold().split())
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()

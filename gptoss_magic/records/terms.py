"""A term of a field, as a persona defines it."""

from __future__ import annotations

from dataclasses import dataclass


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

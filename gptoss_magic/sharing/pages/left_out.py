"""What a page does not have: counted, and named where it stood."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from gptoss_magic.quoting import one_line
from gptoss_magic.vocabulary import counted

MAX_DETAILS, MAX_CHARS = 3, 80


@dataclass
class LeftOut:
    """Kinds of things with their numbers, and some details such as addresses."""

    counts: Counter[str] = field(default_factory=Counter)
    details: dict[str, list[str]] = field(default_factory=dict)

    def add(self, kind: str, detail: str = "") -> None:
        """One more of this kind: a singular noun."""
        self.counts[kind] += 1
        known = self.details.setdefault(kind, [])
        line = one_line(detail, MAX_CHARS)
        if line and line not in known and len(known) < MAX_DETAILS:
            known.append(line)

    def join(self, other: LeftOut) -> None:
        """Count what another one has, without its details."""
        self.counts.update(other.counts)

    def __bool__(self) -> bool:
        return bool(self.counts)

    def __str__(self) -> str:
        return "; ".join(map(self._words, self.counts))

    def _words(self, kind: str) -> str:
        details = self.details.get(kind)
        named = f" ({', '.join(details)})" if details else ""
        return f"{counted(self.counts[kind], kind)}{named}"

"""A server that stands in the place of the resident model, and what works there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gptoss_magic.records.provenance import ModelIdentity

NEEDS_WEIGHTS = "routing, probes, tuning, hidden states and KV roll-back"


@dataclass(frozen=True)
class ServerAbility:
    """One line of the table of what works: `how` it is done, or why it cannot be."""

    name: str
    works: bool
    how: str


@dataclass(frozen=True)
class RemoteModel:
    """What the session holds of a connected server; its weights are elsewhere.

    `exact`: it reads our own rendering as token ids; else `why_not` says why chat is used.
    `context`: tokens of prompt and answer, 0 where the server does not say. `greedy`: prompts that
    name no temperature are.
    """

    url: str
    kind: str
    version: str
    identity: ModelIdentity
    context: int
    exact: bool
    why_not: str
    tokenizer: str
    abilities: tuple[ServerAbility, ...]
    greedy: bool = False

    @property
    def server(self) -> str:
        """Its kind, version and address."""
        return f"{self.kind} {self.version}".strip() + f" at {self.url}"

    @property
    def about(self) -> str:
        """One line: the server, and whether its answers are exact."""
        return f"{self.identity['model']} by {self.server}: {self.exactness}"

    @property
    def exactness(self) -> str:
        """'exact', or 'not exact' and why."""
        return "exact" if self.exact else f"not exact: {self.why_not}"

    def names(self, *, works: bool) -> str:
        """Of what works, or does not."""
        return ", ".join(one.name for one in self.abilities if one.works is works) or "-"

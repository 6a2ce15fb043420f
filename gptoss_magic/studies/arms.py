"""What an evaluation compares: the bare base, adapters, personas, efforts, and joined ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError
from gptoss_magic.session import current
from gptoss_magic.turns.settle import settle
from gptoss_magic.vocabulary import BASE, NONE, check_effort, check_known

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gptoss_magic.records import Request

KINDS = ("adapter", "persona", "effort")


@dataclass(frozen=True)
class Arm:
    """One side of a comparison; without adapters, personas and effort it is the bare base."""

    name: str
    adapters: tuple[str, ...] = ()
    personas: tuple[str, ...] = ()
    effort: str | None = None

    def settled(self, **how: Any) -> Request:
        """What each item is asked, its prompt apart: nothing of the notebook's defaults."""
        says = {**how, "adapters": list(self.adapters) or [NONE], "persona": self.personas}
        if self.effort is not None:
            says["effort"] = self.effort
        return settle(**says)


def read_arms(given: str | Sequence[str]) -> tuple[Arm, ...]:
    """Arms of 'base,adapter:style+effort:low'. Raises InputError for one that cannot be."""
    names = given.split(",") if isinstance(given, str) else list(given)
    arms = tuple(_read(name.strip()) for name in names)
    twice = [arm.name for arm in arms if [a.name for a in arms].count(arm.name) > 1]
    if twice:
        raise InputError(f"arms: {twice[0]} is given twice; leave one")
    if not arms:
        raise InputError("arms: give one at least, such as base")
    return arms


def _read(name: str) -> Arm:
    parts: dict[str, list[str]] = {kind: [] for kind in KINDS}
    for part in name.split("+"):
        kind, colon, value = (word.strip() for word in part.partition(":"))
        if (kind, colon) == (BASE, ""):
            continue
        if not colon or not value:
            raise InputError(
                f"arm {name!r}: {part.strip()!r} is no part of one; give base, adapter:NAME, "
                "persona:NAME or effort:low, joined by +"
            )
        check_known(f"arm {name}: kind", [kind], KINDS)
        parts[kind].append(value)
    if len(parts["effort"]) > 1:
        raise InputError(f"arm {name!r}: give one effort")
    effort = check_effort(parts["effort"][0]) if parts["effort"] else None
    current().layers(tuple(parts["persona"]))
    return Arm(name, tuple(parts["adapter"]), tuple(parts["persona"]), effort)

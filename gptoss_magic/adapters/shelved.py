"""What a shelf holds, what an attach did, and what stands beside the model."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gptoss_magic.adapters.adapter import Adapter
    from gptoss_magic.model.protocol import Model
    from gptoss_magic.records.provenance import AdapterRecord


@dataclass
class ShelvedAdapter:
    """One adapter and the scale that it is used at (1: as trained)."""

    adapter: Adapter
    scale: float = 1.0

    def record(self) -> AdapterRecord:
        """For a provenance: name, content, scale, and where it came from without its path."""
        path = self.adapter.path
        return {
            "name": self.adapter.name,
            "uid": self.adapter.uid,
            "scale": self.scale,
            "path": hashlib.sha256(path.encode()).hexdigest()[:16] if path else "",
        }


@dataclass(frozen=True)
class Attached:
    """What an attach did. `change`: the largest difference of a logit on the probe text."""

    adapter: Adapter
    change: float

    def __str__(self) -> str:
        """Lines: what was attached, what its files say otherwise, whether the output changes."""
        notes = "".join(f"\nnote: {note}" for note in self.adapter.notes)
        line = f"{self.adapter.name} attached: {self.adapter.describe()}{notes}"
        if self.change:
            return f"{line}\nlogits change by up to {self.change:.3g} on a probe text"
        why = (
            "its last factors are all zero, as before any training"
            if self.adapter.is_zero
            else "none of its numbers bears on the probe text"
        )
        return f"{line}\nattached, but it changes nothing: {why}"


@dataclass(frozen=True)
class Active:
    """What stands beside the model: `key` follows content and scales ('' for the bare base)."""

    names: tuple[str, ...]
    key: str
    soft: Any
    records: tuple[AdapterRecord, ...]

    @property
    def num_virtual(self) -> int:
        """Positions that a soft prompt or prefix takes in front of every prompt."""
        return 0 if self.soft is None else len(self.soft)

    def fill(self, model: Model, cache: Any) -> None:
        """Put those positions into an empty cache."""
        import torch

        if self.soft is not None:
            with torch.no_grad():
                self.soft.fill(model, cache)

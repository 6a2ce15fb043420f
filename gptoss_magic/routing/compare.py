"""How two routings differ. Legend: L layers, E experts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError
from gptoss_magic.model.loads import js_distance
from gptoss_magic.routing.scores import ALL, MEASURES

if TYPE_CHECKING:
    from gptoss_magic.routing.scores import Scores


@dataclass(frozen=True)
class RoutingComparison:
    """`a` against `b`, by the measure `by` ('share', 'gate' or 'reap')."""

    a: Scores
    b: Scores
    by: str = "share"

    @property
    def channels(self) -> list[str]:
        """Those that both have."""
        return [name for name in getattr(self.a, self.by) if name in getattr(self.b, self.by)]

    def difference(self, channel: str = ALL) -> Any:
        """[L, E]: b − a; each row sums up to 0."""
        return self.b.measure(self.by, channel) - self.a.measure(self.by, channel)

    def distance(self, channel: str = ALL) -> Any:
        """[L]: Jensen-Shannon distance per layer; see `js_distance`."""
        return js_distance(self.a.measure(self.by, channel), self.b.measure(self.by, channel))

    def top(self, number: int = 10, channel: str = ALL) -> list[tuple[int, int, float, float]]:
        """The (layer, expert, score in a, score in b) that differ most, largest first."""
        import numpy as np

        a, b = self.a.measure(self.by, channel), self.b.measure(self.by, channel)
        order = np.argsort(-np.abs(b - a), axis=None, kind="stable")[:number]
        places = zip(*np.unravel_index(order, a.shape), strict=True)
        return [(int(i), int(e), float(a[i, e]), float(b[i, e])) for i, e in places]

    def to_frame(self) -> Any:
        """A pandas DataFrame: channel, layer, expert, a, b, difference, the layer's distance."""
        import numpy as np
        import pandas as pd

        num_layers, num_experts = self.a.shape
        layers, experts = np.divmod(np.arange(num_layers * num_experts), num_experts)
        frames = [
            pd.DataFrame(
                {
                    "channel": channel,
                    "layer": layers,
                    "expert": experts,
                    "a": self.a.measure(self.by, channel).ravel(),
                    "b": self.b.measure(self.by, channel).ravel(),
                    "difference": self.difference(channel).ravel(),
                    "distance": self.distance(channel).repeat(num_experts),
                }
            )
            for channel in self.channels
        ]
        return pd.concat(frames, ignore_index=True)


def compare(a: Scores, b: Scores, by: str = "share") -> RoutingComparison:
    """Compare two routings of models of one shape. Raises InputError where they differ in it."""
    if a.shape != b.shape:
        raise InputError(
            f"compare: {a.shape[0]} layers of {a.shape[1]} experts against {b.shape[0]} of "
            f"{b.shape[1]}: score both on models of one shape"
        )
    if by not in MEASURES:
        raise InputError(f"compare by {by!r}: there are {', '.join(MEASURES)}")
    for scores in (a, b):
        scores.measure(by)
    return RoutingComparison(a, b, by)

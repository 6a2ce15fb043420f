"""`Scores`: how much each expert of each layer matters to a set of texts.

Legend: L layers, E experts, k experts a token. Arrays are numpy, [L, E], each row a distribution.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError
from gptoss_magic.model.loads import entropy

if TYPE_CHECKING:
    from collections.abc import Mapping

ALL = "all"
CHANNELS = (ALL, "prompt", "analysis", "final", "commentary")
MEASURES = ("share", "gate", "reap")


@dataclass(frozen=True)
class Scores:
    """Scores by channel of `num_samples` texts; `tokens` counts each channel's.

    'all' is every token but system texts and headers, which are alike in all conversations;
    'prompt' is what user, developer and tools say. Over samples j and their L_j tokens i:

    - `share` (token share): mean_j 1/L_j Σ_i 1[e chosen for i] / k
    - `gate` (gate mass): mean_j 1/L_j Σ_i weight of e for i
    - `reap`: mean of weight × ‖output of e‖₂ over all tokens routed to e, then divided by the
      layer's sum; empty where it was not measured

    Sources: share and gate ESFT (arXiv 2407.01906), reap REAP (arXiv 2510.13999),
    both normalised over the experts of a layer.
    """

    share: Mapping[str, Any]
    gate: Mapping[str, Any]
    reap: Mapping[str, Any]
    tokens: Mapping[str, int]
    num_samples: int
    top_k: int
    about: Mapping[str, Any] = field(default_factory=dict)
    baseline: Scores | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """(layers, experts)."""
        num_layers, num_experts = self.share[ALL].shape
        return int(num_layers), int(num_experts)

    def measure(self, name: str = "share", channel: str = ALL) -> Any:
        """[L, E] of 'share', 'gate', 'reap' or 'lift'. Raises InputError where there is none."""
        if name == "lift":
            return self.lift(channel)
        if name not in MEASURES:
            raise InputError(f"measure {name!r}: there are {', '.join((*MEASURES, 'lift'))}")
        found: Mapping[str, Any] = getattr(self, name)
        if channel not in found:
            known = ", ".join(found) or "none: score with reap=True"
            raise InputError(f"{name} of channel {channel!r}: there is {known}: give one of those")
        return found[channel]

    def lift(self, channel: str = ALL) -> Any:
        """[L, E]: share / baseline share; 1 is as in general text, inf where that never goes.

        The baseline's same channel, or all of it where it has none. NaN where neither goes.
        """
        import numpy as np

        share = self.measure("share", channel)
        if self.baseline is None:
            raise InputError("lift: these scores have no baseline; score with a baseline")
        base = self.baseline.share.get(channel, self.baseline.share[ALL])
        with np.errstate(divide="ignore", invalid="ignore"):
            return share / base

    def entropy(self, channel: str = ALL) -> Any:
        """[L]: entropy of the token share in nats; log E is an even load."""
        return entropy(self.measure("share", channel))

    def dead(self, channel: str = ALL) -> list[list[int]]:
        """By layer the experts that no token went to."""
        return [[int(e) for e in row.nonzero()[0]] for row in self.measure("share", channel) == 0]

    def coverage(self, num_experts: int, channel: str = ALL) -> Any:
        """[L]: share of the routes that go to each layer's top `num_experts`."""
        import numpy as np

        return np.sort(self.measure("share", channel), 1)[:, ::-1][:, :num_experts].sum(1)

    def hot(
        self,
        coverage: float | None = None,
        num_experts: int | None = None,
        *,
        by: str = "share",
        channel: str = ALL,
    ) -> list[list[int]]:
        """By layer the experts that matter most, ascending ids.

        The top ones until their scores `by` sum up to `coverage` (ESFT's rule; 0.5 if nothing is
        given), or the top `num_experts`. Raises InputError.
        """
        import numpy as np

        scores = self.measure(by, channel)
        share = 0.5 if coverage is None else coverage
        if not 0 < share <= 1:
            raise InputError(f"coverage {share}: give a share above 0, at most 1")
        if num_experts is not None and not 1 <= num_experts <= self.shape[1]:
            raise InputError(f"{num_experts} experts: a layer has {self.shape[1]}: give fewer")
        if by == "lift" and num_experts is None:
            raise InputError("lift has no coverage: give num_experts")
        order = np.argsort(-np.nan_to_num(scores), 1, kind="stable")
        ranked = np.take_along_axis(scores, order, 1).cumsum(1)
        counts = (ranked < share - 1e-9).sum(1) + 1 if num_experts is None else None
        return [
            sorted(int(e) for e in row[: counts[layer] if counts is not None else num_experts])
            for layer, row in enumerate(order)
        ]

    def to_frame(self) -> Any:
        """A pandas DataFrame: a row for each channel, layer and expert."""
        import numpy as np
        import pandas as pd

        num_layers, num_experts = self.shape
        layers, experts = np.divmod(np.arange(num_layers * num_experts), num_experts)
        frames = []
        for channel in self.share:
            columns = {"channel": channel, "layer": layers, "expert": experts}
            columns |= {name: self.measure(name, channel).ravel() for name in self._measured()}
            frames.append(pd.DataFrame(columns))
        return pd.concat(frames, ignore_index=True)

    def _measured(self) -> list[str]:
        names = ["share", "gate", *(["reap"] if self.reap else [])]
        return [*names, "lift"] if self.baseline is not None else names

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, for a file; `from_dict` reads them."""
        arrays = {name: _lists(getattr(self, name)) for name in MEASURES}
        rest = {
            "tokens": dict(self.tokens),
            "num_samples": self.num_samples,
            "top_k": self.top_k,
            "about": dict(self.about),
        }
        return arrays | rest | {"baseline": self.baseline and self.baseline.to_dict()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Scores:
        """Scores from what `to_dict` gave. Raises InputError where it is something else."""
        try:
            arrays = {name: _arrays(values[name]) for name in MEASURES}
            base = values["baseline"]
            made = cls(
                **arrays,
                tokens={str(name): int(count) for name, count in values["tokens"].items()},
                num_samples=int(values["num_samples"]),
                top_k=int(values["top_k"]),
                about=dict(values["about"]),
                baseline=None if base is None else cls.from_dict(base),
            )
            made.shape  # noqa: B018 (has 'all')
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(
                f"not the scores of a routing: {type(error).__name__}: {error}; give what its "
                "save() wrote"
            ) from error
        return made


def _lists(arrays: Mapping[str, Any]) -> dict[str, Any]:
    return {channel: array.tolist() for channel, array in arrays.items()}


def _arrays(lists: Mapping[str, Any]) -> dict[str, Any]:
    """Arrays that all have one shape and rows that sum up to 1."""
    import numpy as np

    arrays = {str(name): np.array(rows, dtype=np.float64) for name, rows in lists.items()}
    for name, array in arrays.items():
        if array.ndim != 2 or not np.allclose(array.sum(1), 1, atol=1e-6) or array.min() < 0:
            raise ValueError(f"{name!r} has rows that are no distributions")
    return arrays

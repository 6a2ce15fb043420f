"""LoRA on experts that is not in peft's layout: one pair a number, or stacked by expert.

Unsloth has `experts.gate_up_projs.3`, vLLM's and Megatron's layout `experts.3.gate_proj`, mlx-lm
and others `experts.gate_proj` with the experts as the first dimension. gpt-oss keeps gate and up
as the even and odd rows of one matrix, so a pair on the gate alone is a pair on both whose other
rows are zero.
Legend: E experts, n chosen ones, H hidden size, I intermediate size, K in, N out, r rank.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import torch

LEAF = r"(?P<leaf>gate_up|gate|up|down|w1|w2|w3)"
FORMS = (
    re.compile(rf"(?P<module>[\w.]+\.experts)\.{LEAF}_projs\.(?P<expert>\d+)"),
    re.compile(rf"(?P<module>[\w.]+\.experts)\.(?P<expert>\d+)\.{LEAF}(?:_proj)?"),
    re.compile(rf"(?P<module>[\w.]+\.experts)\.{LEAF}(?:_proj)?"),
)
LEAVES = {"w1": "gate", "w3": "up", "w2": "down"}
ROWS = {"gate": 0, "up": 1}


@dataclass(frozen=True)
class SplitName:
    """What a pair's name says: `leaf` is gate_up, gate, up or down, `expert` None if stacked."""

    module: str
    leaf: str
    expert: int | None

    @property
    def projection(self) -> str:
        return "down_proj" if self.leaf == "down" else "gate_up_proj"

    def shape(self, config: Any) -> tuple[int, int]:
        """(rows out, columns in) of the matrix beside which the pair stands."""
        hidden, inner = config.hidden_size, config.intermediate_size
        if self.leaf == "down":
            return hidden, inner
        return (2 * inner if self.leaf == "gate_up" else inner), hidden


@dataclass(frozen=True)
class Pair:
    """scaling · B A beside one expert; A [r, K], B [N, r], N of the leaf."""

    leaf: str
    expert: int
    a: torch.Tensor
    b: torch.Tensor
    scaling: float


def split_name(name: str) -> SplitName | None:
    """What `name` means, None where it is no such pair's."""
    for form in FORMS:
        if match := form.fullmatch(name):
            number = match.groupdict().get("expert")
            leaf = LEAVES.get(match["leaf"], match["leaf"])
            return SplitName(match["module"], leaf, None if number is None else int(number))
    return None


def same_form(names: Iterable[str], modules: Sequence[str], num_experts: int) -> list[str]:
    """Every name that a file with `names` could have, in these experts modules."""
    kinds = {
        (name.replace(split.module, "", 1), split.expert)
        for name in names
        if (split := split_name(name))
    }
    forms = {re.sub(r"\d+", "{}", tail, count=0 if number is None else 1) for tail, number in kinds}
    return [
        f"{module}{form.format(expert)}"
        for module in modules
        for form in sorted(forms)
        for expert in (range(num_experts) if "{}" in form else (0,))
    ]


def stacked(
    a: torch.Tensor, b: torch.Tensor, num_experts: int
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """(A [r, K], B [N, r]) of each expert of A [E, r, K] or [E·r, K] and B [E, N, r].

    One matrix in place of E is that of all. Raises ValueError for other shapes.
    """
    if b.dim() != 3 or a.dim() not in {2, 3}:
        raise ValueError("not stacked")
    if a.dim() == 2:
        a = a.reshape(num_experts, -1, a.shape[1])
    for factor in (a, b):
        if factor.shape[0] not in {1, num_experts}:
            raise ValueError("not one matrix an expert")
    yield from zip(a.expand(num_experts, -1, -1), b.expand(num_experts, -1, -1), strict=True)


def joined(pairs: Sequence[Pair]) -> tuple[list[int], torch.Tensor, torch.Tensor, float]:
    """(experts [n], A [n, r, K], B [n, N, r], scaling) of all pairs of one projection.

    Several of one expert (gate and up) stand below each other; r is the largest, the rest zeros.
    """
    import torch

    scaling = pairs[0].scaling
    experts = sorted({pair.expert for pair in pairs})
    ranks = {e: sum(len(pair.a) for pair in pairs if pair.expert == e) for e in experts}
    rank, wide = max(ranks.values()), [_both_rows(pair) for pair in pairs]
    a_nrK = torch.zeros(len(experts), rank, pairs[0].a.shape[1])
    b_nNr = torch.zeros(len(experts), wide[0].shape[0], rank)
    filled = dict.fromkeys(experts, 0)
    for pair, b_Nr in zip(pairs, wide, strict=True):
        at, first = experts.index(pair.expert), filled[pair.expert]
        end = filled[pair.expert] = first + len(pair.a)
        a_nrK[at, first:end] = pair.a
        b_nNr[at, :, first:end] = b_Nr * (pair.scaling / scaling)
    return experts, a_nrK, b_nNr, scaling


def _both_rows(pair: Pair) -> torch.Tensor:
    """B for gate and up interleaved, where the pair stands beside one of them."""
    if pair.leaf not in ROWS:
        return pair.b
    rows, rank = pair.b.shape
    both = pair.b.new_zeros(2 * rows, rank)
    both[ROWS[pair.leaf] :: 2] = pair.b
    return both

"""An adapter: parts that stand beside the resident model, under one name."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gptoss_magic.model.branches import ExpertLora, LinearLora, Part, RouterLora


@dataclass(eq=False)
class Adapter:
    """`config` is peft's adapter_config where it was read from `path`; both may be left empty.

    `notes`: lines on what its files say otherwise than they hold.

    Raises InputError where there is no part, or more than one soft prompt or prefix.
    """

    name: str
    parts: tuple[Part, ...]
    config: dict[str, Any] = field(default_factory=dict)
    path: str = ""
    notes: tuple[str, ...] = ()
    _digest: tuple[Any, str] = field(default=((), ""), init=False, repr=False)

    def __post_init__(self) -> None:
        from gptoss_magic.model.branches import Prefix, SoftPrompt

        soft = [part for part in self.parts if isinstance(part, (SoftPrompt, Prefix))]
        if not self.parts:
            raise InputError(f"adapter {self.name!r}: it has no parts")
        if len(soft) > 1:
            raise InputError(f"adapter {self.name!r}: at most one soft prompt or prefix")
        self.soft = soft[0] if soft else None

    @property
    def uid(self) -> str:
        """16 hex digits that follow the content: kinds, targets, scalings and numbers.

        Computed again after any in-place change that autograd counts (an optimizer's step).
        """
        seen = tuple((id(p), p._version) for part in self.parts for p in part.parameters())  # noqa: SLF001
        if self._digest[0] != seen:
            self._digest = seen, _digest(self.parts)
        return self._digest[1]

    @property
    def num_parameters(self) -> int:
        """How many numbers all parts have."""
        return sum(part.num_parameters for part in self.parts)

    @property
    def is_zero(self) -> bool:
        """True where each part's last factor is all zero, as before any training."""
        return all(not any(p.any() for p in _outer(part)) for part in self.parts)

    def describe(self) -> str:
        """Modules, experts and parameters in one line."""
        modules = [*_linears(self.parts), *_experts(self.parts), *_rest(self.parts)]
        return "; ".join([*modules, f"{_count(self.num_parameters)} parameters"])


def _outer(part: Part) -> list[Any]:
    """The parameters that make the part nothing where they are zero."""
    named = dict(part.named_parameters())
    return [named["b"]] if set(named) == {"a", "b"} else list(named.values())


def _place(part: Part) -> tuple[Any, ...]:
    keys = (getattr(part, "projection", ""), getattr(part, "expert", -1))
    return type(part).__name__, part.target, *keys


def _digest(parts: Sequence[Part]) -> str:
    whole = hashlib.sha256()
    for part in sorted(parts, key=_place):
        keys = ("target", "projection", "experts", "expert", "scaling")
        about = [type(part).__name__, *(getattr(part, key, None) for key in keys)]
        whole.update(repr(about).encode())
        for name, value in part.named_parameters():
            numbers = value.detach().cpu().float().contiguous().numpy()
            whole.update(f"{name}{numbers.shape}".encode())
            whole.update(numbers.tobytes())
    return whole.hexdigest()[:16]


def _linears(parts: Sequence[Part]) -> Iterator[str]:
    """`LoRA r=8 on 24 × q_proj, 24 × v_proj`, by rank."""
    from gptoss_magic.model.branches import LinearLora, RouterLora

    found: dict[int, Counter[str]] = {}
    for part in parts:
        if isinstance(part, (LinearLora, RouterLora)):
            found.setdefault(_rank(part), Counter())[part.target.rpartition(".")[2]] += 1
    for rank, leaves in found.items():
        on = ", ".join(f"{count} × {leaf}" for leaf, count in leaves.items())
        yield f"LoRA r={rank} on {on}"


def _experts(parts: Sequence[Part]) -> Iterator[str]:
    """`LoRA r=4 on 37 experts in 12 layers (gate_up_proj, down_proj)`."""
    from gptoss_magic.model.branches import ExpertLora

    lora = [part for part in parts if isinstance(part, ExpertLora)]
    if not lora:
        return
    ranks = sorted({_rank(part) for part in lora})
    experts = {(part.target, expert) for part in lora for expert in part.experts}
    layers = len({target for target, _ in experts})
    names = ", ".join(dict.fromkeys(part.projection for part in lora))
    span = f"r={ranks[0]}" if len(ranks) == 1 else f"r={ranks[0]} to {ranks[-1]}"
    yield f"LoRA {span} on {_many(len(experts), 'expert')} in {_many(layers, 'layer')} ({names})"


def _rest(parts: Sequence[Part]) -> Iterator[str]:
    from gptoss_magic.model.branches import ExpertWeights, Prefix, RouterDelta, SoftPrompt

    routers = sum(isinstance(part, RouterDelta) for part in parts)
    full = [part for part in parts if isinstance(part, ExpertWeights)]
    if routers:
        yield f"{_many(routers, 'router')} in full"
    if full:
        layers = len({part.target for part in full})
        yield f"{_many(len(full), 'expert')} in full in {_many(layers, 'layer')}"
    for part in parts:
        if isinstance(part, SoftPrompt):
            yield f"soft prompt of {_many(len(part), 'virtual token')}"
        if isinstance(part, Prefix):
            layers = part.states.shape[0]
            yield f"prefix of {_many(len(part), 'position')} in {_many(layers, 'layer')}"


def _rank(part: LinearLora | RouterLora | ExpertLora) -> int:
    return part.a.shape[-2]


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _count(number: int) -> str:
    for size, unit in ((10**9, "B"), (10**6, "M"), (10**3, "k")):
        if number >= size:
            return f"{number / size:.1f} {unit}"
    return str(number)

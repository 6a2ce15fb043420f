"""An adapter: parts that stand beside the resident model, under one name."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gptoss_magic.model.parts import Part

TOLD_APART = ("projection", "experts", "expert", "scaling")


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
        soft = [part for part in self.parts if part.is_soft]
        if not self.parts:
            raise InputError(f"adapter {self.name!r}: it has no parts; give one at least")
        if len(soft) > 1:
            raise InputError(
                f"adapter {self.name!r}: at most one soft prompt or prefix; write them as two "
                "adapters"
            )
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
        return all(not any(p.any() for p in part.outer) for part in self.parts)

    def describe(self) -> str:
        """Modules, experts and parameters in one line."""
        from gptoss_magic.model.parts import summaries

        return "; ".join([*summaries(self.parts), f"{_count(self.num_parameters)} parameters"])


def _place(part: Part) -> tuple[Any, ...]:
    settings = part.settings
    keys = (settings.get("projection", ""), settings.get("expert", -1))
    return type(part).__name__, part.target, *keys


def _digest(parts: Sequence[Part]) -> str:
    whole = hashlib.sha256()
    for part in sorted(parts, key=_place):
        settings = [part.settings.get(name) for name in TOLD_APART]
        about = [type(part).__name__, part.target, *settings]
        whole.update(repr(about).encode())
        for name, value in part.named_parameters():
            numbers = value.detach().cpu().float().contiguous().numpy()
            whole.update(f"{name}{numbers.shape}".encode())
            whole.update(numbers.tobytes())
    return whole.hexdigest()[:16]


def _count(number: int) -> str:
    for size, unit in ((10**9, "B"), (10**6, "M"), (10**3, "k")):
        if number >= size:
            return f"{number / size:.1f} {unit}"
    return str(number)

"""Adapters that are resident beside one model; each generation says which stand beside it."""

from __future__ import annotations

import math
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptoss_magic.adapters.merge import NO_MXFP4, export_merged
from gptoss_magic.adapters.read import read_adapter
from gptoss_magic.adapters.shelved import Active, Attached, ShelvedAdapter
from gptoss_magic.adapters.write import has_full_experts, write_adapter
from gptoss_magic.errors import InputError
from gptoss_magic.vocabulary import BARE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from gptoss_magic.adapters.adapter import Adapter
    from gptoss_magic.model.parts import Part
    from gptoss_magic.model.protocol import Model
    from gptoss_magic.records.provenance import AdapterRecord


class Shelf:
    """`probe` [T] are the token ids on which an attach looks for a change.

    `on_switch` is told whenever others stand beside the model. `default`: the names that a
    generation uses where it asks for none.
    """

    def __init__(
        self,
        model: Model,
        probe: Sequence[int],
        on_switch: Callable[[Active], None] = lambda active: None,
    ) -> None:
        self.model, self.probe, self.on_switch = model, tuple(probe), on_switch
        self.held: dict[str, ShelvedAdapter] = {}
        self.default: tuple[str, ...] = ()
        self._beside: tuple[str, ...] = ()
        self._removes: list[Callable[[], None]] = []

    @property
    def names(self) -> tuple[str, ...]:
        """Of all that are attached."""
        return tuple(self.held)

    def attach(self, path: str | Path, name: str = "", scale: float = 1.0) -> Attached:
        """Read an adapter and keep it under `name` (its directory's name). Not yet used."""
        return self.add(read_adapter(path, self.model, name), scale)

    def add(self, adapter: Adapter, scale: float = 1.0) -> Attached:
        """Keep an adapter that was made here. Raises InputError where the name is taken."""
        name = adapter.name
        if not name or name in BARE or any(letter.isspace() for letter in name):
            raise InputError(f"{name!r} cannot name an adapter: give one word, by --as NAME")
        if name in self.held:
            raise InputError(
                f"{name} is attached already: detach it, or choose a name by --as NAME"
            )
        self.held[name] = ShelvedAdapter(adapter, _checked(scale))
        try:
            return Attached(adapter, self._change(name))
        except BaseException:
            del self.held[name]
            raise

    def detach(self, name: str) -> None:
        """Forget an adapter; prompts no longer use it."""
        self._find(name)
        del self.held[name]
        self.default = tuple(kept for kept in self.default if kept != name)

    def use(self, names: Sequence[str]) -> None:
        """Let generations use these adapters by default; none of them: the bare base."""
        self.default = self.chosen(names)

    def rescale(self, name: str, scale: float) -> None:
        """Let an adapter count `scale` times as much as it was trained to."""
        resident, scale = self._find(name), _checked(scale)
        if resident.adapter.soft is not None and scale != 1:
            raise InputError(
                f"{name}: a soft prompt or prefix is there or not; it has no scale: leave :SCALE "
                "out"
            )
        resident.scale = scale

    def chosen(self, names: Sequence[str] | None) -> tuple[str, ...]:
        """Names of attached adapters; None is the default, 'none' alone the bare base.

        Raises InputError for unknown names, two soft prompts, or one expert replaced twice.
        """
        if names is None:
            return self.default
        if any(name in BARE for name in names):
            if len(names) > 1:
                raise InputError("none: the bare base; leave the other names out")
            return ()
        found = [self._find(name).adapter for name in dict.fromkeys(names)]
        soft = [adapter.name for adapter in found if adapter.soft is not None]
        if len(soft) > 1:
            raise InputError(
                f"{' and '.join(soft)}: at most one soft prompt or prefix at a time; leave the "
                "others out"
            )
        _check_full_experts(found)
        return tuple(adapter.name for adapter in found)

    def records(self, names: Sequence[str] | None = None) -> list[AdapterRecord]:
        """For a provenance: what `active(names)` will put beside the model."""
        return [self.held[name].record() for name in self.chosen(names)]

    def num_virtual(self, names: Sequence[str]) -> int:
        """Positions that these put in front of every prompt."""
        return self._active(self.chosen(names)).num_virtual

    @contextmanager
    def active(self, names: Sequence[str] | None = None) -> Iterator[Active]:
        """Within, these adapters (None: the default) stand beside the model, and no others."""
        inside, outside = self.chosen(names), self._beside
        try:
            self._switch(inside)
            yield self._active(inside)
        finally:
            self._switch(outside)

    def _active(self, names: tuple[str, ...]) -> Active:
        held = [self.held[name] for name in names]
        soft = next((r.adapter.soft for r in held if r.adapter.soft is not None), None)
        key = ", ".join(f"{r.adapter.uid} x {r.scale!r}" for r in held)
        return Active(names, key, soft, tuple(r.record() for r in held))

    def _switch(self, names: tuple[str, ...]) -> None:
        """Take away what stands beside the model; put the parts of `names` there."""
        self._beside = ()
        while self._removes:
            with suppress(ValueError):  # an interrupt came between this and the next line
                self._removes[-1]()
            self._removes.pop()
        for part, scale in self._parts([self.held[name] for name in names if name in self.held]):
            part.scale = scale
            self._removes.append(part.attach(self.model))
        self._beside = tuple(name for name in names if name in self.held)
        self.on_switch(self._active(self._beside))

    def _parts(self, residents: Sequence[ShelvedAdapter]) -> list[tuple[Part, float]]:
        """Experts in full come first: what is added to an expert's output comes after it."""
        pairs = [(part, r.scale) for r in residents for part in r.adapter.parts]
        return sorted(pairs, key=lambda pair: not pair[0].replaced_experts)

    def _change(self, name: str) -> float:
        """The largest |difference| of a logit at the adapter's scale from scale 0."""
        with self.active((name,)) as active:
            beside = self._logits(active.soft)
            for part in self.held[name].adapter.parts:
                part.scale = 0.0  # the same path through the kernels, so the same rounding
            return float((beside - self._logits(None)).abs().max())

    def _logits(self, soft: Any) -> Any:
        """[T, V] of the probe text, fp32."""
        import torch

        from gptoss_magic.model.given_cache import given_cache
        from gptoss_magic.model.kv_cache import KVCache

        ids = torch.tensor([self.probe], device=self.model.device)
        cache = KVCache(self.model.config)
        with torch.no_grad():
            if soft is not None:
                soft.fill(self.model, cache)
            return self.model(ids, **given_cache(cache), use_cache=True).logits[0].float()

    def _find(self, name: str) -> ShelvedAdapter:
        if name not in self.held:
            known = ", ".join(self.held) or "none"
            raise InputError(
                f"{name}: no such adapter; attached: {known}; %gptoss lora attach PATH adds one"
            )
        return self.held[name]

    def export(self, name: str, path: str | Path, base_model_name: str = "") -> Path:
        """Write an adapter, as trained, as a directory that plain peft loads.

        Raises InputError where peft's format has no place for it or something is at `path`.
        """
        adapter, target = self._find(name).adapter, Path(path).expanduser()
        if has_full_experts(adapter):
            raise InputError(
                f"{name} has experts in full precision, which peft's format cannot hold: export "
                "the whole model by --merged"
            )
        if target.exists():
            raise InputError(f"{target}: is there already; give a new directory")
        return write_adapter(adapter, self.model, target, base_model_name=base_model_name)

    def export_merged(
        self,
        names: Sequence[str],
        tokenizer: Any,
        path: str | Path,
        progress: Callable[[int, int, str], None] = lambda done, total, note: None,
    ) -> Path:
        """Write the model with these adapters merged at their scales; see `merge`."""
        found = [self.held[name] for name in self.chosen(names)]
        chosen = [(resident.adapter, resident.scale) for resident in found]
        return export_merged(chosen, self.model, tokenizer, path, progress)

    @property
    def no_mxfp4(self) -> str:
        """Why nothing is merged into packed weights."""
        return NO_MXFP4

    def status(self) -> str:
        """Names and scales; `*` marks those in use by default."""
        return (
            ", ".join(
                f"{name}{'*' if name in self.default else ''}"
                + (f" x {held.scale:g}" if held.scale != 1 else "")
                for name, held in self.held.items()
            )
            or "none"
        )


def _checked(scale: float) -> float:
    if not math.isfinite(scale):
        raise InputError(f"scale {scale}: give a number")
    return scale


def _check_full_experts(adapters: Sequence[Adapter]) -> None:
    seen: dict[tuple[str, int], str] = {}
    for adapter in adapters:
        for part in adapter.parts:
            for expert in part.replaced_experts:
                other = seen.setdefault((part.target, expert), adapter.name)
                if other != adapter.name:
                    raise InputError(
                        f"{other} and {adapter.name} both replace {part.target}, expert {expert}: "
                        "use one of them"
                    )

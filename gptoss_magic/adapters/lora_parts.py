"""Tensors of a LoRA or AdaLoRA adapter to parts beside the modules that they name.

Legend: E experts, H hidden size, I intermediate size, K in, N out, r rank.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from gptoss_magic.adapters.layout import CONFIG, experts_from_peft, scaling_of, targeted
from gptoss_magic.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import torch

    from gptoss_magic.model.branches import Part

    Factors = dict[str, torch.Tensor]

FACTOR = re.compile(r"([\w.]+?)((?:\.base_layer)*)\.lora_([ABE])(?:\.weight)?")
OWN_EXPERT = re.compile(r"([\w.]+)\.(\d+)\.((?:gate_up|down)_proj(?:_bias)?)")
SHOWN = 3


class LoraReader:
    """`own`: our JSON beside peft's files, `extra`: our tensors; both may be empty."""

    def __init__(
        self, model: Any, config: Mapping[str, Any], own: Mapping[str, Any], extra: Factors
    ) -> None:
        self.model, self.config, self.own, self.extra = model, config, own, extra
        self.modules = dict(model.named_modules())
        self.strays: list[str] = []

    def parts(self, tensors: Factors) -> list[Part]:
        """All parts, in the model's order.

        Raises CheckpointError for names and shapes that match nothing.
        """
        factors: dict[str, dict[int, Factors]] = {}
        whole: dict[str, Factors] = {}
        for key, tensor in tensors.items():
            found = FACTOR.fullmatch(key)
            module, _, leaf = key.rpartition(".")
            if found:
                level = factors.setdefault(found[1], {}).setdefault(found[2].count("."), {})
                level[found[3]] = tensor
            elif self._is_router(module) and leaf in ("weight", "bias"):
                whole.setdefault(module, {})[leaf] = tensor
            elif not self._is_the_models(key, tensor):
                self.strays.append(key)
        made = [part for name, levels in factors.items() for part in self._beside(name, levels)]
        made += [self._router(name, pair) for name, pair in whole.items()]
        made += self._experts_in_full()
        self._refuse_strays(len(tensors))
        order = {name: number for number, name in enumerate(self.modules)}
        return sorted(made, key=lambda part: order[part.target])

    def _refuse_strays(self, total: int) -> None:
        if not self.strays:
            return
        more = f" and {len(self.strays) - SHOWN} more" if len(self.strays) > SHOWN else ""
        names = ", ".join(self.strays[:SHOWN])
        raise CheckpointError(
            f"{len(self.strays)} of {total} tensors match nothing that can be attached to this "
            f"model: {names}{more}"
        )

    def _is_router(self, name: str) -> bool:
        from gptoss_magic.model.router import ResidentRouter

        return isinstance(self.modules.get(name), ResidentRouter)

    def _is_the_models(self, key: str, tensor: torch.Tensor) -> bool:
        """True for a copy of a base weight that peft saves beside embeddings."""
        name, _, leaf = key.replace(".base_layer.", ".").rpartition(".")
        held = getattr(self.modules.get(name), leaf, None)
        same = held is not None and held.shape == tensor.shape
        return same and bool((held.float().cpu() == tensor).all())  # type: ignore[union-attr]

    def _beside(self, name: str, levels: dict[int, Factors]) -> Iterator[Part]:
        """Parts beside one module; deeper levels of peft's nest come first."""
        from torch import nn

        module = self.modules.get(name)
        ordered = [levels[depth] for depth in sorted(levels, reverse=True)]
        if hasattr(module, "taps"):
            yield from self._experts(name, ordered)
        elif len(ordered) == 1 and (isinstance(module, nn.Linear) or self._is_router(name)):
            yield from self._linear(name, module, ordered[0])
        else:
            self.strays += [f"{name}.lora_{kind}" for level in ordered for kind in level]

    def _linear(self, name: str, module: Any, factors: Factors) -> Iterator[Part]:
        from gptoss_magic.model.branches import LinearLora, RouterLora

        router = self._is_router(name)
        rows, columns = module.weight.shape
        if not self._fits(name, factors, rows, columns):
            return
        a_rK, b_Nr = factors["A"], factors["B"]
        if not len(a_rK) or name in self.own.get("zeros", ()):
            return  # all of AdaLoRA's ranks were pruned; or it stands there for peft alone
        if "E" in factors:
            a_rK = a_rK * factors["E"]
            start = self.config.get("init_r", 12)  # peft divides by the rank at the start
            alpha = self.config.get("lora_alpha", 8)
            scaling = (alpha if alpha > 0 else float(start)) / (start + 1e-5)
        else:
            scaling = self._scaling(f"{name}.weight" if router else name, len(a_rK))
        kind, device = RouterLora if router else LinearLora, module.weight.device
        yield kind(name, a_rK.to(device), b_Nr.to(device), scaling)

    def _scaling(self, key: str, rank: int) -> float:
        exact = self.own.get("scalings", {}).get(key)
        return scaling_of(self.config, key, rank) if exact is None else float(exact)

    def _fits(self, name: str, factors: Factors, rows: int, columns: int, experts: int = 1) -> bool:
        """True where A is [r·E, columns] and B [rows, r·E]; else the shapes are strays."""
        wanted = {"A", "B", "E"} if self.config["peft_type"] == "ADALORA" else {"A", "B"}
        if set(factors) != wanted or any(t.dim() != 2 for t in factors.values()):
            self.strays += [f"{name}.lora_{kind}" for kind in factors]
            return False
        a, b = factors["A"], factors["B"]
        right = a.shape[1] == columns and b.shape[0] == rows and len(a) == b.shape[1]
        right &= len(a) % experts == 0 and (experts == 1 or len(a) > 0)
        if "E" in factors:
            right &= factors["E"].shape == (len(a), 1)
        if not right:
            shapes = f"A {list(a.shape)}, B {list(b.shape)}"
            self.strays.append(f"{name} ({shapes} where it takes {columns} in and {rows} out)")
        return right

    def _experts(self, name: str, levels: Sequence[Factors]) -> Iterator[Part]:
        from gptoss_magic.model.branches import PROJECTIONS

        asked = self.config.get("target_parameters") or []
        names = [p for p in PROJECTIONS if targeted(asked, f"{name}.{p}")]
        if len(names) != len(levels):
            raise CheckpointError(
                f"{name}: {len(levels)} projections in the tensors, {len(names)} in "
                f"target_parameters of {CONFIG}"
            )
        config = self.model.config
        experts, hidden, inner = (
            config.num_local_experts,
            config.hidden_size,
            config.intermediate_size,
        )
        shapes = {"gate_up_proj": (2 * inner, hidden), "down_proj": (hidden, inner)}
        for projection, factors in zip(names, levels, strict=True):
            if self._fits(f"{name}.{projection}", factors, *shapes[projection], experts):
                yield self._expert_lora(name, projection, factors, experts)

    def _expert_lora(self, name: str, projection: str, factors: Factors, experts: int) -> Part:
        from gptoss_magic.model.branches import ExpertLora

        key = f"{name}.{projection}"
        a_ErK, b_ENr = experts_from_peft(factors["A"], factors["B"], experts)
        chosen = self.own.get("experts", {}).get(key, list(range(experts)))
        if not chosen or sorted(set(chosen)) != chosen or not set(chosen) <= set(range(experts)):
            raise CheckpointError(f"{key}: experts {chosen} where there are 0 to {experts - 1}")
        rest = sorted(set(range(experts)) - set(chosen))
        if a_ErK[rest].any() or b_ENr[rest].any():
            raise CheckpointError(f"{key}: experts that are not listed have numbers: mixed files")
        device = next(self.modules[name].parameters()).device
        pair = a_ErK[chosen].to(device), b_ENr[chosen].to(device)
        return ExpertLora(name, projection, chosen, pair, self._scaling(key, a_ErK.shape[1]))

    def _router(self, name: str, pair: Factors) -> Part:
        """A router in full, as its difference from the base model's."""
        from gptoss_magic.model.branches import RouterDelta

        module, deltas = self.modules[name], []
        for leaf in ("weight", "bias"):
            base, trained = getattr(module, leaf).float(), pair.get(leaf)
            if trained is None or trained.shape != base.shape:
                raise CheckpointError(f"{name}.{leaf}: takes {list(base.shape)}, as this model")
            trained, exact = trained.to(base.device), self.extra.get(f"{name}.{leaf}")
            delta = trained - base
            if exact is not None and exact.shape == base.shape:
                kept = exact.to(base.device)
                delta = kept if bool((base + kept == trained).all()) else delta
            deltas.append(delta)
        return RouterDelta(name, *deltas)

    def _experts_in_full(self) -> Iterator[Part]:
        """Experts in full precision, from our own file."""
        from gptoss_magic.model.branches import ExpertWeights

        found: dict[tuple[str, int], Factors] = {}
        for key, tensor in self.extra.items():
            place = OWN_EXPERT.fullmatch(key)
            if place:
                found.setdefault((place[1], int(place[2])), {})[place[3]] = tensor
        config = self.model.config
        hidden, inner = config.hidden_size, config.intermediate_size
        wanted = {"gate_up_proj": (2 * inner, hidden), "gate_up_proj_bias": (2 * inner,)}
        wanted |= {"down_proj": (hidden, inner), "down_proj_bias": (hidden,)}
        for (name, expert), weights in found.items():
            module = self.modules.get(name)
            shapes = {key: tuple(tensor.shape) for key, tensor in weights.items()}
            if not hasattr(module, "taps") or shapes != wanted:
                raise CheckpointError(f"{name}.{expert}: no such expert, or of another model")
            if expert >= config.num_local_experts:
                raise CheckpointError(
                    f"{name}.{expert}: experts end at {config.num_local_experts - 1}"
                )
            device = next(module.parameters()).device  # type: ignore[union-attr]
            yield ExpertWeights(name, expert, {k: t.to(device) for k, t in weights.items()})

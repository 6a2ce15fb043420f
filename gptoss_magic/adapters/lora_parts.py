"""Tensors of a LoRA or AdaLoRA adapter to parts beside the modules that they name.

Legend: E experts, H hidden size, I intermediate size, K in, N out, r rank.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from gptoss_magic.adapters.layout import CONFIG, scaling_of, targeted
from gptoss_magic.adapters.split_experts import Pair, joined, same_form, split_name, stacked
from gptoss_magic.adapters.targets import Targets, check_types
from gptoss_magic.errors import CheckpointError
from gptoss_magic.model.peft_layout import experts_from_peft

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    import torch

    from gptoss_magic.adapters.split_experts import SplitName
    from gptoss_magic.model.parts import Part
    from gptoss_magic.model.protocol import Model

    Factors = dict[str, torch.Tensor]

FACTOR = re.compile(r"([\w.]+?)((?:\.base_layer)*)\.lora_([ABE])(?:\.weight)?")
OWN_EXPERT = re.compile(r"([\w.]+)\.(\d+)\.((?:gate_up|down)_proj(?:_bias)?)")
SHOWN = 3


class LoraReader:
    """`own`: our JSON beside peft's files, `extra`: our tensors; both may be empty."""

    def __init__(
        self, model: Model, config: Mapping[str, Any], own: Mapping[str, Any], extra: Factors
    ) -> None:
        from gptoss_magic.model.parts import lora_kinds

        self.model, self.config, self.own, self.extra = model, config, own, extra
        self.modules = dict(model.named_modules())
        self.kinds = lora_kinds(model)
        self.strays: list[str] = []
        self.present: set[str] = set()
        self.halves: list[str] = []
        self.notes: list[str] = []

    def parts(self, tensors: Factors) -> list[Part]:
        """All parts, in the model's order; `notes` says what the config names and the file lacks.

        Raises CheckpointError for names and shapes that match nothing, and where the config names
        less than the file has.
        """
        check_types(self.config)
        factors: dict[str, dict[int, Factors]] = {}
        whole: dict[str, Factors] = {}
        for key, tensor in tensors.items():
            match = FACTOR.fullmatch(key)
            module, _, leaf = key.rpartition(".")
            if match:
                level = factors.setdefault(match[1], {}).setdefault(match[2].count("."), {})
                level[match[3]] = tensor
            elif self._is_router(module) and leaf in ("weight", "bias"):
                whole.setdefault(module, {})[leaf] = tensor
            elif not self._is_the_models(key, tensor):
                self.strays.append(key)
        split = {name: levels for name, levels in factors.items() if split_name(name)}
        together = [item for item in factors.items() if item[0] not in split]
        parts = [part for name, levels in together for part in self._beside(name, levels)]
        parts += self._split_experts({name: levels[0] for name, levels in split.items()})
        parts += [self._router(name, pair) for name, pair in whole.items()]
        parts += self._experts_in_full()
        self._refuse_strays(len(tensors))
        self._compare_with_config(split, {key.rpartition(".")[0] for key in tensors})
        order = {name: number for number, name in enumerate(self.modules)}
        return sorted(parts, key=lambda part: order[part.target])

    def _compare_with_config(self, split: Collection[str], whole: Collection[str]) -> None:
        """Hold what is there against what adapter_config.json names."""
        from gptoss_magic.model.parts import PROJECTIONS, ExpertLora, LinearLora, RouterLora

        linears, experts, routers = (
            [name for name, kind in self.kinds.items() if kind is wanted]
            for wanted in (LinearLora, ExpertLora, RouterLora)
        )
        apart = same_form(split, experts, self.model.config.num_local_experts)
        parameters = [f"{name}.{projection}" for name in experts for projection in PROJECTIONS]
        parameters += [f"{name}.weight" for name in routers]
        targets = Targets(self.config, [*linears, *apart], parameters, [*linears, *routers])
        targets.check_present(self.present & set(linears), whole)
        self.notes += targets.notes(self.present)
        if self.halves:
            self.notes.append(f"lora_A without lora_B at {', '.join(self.halves[:SHOWN])}: nothing")

    def _refuse_strays(self, total: int) -> None:
        if not self.strays:
            return
        more = f" and {len(self.strays) - SHOWN} more" if len(self.strays) > SHOWN else ""
        names = ", ".join(self.strays[:SHOWN])
        raise CheckpointError(
            f"{len(self.strays)} of {total} tensors match nothing that can be attached to this "
            f"model: {names}{more}; load the model that it was made for"
        )

    def _is_router(self, name: str) -> bool:
        from gptoss_magic.model.parts import RouterLora

        return self.kinds.get(name) is RouterLora

    def _is_experts(self, name: str) -> bool:
        from gptoss_magic.model.parts import ExpertLora

        return self.kinds.get(name) is ExpertLora

    def _is_the_models(self, key: str, tensor: torch.Tensor) -> bool:
        """True for a copy of a base weight that peft saves beside embeddings."""
        name, _, leaf = key.replace(".base_layer.", ".").rpartition(".")
        held = getattr(self.modules.get(name), leaf, None)
        same = held is not None and held.shape == tensor.shape
        return same and bool((held.float().cpu() == tensor).all())  # type: ignore[union-attr]

    def _beside(self, name: str, levels: dict[int, Factors]) -> Iterator[Part]:
        """Parts beside one module; peft nests one of experts in the other."""
        if self._is_experts(name):
            yield from self._experts(name, levels)
        elif set(levels) == {0} and name in self.kinds:
            yield from self._linear(name, levels[0])
        else:
            self.strays += [f"{name}.lora_{kind}" for level in levels.values() for kind in level]

    def _linear(self, name: str, factors: Factors) -> Iterator[Part]:
        """The part beside one linear or router."""
        kind, weight = self.kinds[name], self.modules[name].weight
        rows, columns = weight.shape
        key = kind.key_of(name)
        if not self._fits(name, factors, rows, columns):
            return
        self.present.add(key)
        a_rK, b_Nr = factors["A"], factors["B"]
        if not len(a_rK) or name in self.own.get("zeros", ()):
            return  # all of AdaLoRA's ranks were pruned; or it stands there for peft alone
        if "E" in factors:
            a_rK = a_rK * factors["E"]
            start = self.config.get("init_r", 12)  # peft divides by the rank at the start
            alpha = self.config.get("lora_alpha", 8)
            scaling = (alpha if alpha > 0 else float(start)) / (start + 1e-5)
        else:
            scaling = self._scaling(key, len(a_rK))
        yield kind(name, a_rK, b_Nr, scaling).to(weight.device)

    def _scaling(self, key: str, rank: int) -> float:
        exact = self.own.get("scalings", {}).get(key)
        return scaling_of(self.config, key, rank) if exact is None else float(exact)

    def _fits(self, name: str, factors: Factors, rows: int, columns: int, experts: int = 1) -> bool:
        """True where A is [r·E, columns] and B [rows, r·E]; else the shapes are strays."""
        if set(factors) == {"B"}:
            raise CheckpointError(
                f"{name}: lora_B without lora_A: an incomplete file; get the adapter again"
            )
        if set(factors) == {"A"}:
            self.halves.append(name)
            return False
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

    def _experts(self, name: str, levels: dict[int, Factors]) -> Iterator[Part]:
        from gptoss_magic.model.parts import PROJECTIONS

        asked = self.config.get("target_parameters") or []
        names = [p for p in PROJECTIONS if targeted(asked, f"{name}.{p}")]
        places = dict(enumerate(reversed(names)))  # gate_up_proj is the inner one of two
        if not set(levels) <= set(places):
            raise CheckpointError(
                f"{name}: {len(levels)} projections in the tensors, {len(names)} in "
                f"target_parameters of {CONFIG}; get the adapter again"
            )
        experts = self.model.config.num_local_experts
        for depth in sorted(levels, reverse=True):
            key = f"{name}.{places[depth]}"
            rows, columns = self._shape(places[depth])
            if self._fits(key, levels[depth], rows, columns, experts):
                self.present.add(key)
                yield self._expert_lora(name, places[depth], levels[depth], experts)

    def _shape(self, projection: str) -> tuple[int, int]:
        """(rows out, columns in) of an expert's matrix."""
        hidden, inner = self.model.config.hidden_size, self.model.config.intermediate_size
        return (hidden, inner) if projection == "down_proj" else (2 * inner, hidden)

    def _split_experts(self, factors: dict[str, Factors]) -> Iterator[Part]:
        """Experts that stand apart in the file, together by projection."""
        from gptoss_magic.model.parts import ExpertLora

        together: dict[tuple[str, str], list[Pair]] = {}
        for key, pair in factors.items():
            name = split_name(key)
            assert name is not None
            if not self._is_experts(name.module):
                self.strays += [f"{key}.lora_{kind}" for kind in pair]
                continue
            together.setdefault((name.module, name.projection), []).extend(
                self._pairs(key, name, pair)
            )
        for (module, projection), pairs in together.items():
            if pairs:
                experts, a_nrK, b_nNr, scaling = joined(pairs)
                part = ExpertLora(module, projection, experts, (a_nrK, b_nNr), scaling)
                yield part.to(self._device(module))

    def _pairs(self, key: str, name: SplitName, factors: Factors) -> Iterator[Pair]:
        """The pairs of one name of the file: one expert's, or all that are stacked."""
        config, (rows, columns) = self.model.config, name.shape(self.model.config)
        if set(factors) == {"A", "B"} and name.expert is None:
            try:
                every = list(stacked(factors["A"], factors["B"], config.num_local_experts))
            except (ValueError, RuntimeError):
                self.strays += [f"{key}.lora_{k} {list(t.shape)}" for k, t in factors.items()]
                return
        else:
            every = [(factors.get("A"), factors.get("B"))]  # type: ignore[list-item]
        for number, (a_rK, b_Nr) in enumerate(every):
            expert = number if name.expert is None else name.expert
            pair = {k: t for k, t in (("A", a_rK), ("B", b_Nr)) if t is not None}
            if expert >= config.num_local_experts:
                self.strays += [f"{key}.lora_{kind}" for kind in pair]
            elif self._fits(key, pair, rows, columns):
                self.present.add(key)
                scaling = self._scaling(key, len(pair["A"]))
                yield Pair(name.leaf, expert, pair["A"], pair["B"], scaling)

    def _expert_lora(self, name: str, projection: str, factors: Factors, experts: int) -> Part:
        from gptoss_magic.model.parts import ExpertLora

        key = f"{name}.{projection}"
        a_ErK, b_ENr = experts_from_peft(factors["A"], factors["B"], experts)
        chosen = self.own.get("experts", {}).get(key, list(range(experts)))
        if not chosen or sorted(set(chosen)) != chosen or not set(chosen) <= set(range(experts)):
            raise CheckpointError(
                f"{key}: experts {chosen} where there are 0 to {experts - 1}; load the model that "
                "it was made for"
            )
        rest = sorted(set(range(experts)) - set(chosen))
        if a_ErK[rest].any() or b_ENr[rest].any():
            raise CheckpointError(
                f"{key}: experts that are not listed have numbers: mixed files; get the adapter "
                "again"
            )
        pair, scaling = (a_ErK[chosen], b_ENr[chosen]), self._scaling(key, a_ErK.shape[1])
        return ExpertLora(name, projection, chosen, pair, scaling).to(self._device(name))

    def _device(self, name: str) -> Any:
        return next(self.modules[name].parameters()).device

    def _router(self, name: str, pair: Factors) -> Part:
        """A router in full, as its difference from the base model's."""
        from gptoss_magic.model.parts import RouterDelta

        module, deltas = self.modules[name], []
        for leaf in ("weight", "bias"):
            base, trained = getattr(module, leaf).float(), pair.get(leaf)
            if trained is None or trained.shape != base.shape:
                raise CheckpointError(
                    f"{name}.{leaf}: takes {list(base.shape)}, as this model: load the model that "
                    "it was made for"
                )
            trained, exact = trained.to(base.device), self.extra.get(f"{name}.{leaf}")
            delta = trained - base
            if exact is not None and exact.shape == base.shape:
                kept = exact.to(base.device)
                delta = kept if bool((base + kept == trained).all()) else delta
            deltas.append(delta)
        return RouterDelta(name, *deltas)

    def _experts_in_full(self) -> Iterator[Part]:
        """Experts in full precision, from our own file."""
        from gptoss_magic.model.parts import ExpertWeights

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
            shapes = {key: tuple(tensor.shape) for key, tensor in weights.items()}
            if not self._is_experts(name) or shapes != wanted:
                raise CheckpointError(
                    f"{name}.{expert}: no such expert, or of another model; load the model that "
                    "it was made for"
                )
            if expert >= config.num_local_experts:
                raise CheckpointError(
                    f"{name}.{expert}: experts end at {config.num_local_experts - 1}; load the "
                    "model that it was made for"
                )
            yield ExpertWeights(name, expert, weights).to(self._device(name))

"""LoRA on chosen attention heads: the query's rows and the output's columns of each (`HeadLora`).

A head's importance is |∂loss/∂ξ| of a gate ξ on its output (Michel et al., arXiv 1905.10650).
"""

from __future__ import annotations

from collections import defaultdict
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError
from gptoss_magic.tuning.loss import sequence_loss
from gptoss_magic.tuning.methods import lora
from gptoss_magic.tuning.methods.method import AxolotlWords, LadderRung, Method, Sizes, counts
from gptoss_magic.tuning.settings import option
from gptoss_magic.tuning.shapes import projections

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import torch

    from gptoss_magic.model.protocol import Model
    from gptoss_magic.records import Example
    from gptoss_magic.tuning.methods.context import Context
    from gptoss_magic.tuning.methods.method import Config, Counts

MOST_SEQUENCES = 4  # that the importance is measured on
NAMES = ("q_proj", "o_proj")


@dataclass(frozen=True)
class HeadsSettings(lora.LoraSettings):
    """`num_heads`: attention heads in all. Raises InputError below 1."""

    name = "heads"
    num_heads: int = option(8, ("-H", "--heads"), "heads: so many attention heads in all")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.num_heads < 1:
            raise InputError(f"{self.num_heads} heads: give a number above 0")


def apply(model: Model, context: Context) -> list[Any]:
    """`HeadLora` on q_proj and o_proj of the layers that have a chosen head."""
    from gptoss_magic.tuning.methods.head_lora import HeadLora

    chosen: dict[int, list[int]] = defaultdict(list)
    for layer, head in chosen_heads(model, context):
        chosen[layer].append(head)
    plain = lora.attention_parts(model, context, sorted(chosen), NAMES)
    heads = [chosen[int(part.target.split(".")[2])] for part in plain]
    size = model.config.head_dim
    return [
        HeadLora(part.target, (part.a.data, part.b.data), part.scaling, of, size).to(model.device)
        for part, of in zip(plain, heads, strict=True)
    ]


def chosen_heads(model: Model, context: Context) -> list[tuple[int, int]]:
    """(layer, head) of the `num_heads` most important heads on the data."""
    wanted = context.settings.num_heads
    if not context.sequences:
        raise InputError("heads: there is no data to measure their importance on; give rows")
    scores_LA = head_scores(model, context.sequences[:MOST_SEQUENCES])
    if wanted > scores_LA.numel():
        raise InputError(f"{wanted} heads: the model has {scores_LA.numel()}; give fewer")
    places = scores_LA.flatten().topk(wanted).indices.tolist()
    return sorted(divmod(place, scores_LA.shape[1]) for place in places)


def head_scores(model: Model, sequences: Sequence[Sequence[Example]]) -> torch.Tensor:
    """[L, A]: mean |∂loss/∂gate| of each attention head over the sequences."""
    import torch

    config = model.config
    shape = (config.num_hidden_layers, config.num_attention_heads)
    total = torch.zeros(shape, device=model.device)
    for sequence in sequences:
        gates = torch.ones(shape, device=model.device, requires_grad=True)
        with ExitStack() as stack:
            for layer, gate in zip(model.get_decoder().layers, gates, strict=True):
                wide = gate.repeat_interleave(config.head_dim)
                hook = layer.self_attn.o_proj.register_forward_pre_hook(_gate(wide))
                stack.callback(hook.remove)
            (grads,) = torch.autograd.grad(sequence_loss(model, sequence), gates)
        total += grads.abs()
    return total / max(1, len(sequences))


def _gate(wide: Any) -> Any:
    return lambda _module, given: (given[0] * wide.to(given[0].dtype), *given[1:])


def _part(described: Mapping[str, Any], zeros: Mapping[str, Any]) -> Any:
    from gptoss_magic.tuning.methods.head_lora import HeadLora

    one, ab = described, (zeros["a"], zeros["b"])
    return HeadLora(one["target"], ab, one["scaling"], one["heads"], one["head_dim"])


def _numbers(config: Config, settings: HeadsSettings, _experts: Counts) -> int:
    """Each chosen head counts as in a layer of its own: an upper bound."""
    query, _, _, out = projections(config)
    layers: int = min(settings.num_heads, config["num_hidden_layers"])
    return layers * settings.rank * (sum(query) + sum(out))


def _branch_bytes(config: Config) -> int:
    return lora.branch_bytes(config, num_inputs=1)


METHOD = Method(
    name=HeadsSettings.name,
    help="LoRA on the attention heads that the rows need most",
    settings=HeadsSettings,
    apply=apply,
    sizes=Sizes(_numbers, _branch_bytes),
    rate=lora.RATE,
    parts={"HeadLora": _part},
    axolotl=AxolotlWords(NAMES, lost="heads: written as LoRA on every head of q_proj and o_proj"),
    ladder=(
        LadderRung(12, "heads", "LoRA on chosen heads", counts("num_heads", "h", "{} heads", 8, 2)),
    ),
)

"""What native/step.h asks for, as ctypes; each class has the fields of its struct, in its order.

They hold addresses: whoever makes one keeps what it points to alive.
"""

from __future__ import annotations

import ctypes
from ctypes import c_float, c_int32, c_int64, c_void_p
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gptoss_magic.model.protocol import Model


class Branch(ctypes.Structure):
    """LoRA beside one matrix, or beside some experts'."""

    _fields_ = (
        ("A", c_void_p),
        ("B", c_void_p),
        ("index", c_void_p),
        ("rank", c_int64),
        ("scaling", c_float),
    )


class Linear(ctypes.Structure):
    """A matrix, or one for each expert."""

    _fields_ = (
        ("W", c_void_p),
        ("bias", c_void_p),
        ("blocks", c_void_p),
        ("scales", c_void_p),
        ("N", c_int64),
        ("K", c_int64),
        ("branches", c_void_p),
        ("num_branches", c_int64),
    )


class StepLayer(ctypes.Structure):
    """One decoder layer."""

    _fields_ = (
        *((name, c_void_p) for name in ("input_norm", "post_norm", "sinks")),
        *((name, Linear) for name in ("q", "k", "v", "o", "router", "up", "down")),
        ("window", c_int64),
    )


class StepModel(ctypes.Structure):
    """The layer stack, embedding and head."""

    _fields_ = (
        ("layers", c_void_p),
        *(
            (name, c_int64)
            for name in (
                *("num_layers", "hidden", "heads", "groups", "size"),
                *("experts", "top_k", "inner", "is_wide"),
            )
        ),
        ("embedding", c_void_p),
        ("norm", c_void_p),
        ("head", Linear),
        *((name, c_float) for name in ("eps", "alpha", "limit", "scaling")),
    )


class StepCache(ctypes.Structure):
    """Keys and values of one row in one layer."""

    _fields_ = (("keys", c_void_p), ("values", c_void_p), ("group_step", c_int64))


class StepTokens(ctypes.Structure):
    """The new tokens, and where the results go."""

    _fields_ = (
        *((name, c_int64) for name in ("num_tokens", "num_rows", "num_logits")),
        *((name, c_void_p) for name in ("ids", "places", "first", "wanted")),
        *((name, c_void_p) for name in ("cosine", "sine", "cache")),
        *((name, c_void_p) for name in ("logits", "states", "experts", "weights")),
    )


def int64s(values: Sequence[int]) -> Any:
    """A C array of them."""
    return (c_int64 * len(values))(*values)


class Described:
    """`model`: a resident model with the LoRA `parts` beside it, as C reads it.

    The arrays that it points to live as long as this does; the tensors are the model's.
    """

    def __init__(self, model: Model, parts: Sequence[Any]) -> None:
        self._kept: list[Any] = []
        self._experts = model.config.num_local_experts
        self._branches: dict[tuple[int, str], list[Branch]] = {}
        for part in parts:
            key = (id(model.get_submodule(part.target)), getattr(part, "projection", ""))
            self._branches.setdefault(key, []).append(self._branch(part))
        decoder, head, config = model.get_decoder(), model.get_output_embeddings(), model.config
        layers = (StepLayer * len(decoder.layers))(*map(self._layer, decoder.layers))
        self._kept.append(layers)
        self.model = StepModel(
            *(ctypes.addressof(layers), len(layers), config.hidden_size),
            *(config.num_attention_heads, config.num_key_value_heads, config.head_dim),
            *(config.num_local_experts, config.num_experts_per_tok, config.intermediate_size),
            model.dtype.itemsize == ctypes.sizeof(c_float),
            *(decoder.embed_tokens.weight.data_ptr(), decoder.norm.weight.data_ptr()),
            self._plain(head),
            *(decoder.norm.variance_epsilon, config.swiglu_alpha, config.swiglu_limit),
            decoder.layers[0].self_attn.scaling,
        )

    def _layer(self, layer: Any) -> StepLayer:
        attention, mlp = layer.self_attn, layer.mlp
        vectors = (layer.input_layernorm.weight, layer.post_attention_layernorm.weight)
        linears = (attention.q_proj, attention.k_proj, attention.v_proj, attention.o_proj)
        return StepLayer(
            *(vector.data_ptr() for vector in (*vectors, attention.sinks)),
            *map(self._plain, (*linears, mlp.router)),
            *(self._of_experts(mlp.experts, name) for name in ("gate_up_proj", "down_proj")),
            attention.sliding_window or 0,
        )

    def _plain(self, module: Any) -> Linear:
        """Of a module with W [N, K] and maybe a bias [N]."""
        bias = None if module.bias is None else module.bias.data_ptr()
        places = (module.weight.data_ptr(), bias, None, None)
        return Linear(*places, *module.weight.shape, *self._beside(module))

    def _of_experts(self, experts: Any, name: str) -> Linear:
        """Of packed experts, or of resident ones, whose W [E, K, N] lie turned."""
        if hasattr(experts, "packed"):
            w, bias = experts.packed(name)
            places = (None, bias.data_ptr(), w.blocks.data_ptr(), w.scales.data_ptr())
            return Linear(*places, *w.shape[1:], *self._beside(experts, name))
        w_EKN, bias = getattr(experts, name), getattr(experts, f"{name}_bias")
        places = (w_EKN.data_ptr(), bias.data_ptr(), None, None)
        return Linear(*places, *w_EKN.mT.shape[1:], *self._beside(experts, name))

    def _beside(self, module: Any, projection: str = "") -> tuple[int | None, int]:
        """(address, number) of the branches beside a matrix."""
        branches = self._branches.get((id(module), projection), [])
        if not branches:
            return None, 0
        array = (Branch * len(branches))(*branches)
        self._kept.append(array)
        return ctypes.addressof(array), len(branches)

    def _branch(self, part: Any) -> Branch:
        at = None
        if hasattr(part, "experts"):
            index = (c_int32 * self._experts)(*[-1] * self._experts)
            for place, expert in enumerate(part.experts):
                index[expert] = place
            self._kept.append(index)
            at = ctypes.addressof(index)
        rank, scaling = part.a.shape[-2], part.scaling * part.scale
        return Branch(part.a.data_ptr(), part.b.data_ptr(), at, rank, scaling)

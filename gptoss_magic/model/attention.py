"""Attention with sinks in blocks of queries: memory grows with the length, not with its square.

Registered with transformers as `NAME`. Forward and backward recompute a block's scores, as in
FlashAttention (arXiv 2205.14135, algorithms 2 and 4); a sink is one more logit in the softmax.
Legend: B batch, H query heads, N key-value heads, G = H / N, T queries, K keys, D head size.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, cast

import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import sdpa_mask

from gptoss_magic.errors import InputError
from gptoss_magic.model.backends import native
from gptoss_magic.model.linear import has_library, is_recorded
from gptoss_magic.model.wide import is_slow

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gptoss_magic.model.protocol import Model

NAME = "gptoss_magic"
ROWS = 256
STEP = 128  # keys come in multiples: each shape costs oneDNN a kernel


def block_scores(device: str) -> int:
    """How many scores a block holds, over all heads: few enough for a CPU's caches."""
    return 1 << 21 if device == "cpu" else 1 << 25


@dataclass(frozen=True)
class Sight:
    """What queries see: keys up to their own, `window` of them (0: all), less what `mask` hides.

    `mask`: None; bool [B, K], True where a key is no padding; or [B, 1 or H, T, K], bool or added
    to the scores, which then alone decides. `rows`: queries of a block, at most.
    """

    scaling: float
    window: int
    mask: torch.Tensor | None
    rows: int = ROWS

    @property
    def is_causal(self) -> bool:
        return self.mask is None or self.mask.dim() == 2

    def blocks(self, q: torch.Tensor, num_keys: int) -> Iterator[Block]:
        """Cut the queries q [B, H, T, D]; each block with the keys that any of it sees."""
        batch, heads, length, _ = q.shape
        wide = min(num_keys, 2 * self.window or num_keys)
        rows = min(self.rows, max(1, block_scores(q.device.type) // (batch * heads * wide)))
        for first in range(0, length, rows):
            last, low, high = min(length, first + rows), 0, num_keys
            place = num_keys - length + first
            if self.is_causal:
                high = min(num_keys, -(-(place + last - first) // STEP) * STEP)
                low = max(0, place + 1 - self.window) if self.window else 0
            yield Block(self, slice(first, last), slice(low, high), place)


@dataclass(frozen=True)
class Block:
    """Some queries and the keys that they see; the first query's own key is key `place`."""

    sight: Sight
    queries: slice
    keys: slice
    place: int

    def scores(self, q: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
        """Scaled and masked q·kᵀ, fp32 [B, N, G, t, keys]."""
        rows = self.rows(q, k.shape[1])
        seen = k[:, :, self.keys].transpose(2, 3)
        product = (rows.flatten(2, 3) * self.sight.scaling) @ seen
        scores = product.to(torch.promote_types(q.dtype, torch.float32))
        return self._masked(scores.view(*rows.shape[:4], -1))

    def rows(self, x: torch.Tensor, groups: int) -> torch.Tensor:
        """Rows of the block from x [B, H, T, ...]: [B, N, G, t, ...]."""
        batch, heads = x.shape[:2]
        shape = (batch, groups, heads // groups, -1, *x.shape[3:])
        return x[:, :, self.queries].view(shape)

    def _masked(self, scores: torch.Tensor) -> torch.Tensor:
        mask = self.sight.mask
        if mask is None or mask.dim() == 2:
            scores = self._without_future(scores)
        if mask is None:
            return scores
        if mask.dim() == 2:
            return scores.masked_fill_(~mask[:, None, None, None, self.keys], -torch.inf)
        groups = scores.shape[1] if mask.shape[1] > 1 else 1
        part = self.rows(mask, groups)
        if mask.dtype == torch.bool:
            return scores.masked_fill_(~part, -torch.inf)
        return scores.add_(part)

    def _without_future(self, scores: torch.Tensor) -> torch.Tensor:
        if self.place + 1 == self.keys.stop:
            return scores  # one query, and nothing behind it
        first = self.keys.start if self.sight.window else self.place + 1
        queries = torch.arange(scores.shape[-2], device=scores.device)[:, None] + self.place
        keys = torch.arange(first, self.keys.stop, device=scores.device)
        hidden = keys > queries
        if self.sight.window:
            hidden |= keys <= queries - self.sight.window
        scores[..., first - self.keys.start :].masked_fill_(hidden, -torch.inf)
        return scores


class SinkAttention(torch.autograd.Function):
    """(q [B, H, T, D], k and v [B, N, K, D], sinks [H]) to [B, H, T, D]; saves no scores."""

    @staticmethod
    def forward(  # noqa: PLR0917 (autograd's way)
        ctx: Any, q: Any, k: Any, v: Any, sinks: Any, sight: Sight
    ) -> torch.Tensor:
        out, given = torch.empty_like(q), (q, k, v)
        q, k, v = _widened(q, k, v)
        norms = q.new_empty(q.shape[:3], dtype=torch.promote_types(q.dtype, torch.float32))
        sink = sinks.to(norms.dtype).view(k.shape[1], -1, 1, 1)
        for block in sight.blocks(q, k.shape[2]):
            scores = block.scores(q, k)
            top = torch.maximum(scores.amax(-1, keepdim=True), sink)
            weights = scores.sub_(top).exp_()
            total = weights.sum(-1, keepdim=True) + (sink - top).exp_()
            mixed = weights.to(v.dtype).flatten(2, 3) @ v[:, :, block.keys]
            block.rows(out, k.shape[1]).copy_(mixed.view(*weights.shape[:4], -1) / total)
            block.rows(norms, k.shape[1]).copy_((top + total.log()).squeeze(-1))
        ctx.save_for_backward(*given, sinks, out, norms)
        ctx.sight = sight
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: Any) -> Any:
        (dout,), (*given, sinks, out, norms) = grads, ctx.saved_tensors
        kind, wide, groups = dout.dtype, norms.dtype, given[1].shape[1]
        q, k, v, dout = _widened(*given, dout)
        dq, dk, dv = (
            torch.empty_like(q, dtype=kind),
            torch.zeros_like(k, dtype=wide),
            torch.zeros_like(v, dtype=wide),
        )
        drop = (dout.to(wide) * out).sum(-1)  # [B, H, T]: what the softmax takes off each slope
        for block in ctx.sight.blocks(q, k.shape[2]):
            weights = block.scores(q, k).sub_(block.rows(norms, groups)[..., None]).exp_()
            rows, slopes = (
                block.rows(q, groups).flatten(2, 3),
                block.rows(dout, groups).flatten(2, 3),
            )
            dv[:, :, block.keys] += weights.to(v.dtype).flatten(2, 3).transpose(2, 3) @ slopes
            dweights = (slopes @ v[:, :, block.keys].transpose(2, 3)).view_as(weights)
            dscores = weights.mul_(dweights - block.rows(drop, groups)[..., None])
            dscores = dscores.mul_(ctx.sight.scaling).to(q.dtype).flatten(2, 3)
            dk[:, :, block.keys] += dscores.transpose(2, 3) @ rows
            block.rows(dq, groups).copy_(
                (dscores @ k[:, :, block.keys]).view_as(block.rows(q, groups))
            )
        share = (sinks.to(wide)[:, None] - norms).exp_()
        return dq, dk.to(kind), dv.to(kind), -(share * drop).sum((0, 2)).to(sinks.dtype), None


def _widened(*given: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """The same in fp32 where bf16 products are slow; autograd keeps what was given."""
    return tuple(x.float() for x in given) if is_slow(given[0]) else given


def attend(  # noqa: PLR0917 (transformers calls it so)
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float,
    dropout: float = 0.0,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """([B, T, H, D], None): transformers' attention function. Raises InputError for dropout.

    A mask of one dimension has the lengths of texts that share the sequence, unseen by each other.
    """
    if dropout:
        raise InputError(
            f"attention dropout {dropout}: not computed in blocks; set attention_dropout to 0, or "
            "call model.set_attn_implementation('eager')"
        )
    if attention_mask is not None and attention_mask.dim() == 1:
        lengths = attention_mask.tolist()
        texts = zip(*(torch.split(x, lengths, 2) for x in (query, key, value)), strict=True)
        parts = [attend(module, q, k, v, None, scaling)[0] for q, k, v in texts]
        return torch.cat(parts, 1), None
    if query.dtype != value.dtype:  # under autocast the rotary embedding leaves them wider
        query, key = query.to(value.dtype), key.to(value.dtype)
    sight = Sight(scaling, module.sliding_window or 0, attention_mask)
    if _can_stream(query, key, value, module.sinks, sight):
        streamed: torch.Tensor = _streamed(query, key, value, module.sinks, sight)
        return streamed, None
    out = cast("Any", SinkAttention).apply(query, key, value, module.sinks, sight)
    return out.transpose(1, 2).contiguous(), None


def _can_stream(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, sinks: torch.Tensor, sight: Sight
) -> bool:
    """True for one query without gradients, in bf16 on a CPU with the C++ library."""
    given = (q, k, v, sinks)
    return (
        q.shape[2] == 1
        and sight.is_causal
        and all(t.device.type == "cpu" and t.dtype == torch.bfloat16 for t in given)
        and k.stride() == v.stride()
        and k.stride(3) == 1
        and not is_recorded(*given)
        and has_library()
    )


@torch.compiler.disable  # a kernel that Dynamo cannot look into
def _streamed(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, sinks: torch.Tensor, sight: Sight
) -> torch.Tensor:
    """[B, 1, H, D] by the C++ kernel, which reads each key and value once."""
    (block,) = sight.blocks(q, k.shape[2])
    seen = None if sight.mask is None else sight.mask[:, block.keys]
    keys, values = k[:, :, block.keys], v[:, :, block.keys]
    library = cast("Any", native()[0])
    out: torch.Tensor = library.attend(q[:, :, 0], keys, values, sinks, seen, sight.scaling)
    return out[:, None]


def mask_of(  # noqa: PLR0917 (transformers calls it so)
    batch_size: int,
    q_length: int,
    kv_length: int,
    q_offset: Any = 0,
    kv_offset: int = 0,
    attention_mask: torch.Tensor | None = None,
    allow_is_causal_skip: bool = True,
    **given: Any,
) -> torch.Tensor | None:
    """`Sight.mask` for transformers: None or padding [B, K] wherever positions say the rest."""
    aligned = isinstance(q_offset, int) and q_offset + q_length == kv_offset + kv_length
    if not (allow_is_causal_skip and aligned):
        given |= {"q_offset": q_offset, "kv_offset": kv_offset, "attention_mask": attention_mask}
        return sdpa_mask(batch_size, q_length, kv_length, allow_is_causal_skip=False, **given)
    if attention_mask is None:
        return None
    seen = attention_mask[:, kv_offset : kv_offset + kv_length]
    return None if bool(seen.all()) else seen


def apart(lengths: list[int]) -> dict[str, torch.Tensor]:
    """What to give a gpt-oss as attention_mask where texts of `lengths` share a sequence [1, T].

    transformers' own way, position ids that restart, does not reach the masks of its gpt-oss.
    """
    mask = torch.tensor(lengths)
    return {"full_attention": mask, "sliding_attention": mask}


def side_by_side(texts: Sequence[Sequence[int]], device: Any) -> dict[str, Any]:
    """What to give a decoder for texts of token ids that share a sequence, unseen by each other."""
    lengths = [len(ids) for ids in texts]
    return {
        "input_ids": torch.tensor([[*chain.from_iterable(texts)]], device=device),
        "position_ids": torch.tensor([[*chain.from_iterable(map(range, lengths))]], device=device),
        "attention_mask": apart(lengths),
    }


def use_block_attention(model: Model) -> None:
    """Let `model`, a gpt-oss of transformers, attend in blocks."""
    AttentionInterface.register(NAME, attend)
    AttentionMaskInterface.register(NAME, mask_of)
    model.set_attn_implementation(NAME)

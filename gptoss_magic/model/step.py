"""A decode step of the whole layer stack in one C++ call, on a CPU (native/step.inc).

It takes some new tokens of one conversation, or of several rows, and plain LoRA; `most` of them,
which is a prompt's chunk where the kernels multiply by tiles: there a token has the same bits in
whatever company it is read. What it cannot take goes module by module, as transformers does;
`why_not` says why.
Legend: T new tokens, L layers, k experts a token, V vocabulary, D head size.
"""

from __future__ import annotations

from ctypes import addressof, byref
from functools import partial
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import torch

from gptoss_magic.model import step_layout as layout
from gptoss_magic.model.attached import StandingBy, why_never
from gptoss_magic.model.backends import native
from gptoss_magic.model.kv_cache import fed_behind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gptoss_magic.model.fed import Fed
    from gptoss_magic.model.kv_cache import KVCache
    from gptoss_magic.model.protocol import Model
    from gptoss_magic.model.rows_cache import RowsCache

FEW = 16  # new tokens of a step, at least
LARGE, LARGE_CHUNK = 4 << 30, 128  # bytes of weights whose chunks are short: ■ waits for their end
ALONE = 1 << 20  # bytes of weights that do not pay for waking a second thread


class DecodeStep:
    """The C++ step of one model. Whatever stands beside the model is looked up at each call."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.never = _why_never(model)
        if self.never:
            return
        self._standing_by = StandingBy(model)
        num_bytes = sum(w.numel() * w.element_size() for w in self._standing_by.weights)
        self._is_small, self._is_large = num_bytes <= ALONE, num_bytes > LARGE
        self._angles = (torch.empty(0), torch.empty(0))
        self._described: tuple[list[Any], layout.Described] | None = None

    @property
    def most(self) -> int:
        """New tokens that a step takes, where it can be taken."""
        library = native()[0]
        if self.never or library is None or self.model.dtype != torch.bfloat16:
            return FEW
        return min(library.most_tokens, LARGE_CHUNK) if self._is_large else library.most_tokens

    def why_not(self, num_tokens: int) -> str:
        """Why a step of so many tokens cannot be taken as things stand; '' where it can."""
        if self.never:
            return self.never
        if num_tokens > self.most:
            return f"more than {self.most} new tokens"
        if torch.is_grad_enabled():
            return "gradients are asked for"
        return self._standing_by.why_not() or _why_not_fp32(self._standing_by.parts())

    def take(
        self, caches: Sequence[KVCache], pieces: Sequence[list[int]], wanted: Sequence[int]
    ) -> torch.Tensor | None:
        """Logits [len(wanted), V] of `pieces`, each behind its cache, which grows by it.

        None where that cannot be taken; see `why_not`.
        """
        if self.why_not(sum(map(len, pieces))):
            return None
        logits_WV = self.run(fed_behind(caches, pieces, self.model.dtype), wanted)
        for cache, piece in zip(caches, pieces, strict=True):
            cache.grow(len(piece))
        return logits_WV

    def take_rows(
        self, cache: RowsCache, first: int, pieces: Sequence[list[int]]
    ) -> torch.Tensor | None:
        """Logits [rows, V] behind each piece, of rows from `first` on; None as `take`."""
        ends = [*accumulate(map(len, pieces))]
        if self.why_not(ends[-1]):
            return None
        fed = cache.fed(first, pieces, self.model.dtype)
        return self.run(fed, [end - 1 for end in ends])

    def run(self, fed: Fed, wanted: Sequence[int]) -> torch.Tensor:
        """Logits [len(wanted), V] behind the tokens `wanted` (indices into `fed.ids`).

        Keys and values of the new tokens are in `fed.caches` then; routers' watchers are told.
        """
        logits = torch.empty(len(wanted), self.model.config.vocab_size, dtype=self.model.dtype)
        self._run(fed, wanted, logits, None)
        return logits

    def states(self, fed: Fed, wanted: Sequence[int]) -> torch.Tensor:
        """As `run`, what the head would read instead: [len(wanted), H], behind the last norm."""
        states = torch.empty(len(wanted), self.model.config.hidden_size, dtype=self.model.dtype)
        self._run(fed, wanted, None, states)
        return states

    def _run(
        self,
        fed: Fed,
        wanted: Sequence[int],
        logits: torch.Tensor | None,
        states: torch.Tensor | None,
    ) -> None:
        model, config = self._model(), self.model.config
        num_new = len(fed.ids)
        cosine, sine = self._rotary(max(fed.places) + 1)
        routed = (len(self._standing_by.routers), num_new, config.num_experts_per_tok)
        experts, weights = torch.empty(routed, dtype=torch.int32), torch.empty(routed)
        lists = [fed.ids, fed.places, [0, *accumulate(fed.sizes)], wanted]
        arrays = [layout.int64s(values) for values in lists]
        cache = (layout.StepCache * len(fed.caches))(*fed.caches)  # type: ignore[misc] # (tuples are read)
        tokens = layout.StepTokens(
            *(num_new, len(fed.sizes), len(wanted)),
            *map(addressof, arrays),
            *(cosine.data_ptr(), sine.data_ptr(), addressof(cache)),
            *(0 if x is None else x.data_ptr() for x in (logits, states, experts, weights)),
        )
        library: Any = native()[0]
        threads = 1 if self._is_small else torch.get_num_threads()
        library.library.gm_step(byref(model), byref(tokens), threads)
        self._tell(experts, weights)

    def describe(self) -> str:
        """How one more token would be computed now, and why."""
        with torch.no_grad():
            why = self.why_not(1)
        library = native()[0]
        if why or library is None:
            return f"module by module: {why}"
        return f"one call a token, {library.name}"

    def _tell(self, experts_LTk: torch.Tensor, weights_LTk: torch.Tensor) -> None:
        watched = [router.watchers for router in self._standing_by.routers]
        if any(watched):
            ids, weights = experts_LTk.long(), weights_LTk.to(self.model.dtype)
            for watchers, ids_Tk, weights_Tk in zip(watched, ids, weights, strict=True):
                for watch in watchers:
                    watch(ids_Tk, weights_Tk)

    def _rotary(self, num_places: int) -> tuple[torch.Tensor, torch.Tensor]:
        """(cosine, sine), each [at least num_places, D / 2], in the model's dtype."""
        if len(self._angles[0]) < num_places:
            places_1T = torch.arange(2 * num_places + FEW)[None]
            like = torch.empty(0, dtype=self.model.dtype)
            both = self.model.get_decoder().rotary_emb(like, places_1T)
            self._angles = (both[0][0].contiguous(), both[1][0].contiguous())
        return self._angles

    def _model(self) -> layout.StepModel:
        """The C description of the model as it stands, made anew where an address has changed."""
        key = self._standing_by.key()
        if self._described is None or self._described[0] != key:
            self._described = (key, layout.Described(self.model, self._standing_by.parts()))
        return self._described[1].model


def _why_never(model: Model) -> str:
    """Why no step of this model can be taken; '' where that depends on the moment."""
    if native()[0] is None:
        return native()[1]
    if model.dtype not in {torch.bfloat16, torch.float32}:
        return f"the model is {model.dtype}"
    if why := why_never(model):
        return why
    weights = [*model.get_decoder().parameters(), *model.get_output_embeddings().parameters()]
    return next((why for why in map(partial(_why_unread, model.dtype), weights) if why), "")


def _why_unread(dtype: torch.dtype, weight: torch.Tensor) -> str:
    """Why the kernels cannot read a weight as it lies; '' where they can.

    Resident bf16 and fp32 experts lie turned, and are the only ones of three dimensions.
    """
    is_packed = weight.dtype == torch.uint8
    rows = weight.mT if weight.dim() == 3 and not is_packed else weight
    outputs, inputs = rows.shape[-2:] if weight.dim() > 1 else (0, 0)
    if not weight.is_cpu:
        return f"the model is on {weight.device}"
    if not is_packed and weight.dtype != dtype:
        return f"of weights in {weight.dtype} in a model of {dtype}"
    if not rows.is_contiguous():
        return "weights do not lie row by row"
    if is_packed:
        fits = dtype == torch.bfloat16 and weight.shape[1] % 16 == 0
        return "" if fits else f"packed experts of {weight.shape[1]} outputs in a model of {dtype}"
    fits = dtype == torch.float32 or inputs % 32 == 0
    return "" if fits else f"bf16 weights [{outputs}, {inputs}]: inputs are no multiple of 32"


def _why_not_fp32(parts: Sequence[Any]) -> str:
    values = [value for part in parts for value in (part.a, part.b)]
    if any(x.dtype != torch.float32 or not x.is_contiguous() for x in values):
        return "an adapter is not in fp32"
    return ""

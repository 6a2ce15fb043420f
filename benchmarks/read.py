"""read_texts_vs_transformers: the losses of whole texts, as held-out loss and canary read them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from benchmarks.figure import Figure, against_fastest, compared
from benchmarks.speed import resident, transformers_own

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gptoss_magic.records import Example


def ours_s(texts: Sequence[Example]) -> float:
    """Seconds of our losses, texts together."""
    from gptoss_magic.runs.canary import general_loss

    model, _ = resident()
    begin = time.perf_counter()
    general_loss(model, texts)
    return time.perf_counter() - begin


def forward_s(model: Any, texts: Sequence[Example]) -> float:
    """Seconds of a forward a text, with the logits of what counts only."""
    import torch
    from torch.nn.functional import cross_entropy

    begin = time.perf_counter()
    with torch.no_grad():
        for text in texts:
            ids_T, counts_T = torch.tensor(text.ids), torch.tensor(text.trained)
            before_N = counts_T[1:].nonzero().flatten()
            logits_NV = model(ids_T[None], use_cache=False, logits_to_keep=before_N).logits[0]
            cross_entropy(logits_NV.float(), ids_T[before_N + 1])
    return time.perf_counter() - begin


def read_texts_vs_transformers(repeats: int) -> Figure:
    """The shipped conversations through the built-in model."""
    from gptoss_magic.runs.canary import general_texts

    model, engine = resident()
    texts = general_texts(engine)
    theirs = transformers_own()
    peers = {
        "alone": lambda: forward_s(theirs, texts),
        "with our attention and matrix products": lambda: forward_s(model, texts),
    }
    ours, peer, words = against_fastest(lambda: ours_s(texts), peers, repeats)
    num = sum(len(text.ids) for text in texts)
    what = f"losses of {len(texts)} texts, {num} tokens: ours against forward {words} s"
    return compared("read_texts_vs_transformers", "s", ours, peer, what, less_is_better=True)

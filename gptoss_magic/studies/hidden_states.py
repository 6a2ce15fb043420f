"""Experimental: the resident model's own hidden states as vectors for an index."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError
from gptoss_magic.quoting import encodable
from gptoss_magic.retrieval.embedders import OFFERED
from gptoss_magic.session import current

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gptoss_magic.model.protocol import Model

MAX_TOKENS = 512
BATCH = 8
LAYERS = ("middle", "last")


class HiddenStates:
    """The mean over a text's tokens of what one layer gives, of length one; `dim` is hidden_size.

    A token in front takes the first place's outsized state and is left out of the mean. A text's
    first 512 tokens count. No training made these vectors fit for search: full text, or a model
    made for it, finds more.

    Measured with the built-in model (its weights of November 2026), 300 chunks of Python's
    documentation and 40 questions: recall@5 0.40 (middle) and 0.30 (last) where wordllama has
    0.90, and 1.2 s of one processor for a chunk against 0.3 ms.
    """

    def __init__(self, model: Model, tokenizer: Any, weights: str, layer: str = "middle") -> None:
        if layer not in LAYERS:
            raise InputError(f"embedder hidden:{layer}: give hidden:middle or hidden:last")
        self.name = f"hidden:{layer}@{weights[:16]}"
        self.dim = int(model.config.hidden_size)
        num_layers = int(model.config.num_hidden_layers)
        self._at = num_layers if layer == "last" else num_layers // 2
        self._model, self._tokenizer = model, tokenizer

    def embed(self, texts: Sequence[str]) -> Any:
        import numpy as np

        vectors = np.zeros((len(texts), self.dim), np.float32)
        ids = [self._ids(text) for text in texts]
        order = sorted((n for n in range(len(ids)) if ids[n]), key=lambda n: len(ids[n]))
        for begin in range(0, len(order), BATCH):
            rows = order[begin : begin + BATCH]
            vectors[rows] = self._means([ids[row] for row in rows])
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors / np.where(lengths > 0, lengths, 1)

    def _ids(self, text: str) -> list[int]:
        found: list[int] = self._tokenizer.encode(encodable(text), add_special_tokens=False)
        return found[:MAX_TOKENS]

    def _means(self, ids: Sequence[list[int]]) -> Any:
        """float32 [len(ids), dim] of token ids, none of them empty."""
        import torch

        width = 1 + max(map(len, ids))
        front = int(self._model.config.pad_token_id or 0)
        ids_BT = torch.full((len(ids), width), front, device=self._model.device)
        mask_BT = torch.zeros_like(ids_BT)
        for row, tokens in enumerate(ids):
            ids_BT[row, 1 : 1 + len(tokens)] = torch.tensor(tokens, device=ids_BT.device)
            mask_BT[row, : 1 + len(tokens)] = 1
        with torch.inference_mode():
            said = self._model.get_decoder()(
                ids_BT, attention_mask=mask_BT, output_hidden_states=True, use_cache=False
            )
        states_BTD = said.hidden_states[self._at].float()
        mask_BT[:, 0] = 0
        sums_BD = (states_BTD * mask_BT[..., None]).sum(1)
        return (sums_BD / mask_BT.sum(1, keepdim=True)).cpu().numpy()


def offer() -> None:
    """From now on `hidden:middle` and `hidden:last` name embedders of the model in this kernel."""
    OFFERED["hidden"] = _resident


def _resident(rest: str) -> HiddenStates:
    """The embedder of the resident model. Raises NotLoaded, InputError."""
    session = current()
    session.check_idle()
    resident = session.require_local()
    layer = rest.partition("@")[0]
    weights = resident.identity["weights"]
    return HiddenStates(resident.model, resident.tokenizer, str(weights), layer)

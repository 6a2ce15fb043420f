"""The loss of a packed sequence, with logits of few rows at a time.

Legend: T tokens, N trained tokens, n virtual tokens, H hidden size, V vocabulary.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import torch

    from gptoss_magic.model.protocol import Model
    from gptoss_magic.records import Example

LOGIT_ROWS = 256  # rows of logits [rows, V] in fp32 that are alive at once


def sequence_loss(model: Model, sequence: Sequence[Example], soft: Any = None) -> torch.Tensor:
    """Cross-entropy summed over the trained tokens of `sequence`, in nats.

    Examples that share a sequence do not see each other. `soft`: a `SoftPrompt` or `Prefix` that
    stands before each example.
    """
    import torch

    hidden_NH = torch.cat(list(hidden_states(model, sequence, soft)))
    targets = _targets(sequence)
    return summed_loss(model, hidden_NH, torch.tensor(targets, device=hidden_NH.device))


def _targets(sequence: Sequence[Example]) -> list[int]:
    return [
        token
        for example in sequence
        for token, trained in zip(example.ids[1:], example.trained[1:], strict=True)
        if trained
    ]


def token_losses(model: Model, sequence: Sequence[Example]) -> torch.Tensor:
    """[N] losses of the trained tokens of `sequence`, fp32, without gradients.

    Examples that share a sequence do not see each other.
    """
    import torch

    with torch.no_grad():
        hidden_NH = torch.cat(list(hidden_states(model, sequence, None)))
        targets = _targets(sequence)
        losses = [
            torch.nn.functional.cross_entropy(logits_of(model, rows), wanted, reduction="none")
            for rows, wanted in zip(
                hidden_NH.split(LOGIT_ROWS),  # type: ignore[no-untyped-call]
                torch.tensor(targets, device=hidden_NH.device).split(LOGIT_ROWS),  # type: ignore[no-untyped-call]
                strict=True,
            )
        ]
        return torch.cat(losses)


def summed_loss(model: Model, hidden_NH: torch.Tensor, targets_N: torch.Tensor) -> torch.Tensor:
    """Sum of the cross-entropies; the backward computes each chunk of logits again."""
    import torch
    from torch.utils.checkpoint import checkpoint

    def chunk_loss(rows: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        logits = logits_of(model, rows)
        return torch.nn.functional.cross_entropy(logits, wanted, reduction="sum")

    if not len(targets_N):  # a text that teaches nothing still has its place in the graph
        return hidden_NH.float().sum()
    total = hidden_NH.new_zeros((), dtype=torch.float32)
    for first in range(0, len(targets_N), LOGIT_ROWS):
        part = slice(first, first + LOGIT_ROWS)
        total = total + checkpoint(
            chunk_loss, hidden_NH[part], targets_N[part], use_reentrant=False
        )
    return total


def logits_of(model: Model, rows_NH: torch.Tensor) -> torch.Tensor:
    """[N, V] in fp32."""
    logits: torch.Tensor = model.get_output_embeddings()(rows_NH)
    return logits.float()


def hidden_states(
    model: Model, sequence: Sequence[Example], soft: Any, *, by_modules: bool = False
) -> Iterator[torch.Tensor]:
    """By pieces, hidden states [N, H] whose logits predict the trained tokens, in their order.

    `by_modules`: also where the C++ step could read them.
    """
    if hasattr(soft, "states"):
        for example in sequence:
            yield _after_prefix(model, example, soft)
    elif soft is not None:
        yield _after_prompt(model, sequence, soft)
    else:
        from gptoss_magic.model.reading import read

        wanted = [[n for n, trained in enumerate(e.trained[1:]) if trained] for e in sequence]
        yield read(model, [e.ids for e in sequence], wanted, by_modules=by_modules)


def _after_prompt(model: Model, sequence: Sequence[Example], soft: Any) -> torch.Tensor:
    import torch

    from gptoss_magic.model.attention import apart

    device, embed = model.device, model.get_input_embeddings()
    virtual_nH = soft.embeddings.to(embed.weight.dtype)
    pieces: list[Any] = []
    places: list[int] = []
    before: list[bool] = []
    for example in sequence:
        pieces += [virtual_nH, embed(torch.tensor(example.ids, device=device))]
        places += range(len(virtual_nH) + len(example.ids))
        before += [False] * len(virtual_nH) + [*example.trained[1:], False]
    hidden = model.get_decoder()(
        inputs_embeds=torch.cat(pieces)[None],
        position_ids=torch.tensor([places], device=device),
        attention_mask=apart([len(virtual_nH) + len(e.ids) for e in sequence]),
        use_cache=False,
    ).last_hidden_state[0]
    return hidden[torch.tensor(before, device=device)]  # type: ignore[no-any-return]


def _after_prefix(model: Model, example: Example, prefix: Any) -> torch.Tensor:
    import torch
    from transformers import DynamicCache

    from gptoss_magic.model.given_cache import given_cache

    cache = DynamicCache()  # without a config: no layer drops what lies outside its window
    prefix.fill(model, cache)
    ids = torch.tensor([example.ids], device=model.device)
    hidden = model.get_decoder()(input_ids=ids, **given_cache(cache), use_cache=True)
    before = torch.tensor([*example.trained[1:], False], device=model.device)
    return hidden.last_hidden_state[0][before]  # type: ignore[no-any-return]

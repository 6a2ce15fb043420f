"""Attention in blocks against transformers' eager attention: values, gradients, memory."""

import copy
from types import SimpleNamespace

import pytest
import torch
from torch.utils.checkpoint import checkpoint as recomputed
from transformers import DynamicCache
from transformers.masking_utils import eager_mask, sliding_window_causal_mask_function
from transformers.models.gpt_oss.modeling_gpt_oss import eager_attention_forward

from gptoss_magic.errors import InputError
from gptoss_magic.model.attention import NAME, Sight, SinkAttention, attend, use_block_attention
from gptoss_magic.model.backends import native
from gptoss_magic.model.kv_cache import KVCache
from gptoss_magic.model.load import LoadSettings, load
from gptoss_magic.testing import tiny_checkpoint, tiny_model

HEADS, GROUPS, SIZE = 4, 2, 16


@pytest.fixture(scope="module")
def models():
    """(ours, transformers') with the same weights; a window of 128."""
    ours, _ = tiny_model(max_position_embeddings=512)
    theirs = copy.deepcopy(ours)
    use_block_attention(ours)
    assert theirs.config._attn_implementation == "eager"  # noqa: SLF001
    return ours, theirs


def ids_of(batch, length, seed=0):
    draw = torch.Generator().manual_seed(seed)
    return torch.randint(8, 264, (batch, length), generator=draw)


def random_states(length, keys, batch=1, dtype=torch.float32):
    draw = torch.Generator().manual_seed(length + keys)
    shapes = [
        (batch, HEADS, length, SIZE),
        (batch, GROUPS, keys, SIZE),
        (batch, GROUPS, keys, SIZE),
    ]
    states = [torch.randn(shape, generator=draw).to(dtype) for shape in (*shapes, (HEADS,))]
    return [state.requires_grad_() for state in states]


def eager(q, k, v, sinks, mask):
    """transformers' attention, [B, H, T, D]."""
    module = SimpleNamespace(sinks=sinks, num_key_value_groups=HEADS // GROUPS, training=False)
    return eager_attention_forward(module, q, k, v, mask, scaling=0.25)[0].transpose(1, 2)


@pytest.mark.parametrize("length", [1, 127, 128, 129, 300])
def test_a_cold_prefill_is_that_of_eager_attention(models, length):
    with torch.no_grad():
        ours, want = (model(ids_of(1, length)).logits for model in models)
    assert (ours - want).abs().max() < 1e-5


@pytest.mark.parametrize("new_cache", [KVCache, lambda config: DynamicCache(config=config)])
@pytest.mark.parametrize("steps", [(100, 27, 1, 1, 1, 60), (128, 1, 128, 1), (5, 1, 294)])
def test_steps_behind_a_cache_are_those_of_eager_attention(models, new_cache, steps):
    ids = ids_of(1, sum(steps)).split(steps, 1)
    caches = [new_cache(model.config) for model in models]
    for part in ids:
        with torch.no_grad():
            ours, want = (
                model(part, past_key_values=cache).logits
                for model, cache in zip(models, caches, strict=True)
            )
        assert (ours - want).abs().max() < 1e-5


@pytest.mark.parametrize("padded", [1, 40, 150])
def test_left_padding_in_a_batch(models, padded):
    ids, mask = ids_of(2, 200), torch.ones(2, 203, dtype=torch.long)
    mask[0, :padded] = 0
    places = (mask.cumsum(1) - 1).clamp(min=0)
    caches = [KVCache(model.config) for model in models]
    for first, last in ((0, 200), (200, 201), (201, 203)):
        part = ids[:, :last][:, first:] if last <= 200 else ids[:, first - 200 : last - 200]
        with torch.no_grad():
            ours, want = (
                model(
                    part,
                    attention_mask=mask[:, :last],
                    position_ids=places[:, first:last],
                    past_key_values=cache,
                ).logits
                for model, cache in zip(models, caches, strict=True)
            )
        seen = mask[:, first:last].bool()
        assert (ours - want)[seen].abs().max() < 1e-5


@pytest.mark.parametrize("rows", [7, 256])
@pytest.mark.parametrize("window", [0, 128])
@pytest.mark.parametrize("kind", ["added", "bool", "none"])
@pytest.mark.parametrize(("length", "keys"), [(150, 150), (3, 131), (1, 200)])
def test_values_and_gradients_with_any_mask(rows, window, kind, length, keys):
    options = {"mask_function": sliding_window_causal_mask_function(window)} if window else {}
    whole = eager_mask(2, length, keys, q_offset=keys - length, **options)
    mask = {"added": whole, "bool": whole == 0, "none": None}[kind]
    states, same = random_states(length, keys, 2), random_states(length, keys, 2)
    ours = SinkAttention.apply(*states, Sight(0.25, window, mask, rows))
    want = eager(*same, whole)
    push = torch.randn(want.shape)
    for out in (ours, want):
        (out * push).sum().backward()
    pairs = [(ours, want), *((a.grad, b.grad) for a, b in zip(states, same, strict=True))]
    for a, b in pairs:
        assert (a - b).abs().max() < 1e-5 * max(1, b.abs().max())


def test_the_gradient_is_that_of_the_function():
    states = [state.double().detach().requires_grad_() for state in random_states(5, 9)]
    for window in (0, 3):
        sight = Sight(0.25, window, None, rows=2)
        assert torch.autograd.gradcheck(SinkAttention.apply, (*states, sight))


def test_bf16_is_as_near_to_fp64_as_eager_attention():
    states = [state.detach() for state in random_states(150, 150, dtype=torch.bfloat16)]
    whole = eager_mask(1, 150, 150)
    want = eager(*(state.double() for state in states), whole.double())
    ours = SinkAttention.apply(*states, Sight(0.25, 0, None))
    theirs = eager(*states, whole.bfloat16())
    assert (ours - want).norm() < 1.05 * (theirs - want).norm()
    assert (ours - want).norm() < 0.01 * want.norm()


@pytest.mark.parametrize("kernels", ["avx512-bf16", "avx2", "generic"])
@pytest.mark.parametrize("window", [0, 128])
@pytest.mark.parametrize("keys", [1, 127, 300])
def test_one_query_by_the_kernels_against_fp64(kernels, window, keys):
    library, why = native()
    if library is None or not library.select(kernels):
        pytest.skip(why or f"this processor has no {kernels}")
    q, k, v, sinks = (s.detach() for s in random_states(1, keys, 3, torch.bfloat16))
    k, v = (torch.cat([t, torch.full_like(t, 9)], 2)[:, :, :keys] for t in (k, v))  # as in a cache
    seen = torch.ones(3, keys, dtype=torch.bool)
    seen[1, : keys // 3], seen[2, :-1] = False, False
    module = SimpleNamespace(sliding_window=window or None, sinks=sinks)
    with torch.no_grad():
        ours, _ = attend(module, q, k, v, seen, scaling=0.25)
    library.select("")
    sight = Sight(0.25, window, seen)
    want = SinkAttention.apply(*(t.double() for t in (q, k, v, sinks)), sight).transpose(1, 2)
    assert ours.dtype == torch.bfloat16
    assert (ours - want).abs().max() < 0.005 * want.abs().max()


def test_training_with_checkpointing_has_the_gradients_of_eager_attention(models):
    found = []
    for model in models:
        trained = copy.deepcopy(model).train()
        trained.gradient_checkpointing_enable({"use_reentrant": False})
        trained(ids_of(2, 150), labels=ids_of(2, 150)).loss.backward()
        found.append({name: p.grad for name, p in trained.named_parameters() if p.grad is not None})
    ours, want = found
    assert ours.keys() == want.keys()
    assert any("sinks" in name for name in want)
    for name, grad in want.items():
        assert (ours[name] - grad).abs().max() < 1e-5, name


def test_nothing_of_the_size_of_length_squared_is_kept():
    states = random_states(2048, 2048)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(
        lambda t: kept.append(t.numel()) or t, lambda t: t
    ):
        recomputed(SinkAttention.apply, *states, Sight(0.25, 0, None), use_reentrant=False)
        SinkAttention.apply(*states, Sight(0.25, 0, None)).sum().backward()
    assert max(kept) == 2048 * HEADS * SIZE


def test_dropout_is_refused():
    module = SimpleNamespace(sliding_window=None, sinks=torch.zeros(HEADS))
    with pytest.raises(InputError, match="eager"):
        attend(module, *random_states(2, 2)[:3], None, scaling=1.0, dropout=0.1)


def test_a_loaded_model_attends_in_blocks_and_saves_nothing_of_it(tmp_path):
    model = load(LoadSettings(str(tiny_checkpoint(tmp_path / "tiny"))), lambda *_: None).model
    assert model.config._attn_implementation == NAME  # noqa: SLF001
    model.save_pretrained(tmp_path)
    assert NAME not in (tmp_path / "config.json").read_text()

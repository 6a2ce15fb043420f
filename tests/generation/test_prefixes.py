"""KV caches that are found again: the same logits as a cold prefill, whatever came before."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gptoss_magic.generation import LocalEngine, SamplingSettings
from gptoss_magic.harmony import HarmonyCodec
from gptoss_magic.model.kv_cache import KVLayer
from gptoss_magic.testing import tiny_model

GREEDY = SamplingSettings(temperature=0, max_tokens=5)


def fresh(cache_bytes=10**9):
    model, tokenizer = tiny_model(sliding_window=16, max_position_embeddings=2048)
    return LocalEngine(model, HarmonyCodec(tokenizer), 2048, cache_bytes)


@pytest.fixture(scope="module")
def engine():
    return fresh()


def random_ids(count, seed=0):
    draw = torch.Generator().manual_seed(seed)
    return torch.randint(8, 264, (count,), generator=draw).tolist()


def logits(engine, ids, name):
    held = engine.prefixes.take(name, ids)
    cached = len(held.tokens)
    return engine.prefill(ids[cached:], held)[-1], cached


def cold(engine, ids):
    with torch.no_grad():
        return engine.model(torch.tensor([ids]), logits_to_keep=1).logits[0, -1]


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 90), st.integers(1, 60)), min_size=1, max_size=8))
def test_any_walk_of_rollbacks_has_the_logits_of_a_cold_prefill(engine, walk):
    """Each turn keeps some of the text and adds some, across the window of 16 both ways."""
    ids = []
    for number, (keep, add) in enumerate(walk):
        ids = ids[:keep] + random_ids(add, seed=number)
        ours, _ = logits(engine, ids, "walk")
        assert torch.allclose(ours, cold(engine, ids), atol=1e-4)


def test_a_later_turn_costs_its_new_tokens_only(engine):
    first = random_ids(100)
    made = [d.token_id for d in engine.stream(first, GREEDY, conversation="talk")]
    second = [*first, *made, *random_ids(20, seed=1)]
    warm = engine.stream(second, GREEDY, conversation="talk")
    assert warm.num_cached == 100 + len(made) - 1  # the last token was never fed
    list(warm)
    assert engine.stream(second, GREEDY, conversation="talk", cold=True).num_cached == 0


def test_an_interrupt_between_two_buffers_leaves_a_cache_that_grows():
    layer = KVLayer(0)
    states = torch.ones(1, 2, 3, 4)
    layer.update(states, states)
    layer.keys = torch.cat([layer.keys, layer.keys], 2)  # grown, and then ■ before the values
    more = torch.full((1, 2, 300, 4), 2.0)
    keys, values = layer.update(more, more)
    assert torch.equal(keys, torch.cat([states, more], 2))
    assert torch.equal(values, keys)


def test_a_cache_behind_which_an_answer_is_made_is_never_cut(engine):
    ids = random_ids(60)
    alone = [d.token_id for d in engine.stream(ids, GREEDY, conversation="a", cold=True)]
    first = engine.stream(ids, GREEDY, conversation="two")
    begun = [next(first).token_id for _ in range(2)]
    second = engine.stream([*ids[:30], *random_ids(9, seed=3)], GREEDY, conversation="two")
    assert second.num_cached == 30  # copied
    list(second)
    assert [*begun, *(d.token_id for d in first)] == alone


def test_a_shared_system_text_is_computed_once(engine):
    system = random_ids(64, seed=7)
    list(engine.stream([*system, *random_ids(9, seed=8)], GREEDY, conversation="a"))
    ids = [*system, *random_ids(30, seed=9)]
    ours, cached = logits(engine, ids, "b")
    assert cached == 64
    assert torch.allclose(ours, cold(engine, ids), atol=1e-4)
    back = [*system, *random_ids(9, seed=8), 11]
    assert torch.allclose(logits(engine, back, "a")[0], cold(engine, back), atol=1e-4)


def test_the_oldest_conversation_goes_first():
    one = fresh()
    list(one.stream(random_ids(50), GREEDY, conversation="0"))
    few = fresh(cache_bytes=3 * one.prefixes.num_bytes)
    for number in range(5):
        list(few.stream(random_ids(50, seed=number), GREEDY, conversation=str(number)))
    assert list(few.prefixes.held) == ["2", "3", "4"]
    assert few.prefixes.num_bytes <= few.prefixes.limit


def test_an_interrupt_within_a_step_leaves_a_cache_that_can_be_used():
    engine, ids = fresh(), random_ids(60)
    list(engine.stream(ids, GREEDY, conversation="x"))
    layer, stopped = engine.model.model.layers[1], []

    def stop(*_):
        if not stopped:
            stopped.append(1)
            raise KeyboardInterrupt

    handle = layer.register_forward_pre_hook(stop)
    longer = [*ids, *random_ids(20, seed=3)]
    with pytest.raises(KeyboardInterrupt):
        list(engine.stream(longer, GREEDY, conversation="x"))
    handle.remove()
    ours, cached = logits(engine, longer, "x")
    assert 0 < cached <= 60
    assert torch.allclose(ours, cold(engine, longer), atol=1e-4)

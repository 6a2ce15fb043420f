"""Many prompts at once: each row says what it would have said alone."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gptoss_magic.errors import ContextOverflow
from gptoss_magic.generation import LocalEngine, SamplingSettings
from gptoss_magic.generation.batch import BatchPrompt, num_shared, stream_batch
from gptoss_magic.harmony import HarmonyCodec
from gptoss_magic.testing import tiny_model


@pytest.fixture(scope="module")
def engine():
    model, tokenizer = tiny_model(sliding_window=16, max_position_embeddings=2048)
    return LocalEngine(model, HarmonyCodec(tokenizer), 2048, 10**9)


def random_ids(count, seed):
    draw = torch.Generator().manual_seed(seed)
    return torch.randint(8, 264, (count,), generator=draw).tolist()


def together(engine, requests, num_rows):
    made = [[] for _ in requests]
    ends = [[] for _ in requests]
    for index, delta in stream_batch(engine, requests, num_rows):
        made[index].append(delta.token_id)
        ends[index].append(delta.finish)
    assert all(end[-1] and not any(end[:-1]) for end in ends)
    return made


def alone(engine, request):
    return [d.token_id for d in engine.stream(request.prompt, request.settings, cold=True)]


@settings(max_examples=25)
@given(
    st.integers(0, 40),
    st.lists(st.tuples(st.integers(1, 50), st.integers(1, 30)), min_size=1, max_size=9),
    st.integers(1, 5),
    st.sampled_from([0.0, 0.7]),
)
def test_rows_of_any_length_say_what_they_say_alone(engine, shared, sizes, num_rows, temperature):
    """Across the window of 16, with more requests than rows, and rows that come and go."""
    system = random_ids(shared, 99)
    requests = [
        BatchPrompt(
            [*system, *random_ids(length, seed)],
            SamplingSettings(temperature=temperature, max_tokens=new, seed=seed),
        )
        for seed, (length, new) in enumerate(sizes)
    ]
    assert together(engine, requests, num_rows) == [alone(engine, r) for r in requests]


def test_a_long_prompt_goes_in_chunks(engine):
    ask = SamplingSettings(temperature=0, max_tokens=4)
    requests = [BatchPrompt(random_ids(n, n), ask) for n in (1200, 3, 700)]
    assert together(engine, requests, 3) == [alone(engine, r) for r in requests]


def test_the_shared_prefix_is_computed_once(engine):
    system, fed = random_ids(300, 5), []
    embed = engine.model.model.embed_tokens
    handle = embed.register_forward_pre_hook(lambda _, given: fed.append(given[0].numel()))
    ask = SamplingSettings(temperature=0, max_tokens=1)
    requests = [BatchPrompt([*system, *random_ids(4, n)], ask) for n in range(8)]
    together(engine, requests, 8)
    handle.remove()
    assert sum(fed) == 300 + 8 * 4


def test_rows_are_bounded_by_the_bytes_of_their_caches(engine):
    ask = SamplingSettings(temperature=0, max_tokens=10)
    requests = [BatchPrompt(random_ids(20, n), ask) for n in range(6)]
    one_row = 30 * 2 * 2 * 2 * 16 * 4  # tokens, layers, keys and values, heads, size, fp32
    small = LocalEngine(engine.model, engine.codec, 2048, cache_bytes=2 * one_row)
    widths = []
    embed = engine.model.model.embed_tokens
    handle = embed.register_forward_pre_hook(lambda _, given: widths.append(len(given[0])))
    together(small, requests, 6)
    handle.remove()
    assert max(widths) == 2


def test_the_oldest_conversations_make_room(engine):
    ask = SamplingSettings(temperature=0, max_tokens=10)
    roomy = LocalEngine(engine.model, engine.codec, 2048, cache_bytes=650_000)
    for number in range(3):
        list(roomy.stream(random_ids(200, number), ask, conversation=str(number)))
    assert len(roomy.prefixes.held) == 3
    batch = stream_batch(roomy, [BatchPrompt(random_ids(300, n), ask) for n in range(2)])
    next(batch)
    assert "0" not in roomy.prefixes.held
    assert "2" in roomy.prefixes.held
    rows = 2 * 310 * 2 * 2 * 2 * 16 * 4
    assert roomy.prefixes.num_bytes + rows <= 650_000


def test_what_cannot_be_answered_is_refused_before_the_start(engine):
    ask = SamplingSettings(temperature=0, max_tokens=10)
    with pytest.raises(ContextOverflow, match="2048"):
        next(stream_batch(engine, [BatchPrompt([9], ask), BatchPrompt([9] * 2045, ask)]))
    assert list(stream_batch(engine, [])) == []


def test_num_shared_leaves_a_token_of_each_prompt():
    assert num_shared([[1, 2, 3], [1, 2, 4]]) == 2
    assert num_shared([[1, 2, 3], [1, 2, 3]]) == 2
    assert num_shared([[1], [1, 2]]) == 0

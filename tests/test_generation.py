"""The decode loop and sampling against transformers."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import (
    LogitsProcessorList,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from gptoss_magic.errors import ContextOverflow, InputError
from gptoss_magic.generation import Engine, SamplingSettings, run_turn
from gptoss_magic.generation.sampling import sample
from gptoss_magic.harmony import HarmonyCodec
from gptoss_magic.records import Message
from gptoss_magic.testing import tiny_model

GREEDY = SamplingSettings(temperature=0, max_tokens=40)


@pytest.fixture(scope="module")
def engine():
    model, tokenizer = tiny_model(max_position_embeddings=4096)
    return Engine(model, HarmonyCodec(tokenizer), 4096)


@pytest.mark.parametrize("length", [1, 2, 60, 127, 128, 129, 400])
def test_greedy_is_what_generate_gives(engine, length):
    """Across the sliding window of 128, and beyond it while decoding."""
    draw = torch.Generator().manual_seed(length)
    prompt = torch.randint(8, 264, (1, length), generator=draw)
    want = engine.model.generate(
        prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=40, do_sample=False
    )[0, length:]
    got = [delta.token_id for delta in engine.stream(prompt[0].tolist(), GREEDY)]
    assert got == want.tolist()


def test_a_prompt_longer_than_a_chunk_has_the_same_logits(engine):
    ids = torch.randint(8, 264, (1, 2500), generator=torch.Generator().manual_seed(0))
    ours = engine._forward(ids[0].tolist(), engine.prefixes.take("long", ids[0].tolist()))
    with torch.no_grad():
        want = engine.model(ids, logits_to_keep=1).logits[0, -1]
    assert torch.allclose(ours, want, atol=1e-4)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 10**6),
    st.sampled_from([0.3, 1.0, 1.7]),
    st.sampled_from([0, 1, 5, 30]),
    st.sampled_from([0.1, 0.7, 0.95, 1.0]),
)
def test_sampling_has_the_support_and_shares_of_transformers(seed, temperature, top_k, top_p):
    logits = torch.randn(40, generator=torch.Generator().manual_seed(seed)) * 3
    warpers = LogitsProcessorList([TemperatureLogitsWarper(temperature)])
    if top_k:
        warpers.append(TopKLogitsWarper(top_k))
    if top_p < 1:
        warpers.append(TopPLogitsWarper(top_p))
    want = warpers(None, logits[None])[0].softmax(-1)
    chosen = SamplingSettings(temperature=temperature, top_k=top_k, top_p=top_p)
    generator = torch.Generator().manual_seed(seed)
    drawn = [sample(logits, chosen, generator) for _ in range(300)]
    counts = torch.bincount(torch.tensor(drawn), minlength=40) / 300
    assert not counts[want == 0].any()
    assert (counts - want).abs().max() < 0.16


def test_one_interrupt_keeps_what_was_said(engine):
    seen = []

    def stop_after_five(delta):
        seen.append(delta)
        if len(seen) == 5:
            raise KeyboardInterrupt

    long = SamplingSettings(temperature=0, max_tokens=400)
    answer = run_turn(engine, [Message("user", "Hello")], long, on_delta=stop_after_five)
    assert answer.finish == "interrupt"
    assert 5 <= len(answer.raw_tokens) < 400


def test_overflow_and_an_empty_prompt_are_refused(engine):
    with pytest.raises(ContextOverflow, match="4096"):
        engine.stream([9] * 4090, GREEDY)
    with pytest.raises(InputError, match="no tokens"):
        engine.stream([], GREEDY)

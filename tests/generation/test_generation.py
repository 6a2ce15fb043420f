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
from gptoss_magic.generation import LocalEngine, SamplingSettings, run_turn
from gptoss_magic.generation.sampling import _truncated, sample
from gptoss_magic.harmony import HarmonyCodec
from gptoss_magic.records import Listener, Message
from gptoss_magic.testing import tiny_model

GREEDY = SamplingSettings(temperature=0, max_tokens=40)


@pytest.fixture(scope="module")
def engine():
    model, tokenizer = tiny_model(max_position_embeddings=4096)
    return LocalEngine(model, HarmonyCodec(tokenizer), 4096)


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
    ours = engine.prefill(ids[0].tolist(), engine.prefixes.take("long", ids[0].tolist()))[-1]
    with torch.no_grad():
        want = engine.model(ids, logits_to_keep=1).logits[0, -1]
    assert torch.allclose(ours, want, atol=1e-4)


def counted(engine, prompt, lookup, max_tokens=60):
    """(tokens, forwards) of a greedy answer."""
    forwards = []
    embed = engine.model.model.embed_tokens
    handle = embed.register_forward_pre_hook(lambda _, given: forwards.append(given[0].shape))
    chosen = SamplingSettings(temperature=0, max_tokens=max_tokens, lookup=lookup)
    made = [delta.token_id for delta in engine.stream(prompt, chosen, cold=True)]
    handle.remove()
    return made, len(forwards)


@settings(max_examples=25)
@given(st.integers(0, 10**6), st.integers(1, 8), st.integers(1, 40))
def test_drafts_change_no_token_of_a_greedy_answer(engine, seed, lookup, period):
    """Prompts that repeat themselves make drafts, right and wrong ones."""
    draw = torch.Generator().manual_seed(seed)
    prompt = torch.randint(8, 264, (period,), generator=draw).tolist() * (1 + 120 // period)
    plain, forwards = counted(engine, prompt, 0)
    assert forwards == len(plain)
    assert counted(engine, prompt, lookup)[0] == plain


def test_drafts_that_come_true_save_forwards():
    model, tokenizer = tiny_model(seed=3)  # this one soon repeats itself
    looping = LocalEngine(model, HarmonyCodec(tokenizer), 2048)
    made, forwards = counted(looping, [9] * 20, 8, 200)
    assert len(made) == 200
    assert forwards < 0.7 * len(made)


def test_a_long_prompt_tells_how_far_it_is(engine):
    told = []
    list(engine.stream([9] * 1300, GREEDY, cold=True, on_prefill=lambda *at: told.append(at)))
    assert told == [(0, 1300), (512, 1300), (1024, 1300)]
    told.clear()
    list(engine.stream([9] * 40, GREEDY, cold=True, on_prefill=lambda *at: told.append(at)))
    assert not told


@settings(max_examples=60)
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


def test_top_p_over_a_large_vocabulary_keeps_the_likeliest():
    """Flat logits need more than the tokens that are sorted first, peaked ones fewer."""
    for spread in (0.1, 8.0):
        logits = torch.randn(5000, generator=torch.Generator().manual_seed(1)) * spread
        want = TopPLogitsWarper(0.9)(None, logits[None])[0].softmax(-1)
        chosen = SamplingSettings(temperature=1, top_p=0.9)
        kept = _truncated(logits[None], chosen)[0].softmax(-1)
        assert torch.allclose(kept, want, atol=1e-6)


def test_one_interrupt_keeps_what_was_said(engine):
    seen = []

    def stop_after_five(delta):
        seen.append(delta)
        if len(seen) == 5:
            raise KeyboardInterrupt

    long = SamplingSettings(temperature=0, max_tokens=400)
    answer = run_turn(engine, [Message("user", "Hello")], long, listener=Listener(stop_after_five))
    assert answer.finish == "interrupt"
    assert 5 <= len(answer.raw_tokens) < 400


def test_overflow_and_an_empty_prompt_are_refused(engine):
    with pytest.raises(ContextOverflow, match="4096"):
        engine.stream([9] * 4090, GREEDY)
    with pytest.raises(InputError, match="no tokens"):
        engine.stream([], GREEDY)

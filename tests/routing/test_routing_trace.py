"""The trace beside the KV cache, and the channels of its tokens."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gptoss_magic.generation import LocalEngine, SamplingSettings, run_turn
from gptoss_magic.generation.routes import FOLD
from gptoss_magic.harmony import HarmonyCodec, HarmonyParser, render
from gptoss_magic.harmony.channels import channels_of
from gptoss_magic.model.resident import make_resident
from gptoss_magic.records import Message
from gptoss_magic.testing import tiny_model, tiny_tokenizer

CODEC = HarmonyCodec(tiny_tokenizer())
GREEDY = SamplingSettings(temperature=0, max_tokens=40, lookup=8)


def fresh():
    model, tokenizer = tiny_model(sliding_window=16)
    make_resident(model)
    return LocalEngine(model, HarmonyCodec(tokenizer), 2048, 10**9)


@pytest.fixture(scope="module")
def engine():
    return fresh()


def random_ids(count, seed=0):
    draw = torch.Generator().manual_seed(seed)
    return torch.randint(8, 264, (count,), generator=draw).tolist()


def cold(ids):
    """(ids, weights) [T, L, k] by transformers' own routers, in one forward of everything."""
    model, _ = tiny_model(sliding_window=16)
    seen = []
    for layer in model.model.layers:
        layer.mlp.router.register_forward_hook(lambda _m, _x, out: seen.append(out))
    with torch.no_grad():
        model(torch.tensor([ids]))
    return (np.stack([out[i].numpy() for out in seen], 1) for i in (2, 1))


def said(engine, ids, conversation, routing=True):
    """(the tokens that a stream gave, the stream, still open)."""
    stream = engine.stream(ids, GREEDY, conversation=conversation, routing=routing)
    return [delta.token_id for delta in stream], stream


def check(trace, ids):
    """The trace covers `ids`, and is what a cold forward of them gives."""
    chosen, weights = cold(ids)
    assert trace.ids.dtype == np.uint8
    assert trace.weights.dtype == np.float16
    assert len(trace.channels) == len(trace.ids) == len(ids)
    assert np.array_equal(trace.ids, chosen)
    np.testing.assert_allclose(trace.weights, weights, atol=2e-3)


def test_two_turns_with_reuse_and_lookup_leave_one_trace(engine):
    first = random_ids(30) * 3  # repeats, so that drafts are made; wrong ones are cut
    made, stream = said(engine, first, "t")
    check(stream.trace([*first, *made]), [*first, *made][:-1])
    second = [*first, *made[:20], *random_ids(25, seed=1), *first]
    stream.close()
    more, stream = said(engine, second, "t")
    assert stream.num_cached >= len(first)
    check(stream.trace([*second, *more]), [*second, *more][:-1])


def test_wrong_drafts_are_cut_from_the_trace():
    engine, ids = fresh(), random_ids(70, seed=5)
    held = engine.prefixes.take("t", ids, routing=True)
    engine.prefill(ids, held)
    engine.prefill(random_ids(6, seed=6), held)
    held.cut(72)
    assert held.routes.length == 72
    check(held.routes.trace(held.tokens, CODEC, 8), held.tokens)


def test_a_cache_without_routes_is_not_reused_where_they_are_asked_for(engine):
    ids = random_ids(50, seed=2)
    _, stream = said(engine, ids, "u", routing=False)
    assert stream.trace(ids) is None
    stream.close()
    made, stream = said(engine, ids, "u")
    assert stream.num_cached == 0
    check(stream.trace([*ids, *made]), [*ids, *made][:-1])
    other = [*ids, *random_ids(9, seed=4)]
    made, stream = said(engine, other, "v")
    assert stream.num_cached >= 50  # copied from u, routes and all
    check(stream.trace([*other, *made]), [*other, *made][:-1])
    stream.close()
    _, stream = said(engine, other, "v", routing=False)
    assert stream.num_cached > 50  # without routes all caches serve
    assert engine.prefixes.held["v"].routes is None


def test_off_leaves_no_watcher_and_no_trace(engine):
    answer = run_turn(engine, [Message("user", "Hello")], GREEDY)
    assert answer.routing is None
    assert all(not router.watchers for router in engine.capture.routers)


def test_an_interrupt_leaves_a_trace_of_what_was_computed():
    engine, ids = fresh(), random_ids(60)
    stopped = []

    def stop(*_):
        stopped.append(1)
        if len(stopped) == 4:
            raise KeyboardInterrupt

    handle = engine.model.model.layers[1].register_forward_pre_hook(stop)
    stream, made = engine.stream(ids, GREEDY, conversation="x", routing=True), []
    with pytest.raises(KeyboardInterrupt):
        made.extend(delta.token_id for delta in stream)
    handle.remove()
    check(stream.trace([*ids, *made]), [*ids, *made][:-1])
    stream.close()
    again, stream = said(engine, ids, "x")
    assert again[: len(made)] == made
    check(stream.trace([*ids, *again]), [*ids, *again][:-1])


@settings(max_examples=25)
@given(st.lists(st.tuples(st.integers(0, 70), st.integers(1, 40)), min_size=1, max_size=6))
def test_any_walk_of_rollbacks_keeps_the_trace_true(engine, walk):
    ids = []
    for number, (keep, add) in enumerate(walk):
        ids = ids[:keep] + random_ids(add, seed=number)
        held = engine.prefixes.take("walk", ids, routing=True)
        engine.prefill(ids[len(held.tokens) :], held)
        check(held.routes.trace(ids, CODEC, 8), ids)


def test_many_steps_are_folded_and_cut_across_the_fold(engine):
    ids = random_ids(FOLD + 40, seed=9)
    held = engine.prefixes.take("long", [*ids, 9], routing=True, cold=True)
    for token in ids:
        engine.prefill([token], held)
    check(held.routes.trace(ids, CODEC, 8), ids)
    for length in (FOLD + 20, FOLD - 20):
        held.cut(length)
        check(held.routes.trace(ids[:length], CODEC, 8), ids[:length])


TALK = [
    Message("system", "Be brief."),
    Message("developer", "# Instructions"),
    Message("user", "What time is it?"),
    Message("assistant", "I must look.", "analysis"),
    Message("assistant", '{"a": 1}', "commentary", "functions.get_time", "<|constrain|>json"),
    Message("tool", "12:00", "commentary", "assistant", author="functions.get_time"),
    Message("assistant", "It is noon.", "final"),
]
WANTED = ("system", "developer", "user", "analysis", "commentary", "tool", "final")


def contents(ids, channels):
    """Runs of text between headers: (channel, text)."""
    runs = []
    for token, channel in zip(ids, channels, strict=True):
        if channel != "header":
            if not runs or runs[-1][0] != channel:
                runs.append((channel, b""))
            runs[-1] = (channel, runs[-1][1] + CODEC.token_bytes(token))
    return [(channel, text.decode()) for channel, text in runs]


def test_channels_of_a_rendered_conversation():
    ids = render(TALK, CODEC)
    found = contents(ids, channels_of(ids, CODEC))
    assert found == [(name, m.content) for name, m in zip(WANTED, TALK, strict=True)]


TEXT = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)
CHANNEL = st.sampled_from(["analysis", "commentary", "final"])


@given(st.lists(st.tuples(CHANNEL, TEXT), min_size=1, max_size=5))
def test_the_channels_are_the_parser_s(parts):
    """For whatever the renderer writes for an assistant."""
    messages = [Message("assistant", text, channel) for channel, text in parts]
    ids = render(messages, CODEC, prompt=False)
    parser, wanted = HarmonyParser(CODEC), {}
    for token in ids[1:]:
        parser.feed(token)
    for message in parser.messages:
        wanted[message.channel] = wanted.get(message.channel, "") + message.content
    got = {}
    raw = {}
    for token, channel in zip(ids, channels_of(ids, CODEC), strict=True):
        raw[channel] = raw.get(channel, b"") + CODEC.token_bytes(token)
    got = {name: text.decode() for name, text in raw.items() if name != "header"}
    assert got == wanted


@given(st.lists(st.integers(0, 300), max_size=40))
def test_any_tokens_have_a_channel_each(ids):
    found = channels_of(ids, CODEC)
    assert len(found) == len(ids)
    special = set(CODEC.special.values())
    assert all(c == "header" for token, c in zip(ids, found, strict=True) if token in special)

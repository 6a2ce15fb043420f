"""The step that becomes a CUDA graph: on a CPU what is recorded, on a GPU the graph itself."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import gptoss_magic
from gptoss_magic.generation.engine import LocalEngine
from gptoss_magic.model.graph_step import KEPT, GraphStep
from gptoss_magic.model.kv_cache import KVCache
from gptoss_magic.model.parts import ExpertLora
from gptoss_magic.model.router import Capture
from gptoss_magic.session import current
from gptoss_magic.testing import tiny_checkpoint
from tests.model.test_step import YARN, begun, by_modules, ids_of, merged, pair, random_parts, whole


class Recorder:
    """Records nothing: a replay runs the modules again, over the same tensors."""

    def __init__(self):
        self.count = 0

    def __call__(self, run):
        self.count += 1
        return run


@pytest.fixture(scope="module")
def models():
    return pair(rope_parameters=YARN)


def one_by_one(step, cache, ids):
    """Logits behind each of `ids`; every one by a recorded step."""
    with torch.no_grad():
        return torch.cat([step.take([cache], [[token]], range(1)) for token in ids])


@settings(max_examples=10)
@given(held=st.integers(1, 40), num=st.integers(1, 12))
def test_each_token_has_transformers_logits(models, held, num):
    ours, theirs = models
    ids, recorder = ids_of(held + num), Recorder()
    cache = begun(ours, ids[:held])
    logits = one_by_one(GraphStep(ours, recorder), cache, ids[held:])
    assert (logits - whole(theirs, ids)[held:]).abs().max() < 1e-4
    assert cache.get_seq_length() == len(ids)
    assert recorder.count == 1


def test_larger_buffers_are_recorded_anew_and_a_cut_is_not(models):
    ours, theirs = models
    ids, recorder = ids_of(262), Recorder()
    step, cache = GraphStep(ours, recorder), begun(ours, ids[:250])
    logits = one_by_one(step, cache, ids[250:])
    assert (logits - whole(theirs, ids)[250:]).abs().max() < 1e-4
    assert recorder.count == 2  # the buffers had room for 256
    cache.cut(252)
    again = one_by_one(step, cache, ids[252:])
    assert torch.equal(again, logits[2:])
    assert recorder.count == 2


def test_prompts_may_be_read_in_between(models):
    ours, theirs = models
    ids, step = ids_of(30), GraphStep(ours, Recorder())
    cache = begun(ours, ids[:10])
    one_by_one(step, cache, ids[10:12])
    by_modules(ours, cache, ids[12:28])
    logits = one_by_one(step, cache, ids[28:])
    assert (logits - whole(theirs, ids)[28:]).abs().max() < 1e-4


def test_adapters_go_along_and_each_has_its_graph(models):
    ours, theirs = models
    parts, ids, recorder = random_parts(ours.config), ids_of(24), Recorder()
    step, cache = GraphStep(ours, recorder), begun(ours, ids[:20])
    one_by_one(step, cache, ids[20:])
    undo = [part.attach(ours) for part in parts]
    try:
        for scale in (0.5, 1.0):
            parts[0].scale = scale
            cache = begun(ours, ids[:20])
            logits = one_by_one(step, cache, ids[20:])
            assert (logits - whole(merged(theirs, parts), ids)[20:]).abs().max() < 1e-4
    finally:
        for take_away in undo:
            take_away()
    assert recorder.count == 3


def test_few_graphs_are_kept_and_none_keeps_a_cache(models):
    ours, _ = models
    step, ids = GraphStep(ours, Recorder()), ids_of(6)
    caches = [begun(ours, ids[:5]) for _ in range(KEPT + 3)]
    for cache in caches:
        one_by_one(step, cache, ids[5:])
    assert len(step._graphs) == KEPT
    (fixed, _) = next(reversed(step._graphs.values()))
    del cache, caches
    with pytest.raises(ReferenceError):
        fixed.run()


def test_what_it_cannot_take_is_said_and_left_to_the_modules(models):
    ours, _ = models
    step, ids = GraphStep(ours, Recorder()), ids_of(9)
    cache = begun(ours, ids[:7])
    with torch.no_grad():
        assert step.describe() == "one CUDA graph a token"
        assert step.why_not(2) == "more than one new token"
        assert step.take([cache], [ids[7:]], range(2)) is None
        assert step.take([KVCache(ours.config)], [[8]], range(1)) is None
        with Capture(ours):
            assert step.why_not(1) == "routing is captured"
        assert step.take_rows(None, 0, [[8]]) is None
    assert step.why_not(1) == "gradients are asked for"
    assert cache.get_seq_length() == 7


def test_a_kernel_that_cannot_be_recorded_is_told_and_not_tried_again(models):
    ours, _ = models
    tried = []

    def record(run):
        tried.append(run)
        raise RuntimeError("operation not permitted when stream is capturing\nmore")

    step, ids = GraphStep(ours, record), ids_of(9)
    cache = begun(ours, ids[:7])
    with torch.no_grad():
        for _ in range(2):
            assert step.take([cache], [[ids[7]]], range(1)) is None
    assert step.describe() == (
        "module by module: it cannot be recorded (operation not permitted when stream is capturing)"
    )
    assert (len(tried), cache.get_seq_length()) == (1, 7)


@pytest.mark.parametrize("wrong", [lambda y: y * 1.1, lambda y: y * float("nan"), lambda y: y + 1])
def test_a_graph_that_gives_something_else_is_not_used(models, wrong):
    ours, theirs = models
    step, ids = GraphStep(ours, lambda run: lambda: wrong(run())), ids_of(9)
    cache = begun(ours, ids[:7])
    with torch.no_grad():
        assert step.take([cache], [[ids[7]]], range(1)) is None
        assert "a recorded step differs from the modules by" in step.why_not(1)
    logits = by_modules(ours, cache, ids[7:])
    assert (logits - whole(theirs, ids)[7:]).abs().max() < 1e-4


def test_an_answer_is_the_same_with_recorded_steps(tmp_path):
    gptoss_magic.load(str(tiny_checkpoint(tmp_path / "tiny")), context=512)
    ask = {"temperature": 0, "max_tokens": 40, "cold": True}
    engine = current().local_engine
    assert isinstance(engine, LocalEngine)
    plain = gptoss_magic.generate("Привет", **ask)
    engine.step = GraphStep(engine.model, recorder := Recorder())
    assert gptoss_magic.generate("Привет", **ask).raw_tokens == plain.raw_tokens
    assert recorder.count > 0


@settings(max_examples=30)
@given(
    routes=st.lists(st.integers(0, 7), min_size=1, max_size=12).map(sorted),
    experts=st.lists(st.integers(0, 7), min_size=1, max_size=8, unique=True).map(sorted),
)
def test_gathered_factors_add_what_grouped_ones_do(routes, experts):
    draw = torch.Generator().manual_seed(0)
    a, b = (torch.randn(len(experts), *shape, generator=draw) for shape in ((3, 6), (4, 3)))
    part = ExpertLora("", "down_proj", experts, (a, b), 1.5)
    x, y = (torch.randn(len(routes), size, generator=draw) for size in (6, 4))
    offsets = torch.searchsorted(torch.tensor(routes), torch.arange(9), out_int32=True)
    with torch.no_grad():
        want = part.beside("down_proj", x, y.clone(), offsets)
        made = part._gathered(x, y, offsets)
    assert torch.allclose(made, want, atol=1e-5)


@pytest.mark.gpu
@pytest.mark.parametrize("with_parts", [False, True], ids=["bare", "adapter"])
def test_a_graph_on_a_gpu_has_the_modules_logits(with_parts):
    ours, theirs = pair(rope_parameters=YARN)
    ours, ids = ours.cuda(), ids_of(60)
    parts = random_parts(ours.config) if with_parts else []
    for part in parts:
        part.cuda().attach(ours)
    step, cache = GraphStep(ours), KVCache(ours.config)
    with torch.no_grad():
        prompt = torch.tensor([ids[:20]], device="cuda")
        ours(prompt, past_key_values=cache, use_cache=True)
    logits = one_by_one(step, cache, ids[20:])
    assert step.describe() == "one CUDA graph a token"
    want = whole(merged(theirs, [part.cpu() for part in parts]), ids)[20:]
    assert (logits.cpu() - want).abs().max() < 1e-2

"""The one-call decode step against transformers' eager model in fp32, and against our modules."""

import copy
import subprocess
import sys
import threading
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gptoss_magic.model.backends import native
from gptoss_magic.model.kv_cache import KVCache, fed_behind
from gptoss_magic.model.load import LoadSettings, load
from gptoss_magic.model.parts import ExpertLora, LinearLora, RouterDelta, RouterLora
from gptoss_magic.model.resident import make_resident
from gptoss_magic.model.router import Capture
from gptoss_magic.model.rows_cache import RowsCache
from gptoss_magic.model.step import FEW, DecodeStep
from gptoss_magic.testing import tiny_checkpoint, tiny_model

pytestmark = pytest.mark.skipif(native()[0] is None, reason="no C++ library")
LAYER = "model.layers.1"
YARN = {
    "rope_type": "yarn",
    "rope_theta": 150_000.0,
    "factor": 32.0,
    "beta_fast": 32.0,
    "beta_slow": 1.0,
    "original_max_position_embeddings": 64,
    "truncate": False,
}


def pair(dtype=torch.float32, **config):
    """(resident model, transformers' own with the same weights), biases and sinks not zero."""
    model, _ = tiny_model(**({"sliding_window": 8, "num_hidden_layers": 3} | config))
    draw = torch.Generator().manual_seed(1)
    for name, value in model.named_parameters():
        if name.endswith(("bias", "sinks")):
            value.data = torch.randn(value.shape, generator=draw) * 0.3
    theirs = copy.deepcopy(model)
    model = model.to(dtype)
    make_resident(model)
    return model, theirs


@pytest.fixture(scope="module")
def models():
    return pair(rope_parameters=YARN)


def ids_of(length, seed=0):
    draw = torch.Generator().manual_seed(seed)
    return torch.randint(8, 264, (length,), generator=draw).tolist()


def begun(model, ids):
    """A cache that holds all of `ids`, by the modules."""
    cache = KVCache(model.config)
    with torch.no_grad():
        model(torch.tensor([ids]), past_key_values=cache, use_cache=True)
    return cache


def stepped(model, cache, ids):
    """Logits behind each of `ids`, by the C++ step."""
    step = DecodeStep(model)
    with torch.no_grad():
        assert not step.why_not(len(ids))
        logits = step.run(fed_behind([cache], [ids], model.dtype), range(len(ids)))
    cache.grow(len(ids))
    return logits


def by_modules(model, cache, ids):
    with torch.no_grad():
        return model(torch.tensor([ids]), past_key_values=cache, use_cache=True).logits[0]


def whole(theirs, ids):
    """transformers' logits behind each of `ids`, without a cache."""
    with torch.no_grad():
        return theirs(torch.tensor([ids])).logits[0]


@settings(max_examples=25)
@given(held=st.integers(1, 40), pieces=st.lists(st.integers(1, FEW), min_size=1, max_size=4))
def test_steps_of_any_length_are_transformers_logits(models, held, pieces):
    ours, theirs = models
    ids = ids_of(held + sum(pieces))
    cache, want = begun(ours, ids[:held]), whole(theirs, ids)
    bounds = [held]
    for piece in pieces:
        bounds.append(bounds[-1] + piece)
    for first, last in pairwise(bounds):
        logits = stepped(ours, cache, ids[first:last])
        assert (logits - want[first:last]).abs().max() < 1e-4
    cache.cut(held)
    assert (stepped(ours, cache, ids[held : held + 1]) - want[held]).abs().max() < 1e-4


@pytest.mark.parametrize("kind", ["default", "linear", "llama3"])
def test_each_kind_of_rotary_embedding(kind):
    more = {
        "default": {},
        "linear": {"factor": 4.0},
        "llama3": {
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 64,
        },
    }[kind]
    ours, theirs = pair(rope_parameters={"rope_type": kind, "rope_theta": 1e4} | more)
    ids = ids_of(30)
    logits = stepped(ours, begun(ours, ids[:25]), ids[25:])
    assert (logits - whole(theirs, ids)[25:]).abs().max() < 1e-4


@settings(max_examples=15)
@given(
    held=st.lists(st.integers(1, 20), min_size=1, max_size=4),
    sizes=st.lists(st.integers(1, 4), min_size=4, max_size=4),
    first=st.integers(0, 3),
)
def test_rows_of_different_lengths_are_stepped_apart(models, held, sizes, first):
    ours, theirs = models
    first = min(first, len(held) - 1)
    texts = [ids_of(length + 4, seed) for seed, length in enumerate(held)]
    cache = RowsCache(ours.config, len(held), 64)
    for text, length in zip(texts, held, strict=True):
        cache.join(1, begun(ours, text[:length]), length)
    fed = list(zip(texts, held, sizes, strict=False))[first:]
    pieces = [text[length : length + size] for text, length, size in fed]
    ends = [sum(map(len, pieces[: n + 1])) - 1 for n in range(len(pieces))]
    step = DecodeStep(ours)
    with torch.no_grad():
        logits = step.run(cache.fed(first, pieces, ours.dtype), ends)
    for row, (text, length, size) in zip(logits, fed, strict=True):
        assert (row - whole(theirs, text[: length + size])[-1]).abs().max() < 1e-4


def test_routes_are_told_to_who_watches(models):
    ours, _ = models
    ids = ids_of(14)
    caches = [begun(ours, ids[:10]) for _ in range(2)]
    with Capture(ours) as capture:
        by_modules(ours, caches[0], ids[10:])
        experts, weights = capture.take()
        stepped(ours, caches[1], ids[10:])
        seen, heard = capture.take()
    assert torch.equal(seen, experts)
    assert seen.dtype == experts.dtype
    assert torch.allclose(heard, weights, atol=1e-5)
    assert heard.dtype == weights.dtype


def random_parts(config):
    """LoRA on attention (two beside one linear), a router and chosen experts."""
    draw = torch.Generator().manual_seed(2)

    def ab(n_in, n_out, rank, *experts):
        return (
            torch.randn(*experts, rank, n_in, generator=draw) * 0.1,
            torch.randn(*experts, n_out, rank, generator=draw) * 0.1,
        )

    hidden, inner = config.hidden_size, config.intermediate_size
    attention = config.num_attention_heads * config.head_dim
    return [
        LinearLora(f"{LAYER}.self_attn.q_proj", *ab(hidden, attention, 4), 2.0),
        LinearLora(f"{LAYER}.self_attn.q_proj", *ab(hidden, attention, 3), 0.5),
        LinearLora(f"{LAYER}.self_attn.o_proj", *ab(attention, hidden, 8), 1.0),
        LinearLora("lm_head", *ab(hidden, config.vocab_size, 2), 1.0),
        RouterLora(f"{LAYER}.mlp.router", *ab(hidden, config.num_local_experts, 4), 2.0),
        ExpertLora(
            f"{LAYER}.mlp.experts", "gate_up_proj", (1, 2, 5), ab(hidden, 2 * inner, 4, 3), 2.0
        ),
        ExpertLora(f"{LAYER}.mlp.experts", "down_proj", (0, 5, 7), ab(inner, hidden, 2, 3), 1.5),
    ]


def merged(theirs, parts):
    """transformers' model with the branches added to its weights."""
    made = copy.deepcopy(theirs)
    for part in parts:
        module, scaling = made.get_submodule(part.target), part.scaling * part.scale
        if isinstance(part, ExpertLora):
            for place, expert in enumerate(part.experts):
                delta = part.b[place] @ part.a[place] * scaling
                getattr(module, part.projection).data[expert] += delta.T.detach()
        else:
            module.weight.data += (part.b @ part.a * scaling).detach()
    return made


def test_plain_lora_goes_along(models):
    ours, theirs = models
    parts = random_parts(ours.config)
    parts[0].scale = 0.5
    ids = ids_of(24)
    undo = [part.attach(ours) for part in parts]
    try:
        cache = begun(ours, ids[:20])
        logits = stepped(ours, cache, ids[20:])
        parts[0].scale = 1.0
        cache = begun(ours, ids[:20])
        again = stepped(ours, cache, ids[20:])
    finally:
        for take_away in undo:
            take_away()
    assert (again - whole(merged(theirs, parts), ids)[20:]).abs().max() < 1e-4
    parts[0].scale = 0.5
    assert (logits - whole(merged(theirs, parts), ids)[20:]).abs().max() < 1e-4
    base = stepped(ours, begun(ours, ids[:20]), ids[20:])
    assert (base - whole(theirs, ids)[20:]).abs().max() < 1e-4


def test_what_it_cannot_take_is_said(models):
    ours, _ = models
    step, layer = DecodeStep(ours), ours.get_submodule(LAYER)

    def why(num_tokens=1):
        with torch.no_grad():
            return step.why_not(num_tokens)

    assert not why()
    assert why(FEW + 1) == "more than 16 new tokens"
    assert step.why_not(1) == "gradients are asked for"
    hook = layer.mlp.register_forward_hook(lambda *_: None)
    assert why() == "a hook or probe stands beside the model"
    hook.remove()
    layer.mlp.router.probe = lambda logits: logits
    assert why() == "a hook or probe stands beside the model"
    layer.mlp.router.probe = None
    layer.mlp.experts.taps.watch = lambda *_: None
    assert why() == "a hook or probe stands beside the model"
    layer.mlp.experts.taps.watch = None
    delta = RouterDelta(f"{LAYER}.mlp.router", torch.zeros(8, 64), torch.zeros(8))
    undo = delta.attach(ours)
    assert why() == "router stands beside the model"
    undo()
    weight = layer.self_attn.q_proj.weight
    layer.self_attn.q_proj.weight = torch.nn.Parameter(weight.detach().clone())
    assert why() == "a module or weight of the model was replaced"
    layer.self_attn.q_proj.weight = weight
    assert not why()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda model: model.half(), "the model is torch.float16"),
        (lambda model: model.set_attn_implementation("eager"), "attention is 'eager'"),
        (
            lambda model: setattr(model.model.norm, "weight", double(model.model.norm.weight)),
            "of weights in torch.float64 in a model of torch.float32",
        ),
        (
            lambda model: model.config.rope_parameters.update(rope_type="dynamic"),
            "rotary embeddings of type 'dynamic' change with the length",
        ),
        (
            lambda model: setattr(model.model.layers[0], "mlp", torch.nn.Identity()),
            "a layer has a Identity",
        ),
    ],
)
def test_a_model_that_no_step_can_take_says_so(change, why):
    model, _ = pair(num_hidden_layers=1)
    change(model)
    assert DecodeStep(model).why_not(1) == why


def double(weight):
    return torch.nn.Parameter(weight.detach().double())


@pytest.mark.parametrize("kernels", ["amx-bf16", "avx512-bf16", "avx2", "generic"])
@pytest.mark.parametrize("packed", [True, False])
def test_bf16_is_as_near_to_fp32_as_the_modules_are(tmp_path, kernels, packed):
    library = native()[0]
    usual = library.name
    if not library.select(kernels):
        pytest.skip(f"this processor has no {kernels}")
    try:
        tiny_checkpoint(tmp_path, packed=True, num_hidden_layers=1, num_local_experts=2)
        model = load(LoadSettings(str(tmp_path)), lambda *_: None).model
        if not packed:
            model, _ = pair(torch.bfloat16, num_hidden_layers=1, num_local_experts=2)
        ids = ids_of(36)
        wide = copy.deepcopy(model).float() if not packed else None
        logits = stepped(model, begun(model, ids[:20]), ids[20:])
        modules = by_modules(model, begun(model, ids[:20]), ids[20:])
        assert (logits - modules).abs().max() < 0.05
        if wide is not None:
            want = by_modules(wide, begun(wide, ids[:20]), ids[20:])
            error, usual_error = ((x - want).abs().mean() for x in (logits, modules))
            assert error < 1.5 * usual_error
    finally:
        library.select(usual.removeprefix("C++ (").removesuffix(")"))


def test_threads_change_nothing(models):
    """The pieces of a stage are the same, whoever does them."""
    ours, _ = models
    large, _ = pair(num_hidden_layers=2, hidden_size=256, intermediate_size=512, vocab_size=4096)
    ids, before = ids_of(24), torch.get_num_threads()
    for model in (ours, large):
        cache, found = begun(model, ids[:20]), []
        for threads in (1, 2, 3, 8):
            torch.set_num_threads(threads)
            found.append([stepped(model, cache, [token]) for token in ids[20:]])
            cache.cut(20)
        torch.set_num_threads(before)
        assert all(torch.equal(a, b) for run in found for a, b in zip(found[0], run, strict=True))


def test_python_threads_have_their_own_steps():
    model, theirs = pair(num_hidden_layers=2, hidden_size=256, intermediate_size=512)
    ids, before = ids_of(40), torch.get_num_threads()
    want, found = whole(theirs, ids), {}

    def decode(name):
        cache = begun(model, ids[:10])
        found[name] = torch.cat([stepped(model, cache, [token]) for token in ids[10:]])

    torch.set_num_threads(2)
    try:
        threads = [threading.Thread(target=decode, args=(n,)) for n in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        torch.set_num_threads(before)
    assert len(found) == 3
    for logits in found.values():
        assert (logits - want[10:]).abs().max() < 1e-4


FORKED = """
import os, torch
torch.set_num_threads(1)  # OpenMP's own threads do not survive a fork
from gptoss_magic.model.kv_cache import fed_behind
from gptoss_magic.model.step import DecodeStep
from tests.model.test_step import begun, ids_of, pair
model, _ = pair(num_hidden_layers=2, hidden_size=256, intermediate_size=512)
ids, step = ids_of(40), DecodeStep(model)
cache = begun(model, ids[:38])
fed = fed_behind([cache], [ids[38:]], model.dtype)
step.run(fed, [1])
torch.set_num_threads(2)
before = step.run(fed, [1])
child = os.fork()
same = torch.equal(step.run(fed, [1]), before)
if child:
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert same
else:
    os._exit(not same)
"""


def test_a_fork_has_threads_of_its_own():
    subprocess.run([sys.executable, "-c", FORKED], timeout=120, check=True)

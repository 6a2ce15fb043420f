"""Scores against numpy and transformers' own modules; comparisons; probes; the baseline."""

import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gptoss_magic.errors import InputError
from gptoss_magic.harmony import HarmonyCodec
from gptoss_magic.model.resident import make_resident
from gptoss_magic.model.router import routers
from gptoss_magic.records import RoutingTrace
from gptoss_magic.routing import baseline as shipped
from gptoss_magic.routing.compare import compare, js_distance
from gptoss_magic.routing.probe import parse_experts, probing
from gptoss_magic.routing.score import CHUNK, score, scores_of
from gptoss_magic.routing.scores import CHANNELS, Scores
from gptoss_magic.testing import tiny_model

E, L, K = 8, 2, 2


@pytest.fixture
def model():
    made, _ = tiny_model(4)
    make_resident(made)
    return made


def random_ids(count, seed=0):
    draw = torch.Generator().manual_seed(seed)
    return torch.randint(8, 264, (count,), generator=draw).tolist()


TEXTS = [random_ids(40, 1), random_ids(13, 2), random_ids(600, 3)]  # the last in two chunks


def places(ids, seed):
    names = ["header", "system", "user", "tool", "analysis", "final"]
    return [names[i] for i in np.random.default_rng(seed).integers(0, 6, len(ids))]


PLACES = [places(ids, seed) for seed, ids in enumerate(TEXTS)]
OF = {
    "all": ("user", "tool", "analysis", "final"),
    "prompt": ("user", "tool"),
    "analysis": ("analysis",),
    "final": ("final",),
}


def reference(ids):
    """Per token, layer and expert: gate [T, L, E], and the norm of every expert's output."""
    plain, _ = tiny_model(4)
    gates, norms = [], []

    def look(mlp, given, _out):
        x = given[0].reshape(-1, given[0].shape[-1])
        _, weights, chosen = mlp.router(x)
        gates.append(torch.zeros(len(x), E).scatter(1, chosen, weights).numpy())
        experts, each = mlp.experts, []
        for e in range(E):
            gate_up = x @ experts.gate_up_proj[e] + experts.gate_up_proj_bias[e]
            gate, up = gate_up[:, ::2].clamp(max=7), gate_up[:, 1::2].clamp(-7, 7)
            inner = (up + 1) * gate * torch.sigmoid(gate * 1.702)
            out = inner @ experts.down_proj[e] + experts.down_proj_bias[e]
            each.append(out.norm(dim=-1))
        norms.append(torch.stack(each, 1).numpy())

    for layer in plain.model.layers:
        layer.mlp.register_forward_hook(look)
    with torch.no_grad():
        plain(torch.tensor([ids]))
    return np.stack(gates, 1), np.stack(norms, 1)


@pytest.mark.parametrize("channel", OF)
def test_scores_are_the_formulas(model, channel):
    assert len(TEXTS[-1]) > CHUNK
    scores = score(model, TEXTS, PLACES)
    share, gate, saliency, uses = [], [], np.zeros((L, E)), np.zeros((L, E))
    for ids, named in zip(TEXTS, PLACES, strict=True):
        kept = np.array([name in OF[channel] for name in named])
        gates, norms = (array[kept] for array in reference(ids))
        share.append((gates > 0).mean(0) / K)
        gate.append(gates.mean(0))
        saliency += (gates * norms).sum(0)
        uses += (gates > 0).sum(0)
    np.testing.assert_allclose(scores.share[channel], np.mean(share, 0), atol=1e-6)
    np.testing.assert_allclose(scores.gate[channel], np.mean(gate, 0), atol=1e-5)
    reap = saliency / np.maximum(uses, 1)
    np.testing.assert_allclose(scores.reap[channel], reap / reap.sum(1, keepdims=True), rtol=1e-4)
    for name in ("share", "gate", "reap"):
        np.testing.assert_allclose(scores.measure(name, channel).sum(1), 1, atol=1e-9)


def test_traces_score_like_their_forwards(model):
    from gptoss_magic.model.router import Capture

    traces = []
    for ids, named in zip(TEXTS, PLACES, strict=True):
        with torch.no_grad(), Capture(model) as capture:
            model(torch.tensor([ids]))
            chosen, weights = (part.numpy() for part in capture.take())
        traces.append(RoutingTrace(chosen.astype("uint8"), weights.astype("f2"), tuple(named), E))
    ours, direct = scores_of(traces, model.config), score(model, TEXTS, PLACES)
    for channel in direct.share:
        np.testing.assert_allclose(ours.share[channel], direct.share[channel], atol=1e-9)
        np.testing.assert_allclose(ours.gate[channel], direct.gate[channel], atol=1e-3)
    assert not ours.reap
    with pytest.raises(InputError, match="reap=True"):
        ours.measure("reap")


def test_scoring_leaves_the_model_as_it_was(model):
    ids = torch.tensor([TEXTS[0]])
    before = model(ids).logits

    def stop(done, total):
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score(model, TEXTS, on_text=stop)
    layer = model.model.layers[1]
    handle = layer.register_forward_pre_hook(lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        score(model, TEXTS)
    handle.remove()
    assert all(not r.watchers for r in routers(model))
    assert all(not layer.mlp.experts.taps for layer in model.model.layers)
    assert torch.equal(model(ids).logits, before)


def test_nothing_to_score_is_said(model):
    for sequences, named in (([], None), ([[]], None), ([[9, 10]], [["system", "header"]])):
        with pytest.raises(InputError, match="no tokens"):
            score(model, sequences, named)


def distributions(rows=3, experts=6):
    positive = st.floats(0, 1, allow_subnormal=False)
    arrays = hnp.arrays(np.float64, (rows, experts), elements=positive)
    return arrays.map(lambda a: a + 1e-9 * (a.sum(1, keepdims=True) == 0)).map(
        lambda a: a / a.sum(1, keepdims=True)
    )


@given(distributions(), distributions())
def test_jensen_shannon_is_a_bounded_symmetric_distance(p, q):
    distance = js_distance(p, q)
    assert ((distance >= 0) & (distance <= 1)).all()
    np.testing.assert_allclose(distance, js_distance(q, p), atol=1e-7)
    assert (js_distance(p, p) == 0).all()


def test_jensen_shannon_known_values():
    assert js_distance([1, 0], [0, 1]) == 1
    a, b = np.array([0.5, 0.5]), np.array([1.0, 0.0])
    bits = 0.5 * math.log2(1 / 0.75) + 0.5 * (
        0.5 * math.log2(0.5 / 0.75) + 0.5 * math.log2(0.5 / 0.25)
    )
    assert js_distance(a, b) == pytest.approx(math.sqrt(bits))


def made(share, base=None):
    return Scores({"all": share}, {"all": share}, {}, {"all": 9}, 1, 2, {}, base)


@given(distributions(), st.floats(0.01, 1))
def test_hot_experts_are_the_fewest_that_cover(share, coverage):
    scores = made(share)
    for row, hot in zip(share, scores.hot(coverage), strict=True):
        assert hot == sorted(set(hot))
        assert row[hot].sum() >= coverage - 1e-6
        assert row[hot].sum() - row[hot].min() < coverage  # none too many
        rest = np.delete(row, hot)
        assert rest.max(initial=0) <= row[hot].min()
    assert all(len(hot) == 2 for hot in scores.hot(num_experts=2))
    top = np.sort(share, 1)[:, ::-1][:, :2].sum(1)
    np.testing.assert_allclose(scores.coverage(2), top)


@given(distributions())
def test_entropy_and_dead_experts(share):
    scores = made(share)
    wanted = [-sum(p * math.log(p) for p in row if p > 0) for row in share]
    np.testing.assert_allclose(scores.entropy(), wanted, atol=1e-9)
    assert scores.dead() == [[e for e, p in enumerate(row) if p == 0] for row in share]


def test_lift_and_frames_and_files(model):
    base = score(model, TEXTS)
    scores = score(model, TEXTS, PLACES, about={"title": "x"}, baseline=base)
    np.testing.assert_allclose(
        scores.lift("final") * base.share["all"], scores.share["final"], atol=1e-12
    )
    frame = scores.to_frame()
    assert list(frame) == ["channel", "layer", "expert", "share", "gate", "reap", "lift"]
    assert len(frame) == len(scores.share) * L * E
    row = frame[(frame.channel == "final") & (frame.layer == 1) & (frame.expert == 3)]
    assert row.share.item() == scores.share["final"][1, 3]
    again = Scores.from_dict(json.loads(json.dumps(scores.to_dict())))
    np.testing.assert_array_equal(again.reap["all"], scores.reap["all"])
    np.testing.assert_array_equal(again.baseline.share["all"], base.share["all"])
    assert again.tokens == scores.tokens
    assert again.hot(0.4) == scores.hot(0.4)
    pairs = compare(scores, again).to_frame()
    assert (pairs.difference == 0).all()
    assert (pairs.distance == 0).all()


@pytest.mark.parametrize(
    "change",
    [
        {"share": {}},
        {"share": {"all": [[2.0, 1.0]]}},
        {"share": {"all": [[-1.0, 2.0]]}},
        {"gate": {"all": "x"}},
        {"tokens": 3},
        {"baseline": {}},
    ],
)
def test_a_damaged_file_of_scores_is_refused(change):
    values = made(np.array([[0.5, 0.5]])).to_dict()
    Scores.from_dict(values)
    with pytest.raises(InputError, match="not the scores"):
        Scores.from_dict(values | change)


def test_a_comparison_names_what_differs_most():
    a, b = np.array([[0.5, 0.3, 0.2], [1, 0, 0]]), np.array([[0.5, 0.2, 0.3], [0.1, 0.9, 0]])
    found = compare(made(a), made(b))
    assert found.top(2) == [(1, 0, 1.0, 0.1), (1, 1, 0.0, 0.9)]
    np.testing.assert_allclose(found.difference(), b - a)
    assert found.distance()[0] < found.distance()[1]
    with pytest.raises(InputError, match="layers"):
        compare(made(a), made(np.array([[0.5, 0.5]])))
    with pytest.raises(InputError, match="reap=True"):
        compare(made(a), made(b), "reap")
    with pytest.raises(InputError, match="compare by"):
        compare(made(a), made(b), "sum")


def routes(model, **probe):
    from gptoss_magic.model.router import Capture

    with torch.no_grad(), probing(model, **probe), Capture(model) as capture:
        model(torch.tensor([TEXTS[0]]))
        return capture.take()


def test_masked_experts_get_nothing_and_the_rest_is_the_router_s(model):
    ids, weights = routes(model, mask=[(0, 1), (0, 2), (1, 5)])
    assert not torch.isin(ids[:, 0], torch.tensor([1, 2])).any()
    assert not (ids[:, 1] == 5).any()
    free, _ = routes(model)  # what reaches the first router is the same
    untouched = ~torch.isin(free[:, 0], torch.tensor([1, 2])).any(1)
    assert untouched.any()
    assert torch.equal(free[untouched, 0], ids[untouched, 0])
    torch.testing.assert_close(weights.sum(-1), torch.ones(40, 2))


def test_forced_experts_keep_their_own_logits(model):
    logits = []
    handle = routers(model)[0].register_forward_pre_hook(
        lambda m, x: logits.append(x[0] @ m.weight.T + m.bias)
    )
    ids, weights = routes(model, force=[(0, 3), (1, 0), (1, 6)])
    handle.remove()
    assert (ids[:, 0] == 3).any(1).all()
    assert (ids[:, 1].sort(-1).values == torch.tensor([0, 6])).all()
    other = logits[0].clone()
    other[:, 3] = -torch.inf
    best = other.argmax(1)
    assert (ids[:, 0] == best[:, None]).any(1).all()
    own = torch.stack([logits[0][:, 3], logits[0].gather(1, best[:, None])[:, 0]], 1).softmax(1)
    got = torch.where(ids[:, 0] == 3, weights[:, 0], 0).sum(1)
    torch.testing.assert_close(got, own[:, 0])


@pytest.mark.parametrize(
    ("probe", "says"),
    [
        ({"mask": [(0, e) for e in range(7)]}, "1 experts left"),
        ({"force": [(0, 1), (0, 2), (0, 3)]}, "3 experts forced"),
        ({"mask": [(0, 1)], "force": [(0, 1)]}, "both"),
        ({"mask": [(2, 1)]}, "layers go from 0 to 1"),
        ({"mask": [(0, 8)]}, "experts go from 0 to 7"),
    ],
)
def test_a_probe_that_cannot_be_is_refused(model, probe, says):
    with pytest.raises(InputError, match=says), probing(model, **probe):
        pass
    assert all(router.probe is None for router in routers(model))


def test_a_probe_ends_and_does_not_nest(model):
    before = model(torch.tensor([TEXTS[0]])).logits
    with probing(model, mask=[(0, 1)]):
        assert not torch.equal(model(torch.tensor([TEXTS[0]])).logits, before)
        with pytest.raises(InputError, match="active"), probing(model, mask=[(1, 1)]):
            pass
        assert routers(model)[0].probe is not None
    with pytest.raises(KeyboardInterrupt), probing(model, mask=[(0, 1)]):
        raise KeyboardInterrupt
    assert torch.equal(model(torch.tensor([TEXTS[0]])).logits, before)


def test_specs_of_experts():
    assert parse_experts("1:7, 0:2-4", 2, 8) == [(0, 2), (0, 3), (0, 4), (1, 7)]
    assert parse_experts("*:5", 2, 8) == [(0, 5), (1, 5)]
    assert len(parse_experts("1:*", 2, 8)) == 8
    assert parse_experts("", 2, 8) == []
    for wrong in ("1", "1:", "2:0", "0:8", "0:5-3", "a:b", "0:-1", "0:1-", "0:²"):
        with pytest.raises(InputError, match=":"):
            parse_experts(wrong, 2, 8)


def test_the_baseline_is_computed_once_and_survives_damage(model, tmp_path, monkeypatch):
    monkeypatch.setenv("GPTOSS_MAGIC_CACHE", str(tmp_path))
    _, tokenizer = tiny_model()
    codec, told = HarmonyCodec(tokenizer), []

    def run():
        told.clear()
        return shipped.baseline(model, codec, "weights", lambda done, _total: told.append(done))

    first = run()
    assert told
    assert set(first.share) == set(CHANNELS) - {"commentary"}
    second = run()
    assert not told
    np.testing.assert_array_equal(first.share["all"], second.share["all"])
    for damage in ("", "{", "[]", json.dumps(made(np.array([[0.5, 0.5]])).to_dict())):
        shipped.cached_at("weights").write_text(damage)
        np.testing.assert_array_equal(run().share["all"], first.share["all"])
        assert told
    assert [p.name for p in (tmp_path / "routing").iterdir()] == [shipped.cached_at("weights").name]
    with probing(model, mask=[(0, 1)]):
        assert run().share["all"][0, 1] == 0
    run()
    assert not told  # the probe's scores were not kept


def test_an_unwritable_cache_is_no_error(model, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("x")
    monkeypatch.setenv("GPTOSS_MAGIC_CACHE", str(tmp_path / "file"))
    _, tokenizer = tiny_model()
    assert shipped.baseline(model, HarmonyCodec(tokenizer), "w").num_samples == 13


@settings(max_examples=20)
@given(st.integers(0, 1000), st.integers(1, 5))
def test_any_traces_give_distributions(seed, count):
    draw = np.random.default_rng(seed)
    config = tiny_model()[0].config
    traces = []
    for _ in range(count):
        size = int(draw.integers(1, 20))
        ids = draw.permuted(np.tile(np.arange(E), (size, L, 1)), axis=2)[..., :K].astype("uint8")
        weights = draw.dirichlet(np.ones(K), (size, L)).astype("f2")
        named = draw.choice(["user", "final", "analysis", "commentary"], size)
        traces.append(RoutingTrace(ids, weights, tuple(named), E))
    scores = scores_of(traces, config)
    for channel in scores.share:
        for name in ("share", "gate"):
            values = scores.measure(name, channel)
            assert (values >= 0).all()
            np.testing.assert_allclose(values.sum(1), 1, atol=1e-9)

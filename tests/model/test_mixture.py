"""Experts that differ: what is trained is what is converted, and each is for its kind of text."""

import random
import re
from dataclasses import replace
from itertools import islice

import pytest
import torch
from torch.nn.functional import softmax

import gptoss_magic
from gptoss_magic.model.stand_in import convert
from gptoss_magic.model.stand_in.mixture import PROJECTIONS, read_mixture, write_mixture
from gptoss_magic.model.stand_in.source import DATA
from gptoss_magic.session import current
from tools.stand_in import masks, pieces
from tools.stand_in.blend import mean, scaled
from tools.stand_in.fit_routers import regression, sharpness
from tools.stand_in.handbook import handbook
from tools.stand_in.kinds import CASES, KINDS, cases_of, plain
from tools.stand_in.mix import APART, Phase, apart_losses, rate
from tools.stand_in.problems import FORMS, plain_sum
from tools.stand_in.routed import RoutedModel, fresh, shipped_dense


def row(seed, length=40):
    ids = torch.randint(20, 40_000, (length,), generator=torch.Generator().manual_seed(seed))
    return ids.tolist(), ids.tolist()


@pytest.fixture(scope="module")
def models():
    """(the routed model, over two rows: logits of its dense source, those of the converted one)."""
    dense, rows = shipped_dense(exact=True), [row(1), row(2)]
    ids = torch.tensor([ids for ids, _ in rows])
    ours = convert.in_memory(dense, convert.upcycled(dense, read_mixture()))
    with torch.no_grad():
        plain, converted = dense(ids).logits, ours(ids).logits
    return RoutedModel(read_mixture(), dense), plain, converted


def logits(model):
    with torch.no_grad():
        return model.states([row(1), row(2)]) @ model.dense.model.embed_tokens.weight.T


@pytest.mark.slow
def test_what_was_trained_is_what_is_converted(models):
    routed, plain, want = models
    routed.put(read_mixture())
    got = logits(routed)
    assert (want - got).abs().max() < 2e-3
    assert (want.argmax(-1) == got.argmax(-1)).all()
    assert (want - plain).abs().max() > 0.5  # the experts do differ
    with routed.going(is_source=True):
        assert (logits(routed) - plain).abs().max() < 1e-3


@pytest.mark.slow
def test_one_expert_alone_is_its_own_mlp(models):
    routed, mixture = models[0], read_mixture()
    routed.put(mixture)
    layer, x = routed.layers[0], torch.randn(1, 3, 576, generator=torch.Generator().manual_seed(3))
    gate, up, down = (
        mixture.factors[0, n].added_to(getattr(layer.dense, f"{n}_proj").weight)[2]
        for n in PROJECTIONS
    )
    want = (torch.nn.functional.silu(x @ gate.T) * (x @ up.T)) @ down.T
    with routed.going(expert=2):
        assert torch.allclose(layer(x), want, atol=1e-4)


def test_the_shipped_experts_differ_and_are_all_used():
    mixture = read_mixture()
    assert len(mixture.factors) == 3 * len(mixture.routers) == 90
    for (layer, name), (a_ERI, b_EOR) in mixture.factors.items():
        assert a_ERI.shape[:2] == (4, 8), (layer, name)
        change = b_EOR.float() @ a_ERI.float()
        assert (change.flatten(1).norm(dim=1) > 1e-3).all(), (layer, name)
    size = sum(file.stat().st_size for file in DATA.glob("*.safetensors"))
    assert size < 30e6


def test_a_mixture_is_read_as_it_was_written(tmp_path):
    shipped = read_mixture()
    write_mixture(shipped, tmp_path)
    again = read_mixture(tmp_path)
    assert all(torch.equal(shipped.factors[k].b, again.factors[k].b) for k in shipped.factors)
    assert torch.equal(shipped.routers[10][0], again.routers[10][0])
    half = scaled(shipped, 0.5)
    key = (29, "down")
    assert torch.allclose(half.factors[key].b * 2, shipped.factors[key].b)
    assert torch.allclose(mean(shipped, shipped).factors[key].a, shipped.factors[key].a.float())


@pytest.mark.slow
def test_a_fresh_mixture_is_the_source_until_it_learns(models):
    routed = models[0]
    routed.put(fresh(0))
    found = [logits(routed)]
    for expert in range(4):
        with routed.going(expert=expert):
            found.append(logits(routed))
    for ours in found:
        assert (ours - models[1]).abs().max() < 1e-3


@pytest.mark.slow
def test_training_goes_on_where_it_stood(models, tmp_path):
    model = models[0]
    recipe = replace(APART, steps=2, tokens=120, windows=1, held_tokens=100)

    def run(file, steps):
        """A process of its own: a fresh model, and what the file knows."""
        model.put(fresh(0))
        phase = Phase(file, recipe, [{"params": model.factors(), "share": 1.0}])
        with model.going(expert=1):
            losses = apart_losses(model, "reasoning", recipe, phase.step)
            phase.run(islice(losses, steps), "reasoning")
        phase.keep()
        return [p.detach().clone() for p in model.factors()]

    whole = run(tmp_path / "whole.pt", 2)
    run(tmp_path / "parts.pt", 1)
    parts = run(tmp_path / "parts.pt", 1)
    assert all(torch.equal(a, b) for a, b in zip(whole, parts, strict=True))
    learned = whole[6 * 3 + 3 + 1]  # layer 3, b of `up`
    assert not learned[0].any()
    assert learned[1].abs().max() > 0


def test_the_rate_rises_and_falls_to_nothing():
    rates = [rate(step, APART) for step in range(APART.steps + 1)]
    assert rates[0] < 0.2 < max(rates) <= 1
    assert rates[-1] == pytest.approx(0, abs=1e-12)


def test_a_router_learns_kinds_that_lie_apart():
    draw = torch.Generator().manual_seed(0)
    kinds = torch.randint(0, 4, (400,), generator=draw)
    inputs = torch.randn(2, 400, 16, generator=draw)
    inputs[:, :, :4] += 4 * torch.nn.functional.one_hot(kinds, 4)
    weight, bias = regression(inputs, torch.nn.functional.one_hot(kinds, 4).float())
    logits = inputs @ weight + bias[:, None]
    assert ((logits.argmax(-1) == kinds).float().mean(1) > 0.95).all()
    sharp = sharpness(logits[0])
    first = softmax(sharp * logits[0].topk(2, -1).values, -1)[:, 0]
    assert float(first.mean()) == pytest.approx(0.75, abs=1e-3)


def test_problems_are_solved_by_their_steps():
    draw = random.Random(4)
    for form in FORMS * 30:
        one = form(draw)
        assert one.wanted in one.answer
        sums = re.findall(r"(\d[\d ]*(?:[-+×÷] [\d ]+)+)= (\d+)", one.steps)
        for left, right in sums:
            value = eval(left.replace("×", "*").replace("÷", "/"))  # noqa: S307
            assert value == int(right), one
    assert re.search(r"\d = \d", plain_sum(draw).steps)


def test_handbooks_answer_from_a_line_that_is_quoted():
    draw = random.Random(5)
    for _ in range(200):
        case = handbook(draw, "low")
        line = case.analysis.removeprefix("Nearest: ").partition(" It answers")[0]
        assert line in case.question
        assert case.wanted in case.final
        assert case.also[0] in case.final


@pytest.mark.parametrize("kind", KINDS)
def test_kinds_have_cases_and_text_that_follow_from_their_seeds(kind):
    assert cases_of(kind, 3, 12) == cases_of(kind, 3, 12) != cases_of(kind, 4, 12)
    rows = pieces.windows(kind, "a", 2)
    assert rows == pieces.windows(kind, "a", 2) != pieces.windows(kind, "b", 2)
    assert all(len(ids) == pieces.WINDOW for ids, _ in rows)
    draw = random.Random(0)
    for template in CASES[kind]:
        for effort in ("low", "medium", "high"):
            ((ids, labels),) = pieces.rows_of([template(draw, effort)], 0) or (([0], [0]),)
            assert len(ids) == len(labels)
    assert len(plain(kind, draw, held=True)) > 200


@pytest.mark.slow
def test_masking_a_kind_s_hottest_experts_hurts_that_kind_most():
    gptoss_magic.load("built-in")
    rows = masks.table(current().require().model, 6)  # two dialogues and a text of each kind
    gptoss_magic.unload()
    harm = masks.harm(rows)
    for kind in KINDS:
        assert max(harm[kind], key=harm[kind].get) == kind, harm
        assert max(KINDS, key=lambda masked: harm[masked][kind]) == kind, harm

"""Whole texts read by steps: states against transformers in fp32, routes, and when they are not."""

import copy

import pytest
import torch

from gptoss_magic.model.backends import native
from gptoss_magic.model.parts import RouterDelta
from gptoss_magic.model.reading import by_steps, read
from gptoss_magic.model.router import Capture
from tests.model.test_step import LAYER, ids_of, pair, random_parts

pytestmark = pytest.mark.skipif(native()[0] is None, reason="no C++ library")
LENGTHS = (30, 0, 3, 41, 600)  # an empty one, and one of more than a step
WANTED = ([0, 7, 29], [], [2], [], [0, 511, 512, 599])


@pytest.fixture(scope="module")
def model():
    """In bf16, read by tiles; steps of many tokens."""
    library = native()[0]
    usual = library.name.removeprefix("C++ (").removesuffix(")")
    if not library.select("amx-bf16"):
        pytest.skip("this processor has no AMX")
    yield pair(torch.bfloat16)[0]
    library.select(usual)


def texts():
    return [ids_of(length, seed) for seed, length in enumerate(LENGTHS)]


def by_modules(model, text, places):
    ids = torch.tensor([text])
    with torch.no_grad():
        return model.get_decoder()(ids, use_cache=False).last_hidden_state[0, places]


def test_states_are_as_near_to_fp32_as_the_modules_are(model):
    exact = copy.deepcopy(model).float()
    with torch.no_grad():
        states = by_steps(model, texts(), WANTED)
    pairs = [(text, places) for text, places in zip(texts(), WANTED, strict=True) if places]
    want = torch.cat([by_modules(exact, *one) for one in pairs])
    usual = torch.cat([by_modules(model, *one) for one in pairs])
    assert states.shape == want.shape == (8, model.config.hidden_size)
    ours, theirs = ((x.float() - want).norm(dim=-1).median() for x in (states, usual))
    assert ours < 1.3 * theirs


def test_routes_are_told_of_every_token_in_its_order(model):
    with torch.no_grad(), Capture(model) as capture:
        assert len(by_steps(model, texts(), [()] * len(LENGTHS))) == 0
        together, weights = capture.take()
        for text in filter(None, texts()):
            by_steps(model, [text], [()])
        alone, _ = capture.take()
        usual = []
        for text in filter(None, texts()):
            by_modules(model, text, [0])
            usual.append(capture.take()[0])
    assert together.shape == weights.shape
    assert len(together) == sum(LENGTHS)
    assert torch.equal(together, alone)
    assert (together.sort().values == torch.cat(usual).sort().values).float().mean() > 0.95


def test_lora_is_read_and_what_is_no_lora_is_not(model):
    ids, places = [ids_of(90)], [[*range(90)]]
    with torch.no_grad():
        bare = by_steps(model, ids, places)
        undo = [part.attach(model) for part in random_parts(model.config)]
        beside, usual = by_steps(model, ids, places), by_modules(model, ids[0], places[0])
        for take_away in undo:
            take_away()
        way, rounding = ((beside - x).float().norm(dim=-1).median() for x in (bare, usual))
        assert rounding < 0.2 * way  # of most tokens: some routes hang on rounding
        assert torch.equal(bare, by_steps(model, ids, places))
        router = f"{LAYER}.mlp.router"
        undo = RouterDelta(router, torch.zeros(8, 64), torch.zeros(8)).attach(model)
        assert by_steps(model, ids, places) is None
        undo()
    assert by_steps(model, ids, places) is None  # gradients are asked for


def test_a_model_in_fp32_goes_module_by_module():
    ours, pieces, wanted = pair()[0], [ids_of(30), ids_of(9, 1)], [[0, 29], [8]]
    with torch.no_grad():
        assert by_steps(ours, pieces, wanted) is None
        states = read(ours, pieces, wanted)
    alone = torch.cat([by_modules(ours, *one) for one in zip(pieces, wanted, strict=True)])
    assert (states - alone).abs().max() < 1e-4
    assert read(ours, pieces, wanted).requires_grad

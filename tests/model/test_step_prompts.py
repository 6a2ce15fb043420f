"""The one-call step against the modules over 200 prompts: tiny, built-in, and of 20b shapes."""

import copy
from itertools import product

import pytest
import torch

from benchmarks.make_checkpoint import make
from gptoss_magic.harmony import HarmonyCodec
from gptoss_magic.model.backends import native
from gptoss_magic.model.kv_cache import KVCache, fed_behind
from gptoss_magic.model.load import LoadSettings, load
from gptoss_magic.model.step import DecodeStep
from tests.model.test_step import ids_of, pair

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(native()[0] is None, reason="no C++ library"),
]
ASKED = """What is {n} times {n}?
Сколько будет {n} плюс {n}?
Name {n} rivers.
{n} слов о море
def f{n}(x): return
["n", {n}, "of",
Translate: 'море {n}'
Why is {n} odd?
The year {n} began with
写{n}行诗""".splitlines()
PROMPTS = [text.format(n=n) for n, text in product(range(3, 43, 2), ASKED)]
SAID = 8  # tokens behind each prompt


def answers(model, ids):
    """(modules' logits [SAID, V], the step's) behind a prompt and the modules' greedy tokens."""
    caches = [KVCache(model.config) for _ in range(2)]
    step, said, by_step = DecodeStep(model), [], []
    with torch.no_grad():
        assert not step.why_not(1)
        model(torch.tensor([ids[:-1]]), past_key_values=caches[0], use_cache=True)
        caches[1].copy_of(caches[0], len(ids) - 1)
        token = ids[-1]
        for _ in range(SAID):
            new = torch.tensor([[token]])
            said.append(model(new, past_key_values=caches[0], use_cache=True).logits[0, -1])
            by_step.append(step.run(fed_behind(caches[1:], [[token]], model.dtype), [0])[0])
            caches[1].grow(1)
            token = int(said[-1].argmax())
    return torch.stack(said), torch.stack(by_step)


def built_in(dtype):
    resident = load(LoadSettings(), lambda *_: None)
    codec = HarmonyCodec(resident.tokenizer)
    prompts = [codec.encode(f"user{text}assistant") for text in PROMPTS]
    return resident.model.to(dtype), prompts


def test_there_are_200_prompts():
    assert len(set(PROMPTS)) == 200


def test_in_fp32_the_same_tokens_and_logits():
    model, prompts = pair()[0], [ids_of(5 + n % 40, n) for n in range(len(PROMPTS))]
    for ids in prompts:
        want, made = answers(model, ids)
        assert (made - want).abs().max() < 1e-4 * max(1, want.abs().max())
        assert torch.equal(made.argmax(-1), want.argmax(-1))


def test_the_built_in_model_in_fp32_says_the_same():
    model, prompts = built_in(torch.float32)
    for ids in prompts:
        want, made = answers(model, ids)
        assert (made - want).abs().max() < 1e-4 * want.abs().max()
        assert torch.equal(made.argmax(-1), want.argmax(-1))


def test_packed_layers_of_20b_shapes_say_the_same(tmp_path):
    model = load(LoadSettings(str(make("20b", 4, tmp_path / "model"))), lambda *_: None).model
    apart, same = [], []
    for number in range(len(PROMPTS)):
        want, made = (one.float() for one in answers(model, ids_of(5 + number % 40, number)))
        apart.append(((made - want).abs().mean() / want.std()).item())
        same.append((made.argmax(-1) == want.argmax(-1)).float().mean().item())
    mean_apart, mean_same = (sum(values) / len(values) for values in (apart, same))
    print(f"mean distance {mean_apart:.4f} of the logits' spread; {mean_same:.4f} tokens alike")
    assert mean_apart < 0.02
    assert mean_same > 0.98


def test_in_bf16_it_is_as_near_to_fp32_as_the_modules_are():
    model, prompts = built_in(torch.bfloat16)
    wide, errors, same = copy.deepcopy(model).float(), [], [0, 0]
    for ids in prompts[::4]:
        want = answers(wide, ids)[0]
        ours = answers(model, ids)
        errors.append([(one.float() - want)[0].abs().mean() for one in ours])
        for way, one in enumerate(ours):
            same[way] += int(one[0].argmax() == want[0].argmax())
    by_modules, by_step = torch.tensor(errors).mean(0).tolist()
    print(f"mean error: modules {by_modules:.4f}, step {by_step:.4f}; likeliest token {same}")
    assert by_step < 1.25 * by_modules

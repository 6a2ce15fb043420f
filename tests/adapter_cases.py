"""Tiny models in pairs (resident, and transformers' own with the same values), and adapters."""

import copy

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import GptOssForCausalLM

from gptoss_magic.adapters import Adapter
from gptoss_magic.model.load import LoadSettings, load
from gptoss_magic.model.mxfp4 import unpack
from gptoss_magic.model.parts import ExpertLora, LinearLora, RouterDelta, RouterLora
from gptoss_magic.model.resident import make_resident
from gptoss_magic.testing import tiny_checkpoint, tiny_model

IDS = torch.randint(8, 264, (1, 60), generator=torch.Generator().manual_seed(1))
ROUTER = "model.layers.{}.mlp.router"
EXPERTS = "model.layers.{}.mlp.experts"


def quiet(done, total, note):
    """A progress that shows nothing."""


def plain_pair():
    plain, _ = tiny_model(3)
    ours = copy.deepcopy(plain)
    make_resident(ours)
    return ours.requires_grad_(False), plain


def packed_pair(folder):
    """(packed model in fp32, transformers' own with the dequantised values)."""
    ours = load(LoadSettings(str(tiny_checkpoint(folder / "packed", packed=True))), quiet).model
    config = copy.deepcopy(ours.config)
    del config.quantization_config
    config._attn_implementation = "eager"  # noqa: SLF001
    plain, state = GptOssForCausalLM(config), ours.state_dict()
    for key in [k.removesuffix("_blocks") for k in state if k.endswith("_blocks")]:
        weight = unpack(state.pop(f"{key}_blocks"), state.pop(f"{key}_scales"))
        state[key] = weight.transpose(1, 2)
    plain.load_state_dict(state)
    return ours.float(), plain.eval()


def made_by_peft(plain, folder, config, seed=0):
    """(logits beside it in peft, directory): an adapter of random numbers, none zero."""
    model = get_peft_model(copy.deepcopy(plain), config)
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn(parameter.shape, generator=draw) * 0.1)
        model.save_pretrained(folder)
        return (
            PeftModel.from_pretrained(copy.deepcopy(plain), folder)
            .eval()(IDS)
            .logits[:, -IDS.shape[1] :]
        )


def in_peft(plain, folder):
    with torch.no_grad():
        return (
            PeftModel.from_pretrained(copy.deepcopy(plain), folder)
            .eval()(IDS)
            .logits[:, -IDS.shape[1] :]
        )


def logits(shelf, *names):
    from gptoss_magic.model.kv_cache import KVCache

    with torch.no_grad(), shelf.active(names or ("none",)) as active:
        cache = KVCache(shelf.model.config)
        active.fill(shelf.model, cache)
        return shelf.model(IDS, past_key_values=cache, use_cache=True).logits


def lora(**given):
    return LoraConfig(**({"r": 4, "lora_alpha": 8, "target_modules": []} | given))


def randn(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * 0.1


def expert_lora(experts, rank=3, layer=1, projection="gate_up_proj", seed=0, scaling=2.0):
    rows = 128 if projection == "gate_up_proj" else 64
    pair = (
        randn(len(experts), rank, 64, seed=seed),
        randn(len(experts), rows, rank, seed=seed + 1),
    )
    return ExpertLora(EXPERTS.format(layer), projection, experts, pair, scaling)


def mixed(name="mixed"):
    """Parts of each kind that peft's LoRA can hold together."""
    parts = (
        LinearLora("model.layers.0.self_attn.q_proj", randn(2, 64), randn(64, 2, seed=1), 2.0),
        LinearLora("lm_head", randn(4, 64, seed=2), randn(264, 4, seed=3), 0.5),
        RouterLora(ROUTER.format(0), randn(2, 64, seed=4), randn(8, 2, seed=5), 1.0),
        RouterDelta(ROUTER.format(1), randn(8, 64, seed=6), randn(8, seed=7)),
        expert_lora((0, 3, 5), layer=0, seed=8),
        expert_lora((1, 2), rank=2, layer=1, projection="gate_up_proj", seed=10),
        expert_lora((2, 7), rank=5, layer=1, projection="down_proj", seed=12),
    )
    return Adapter(name, parts)


def same_parts(first, second):
    assert len(first.parts) == len(second.parts)
    by_place = {_place(part): part for part in second.parts}
    for part in first.parts:
        other = by_place[_place(part)]
        assert type(part) is type(other)
        assert getattr(part, "experts", None) == getattr(other, "experts", None)
        assert getattr(part, "scaling", None) == getattr(other, "scaling", None)
        mine, theirs = dict(part.named_parameters()), dict(other.named_parameters())
        assert mine.keys() == theirs.keys()
        assert all(torch.equal(mine[key], theirs[key]) for key in mine)


def _place(part):
    return part.target, getattr(part, "projection", ""), getattr(part, "expert", -1)

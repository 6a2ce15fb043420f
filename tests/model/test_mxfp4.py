"""MXFP4 against transformers' own unpacking, and the packed variant of the built-in model."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers.integrations.mxfp4 import convert_moe_packed_tensors

from gptoss_magic.model import stand_in
from gptoss_magic.model.checkpoint import read_checkpoint
from gptoss_magic.model.mxfp4 import nearest, pack, unpack, values
from gptoss_magic.model.stand_in.quantize import best_exponents, gptq


def test_every_byte_unpacks_as_transformers_does():
    blocks = torch.arange(256, dtype=torch.uint8).reshape(1, 4, 4, 16)
    for scale in (2, 100, 127, 128, 200):
        scales = torch.full((1, 4, 4), scale, dtype=torch.uint8)
        want = convert_moe_packed_tensors(blocks, scales, dtype=torch.float32)
        assert torch.equal(unpack(blocks, scales).transpose(1, 2), want)


@settings(max_examples=50)
@given(st.integers(0, 2**31), st.integers(1, 5), st.integers(1, 4))
def test_pack_undoes_unpack(seed, rows, groups):
    draw = torch.Generator().manual_seed(seed)
    codes = torch.randint(0, 16, (rows, 32 * groups), generator=draw, dtype=torch.uint8)
    exponents = torch.randint(-60, 60, (rows, groups), generator=draw)
    blocks, scales = pack(codes, exponents)
    want = values()[codes.long()] * torch.exp2(exponents.float()).repeat_interleave(32, dim=1)
    assert torch.equal(unpack(blocks, scales), want)
    again = pack(
        nearest(unpack(blocks, scales) / torch.exp2(exponents.float()).repeat_interleave(32, 1)),
        exponents,
    )
    assert torch.equal(unpack(*again), want)


def test_nearest_is_the_nearest():
    x = torch.linspace(-6, 6, 4001)
    distance = (x[:, None] - values()[None]).abs()
    assert torch.allclose((x - values()[nearest(x).long()]).abs(), distance.min(1).values)


def test_gptq_keeps_outputs_closer_than_plain_rounding():
    draw = torch.Generator().manual_seed(0)
    weight = torch.randn(48, 128, generator=draw) / 12
    inputs = torch.randn(2000, 128, generator=draw) @ torch.randn(128, 128, generator=draw) / 11
    moments = inputs.T @ inputs / len(inputs)
    exponents = [best_exponents(w, torch.ones(32)) for w in weight.split(32, dim=1)]
    scales = torch.exp2(torch.cat(exponents, 1)).repeat_interleave(32, dim=1)
    plain = values()[nearest(weight / scales).long()] * scales
    ours = unpack(*gptq(weight, moments, 0.02))

    def error(rounded):
        return (inputs @ (rounded - weight).T).norm() / (inputs @ weight.T).norm()

    assert error(ours) < 0.8 * error(plain)


@pytest.mark.slow
def test_the_packed_variant_is_small_and_close(tmp_path):
    from safetensors.torch import load_file
    from transformers import AutoTokenizer, GptOssForCausalLM

    from gptoss_magic.harmony import HarmonyCodec, render
    from tools.stand_in.following import training

    plain_path, packed_path = stand_in.checkpoint(), stand_in.checkpoint(packed=True)
    packed = read_checkpoint("packed", packed_path)
    assert packed.is_packed
    assert packed.num_bytes < 300e6
    model = GptOssForCausalLM.from_pretrained(plain_path)
    codec = HarmonyCodec(AutoTokenizer.from_pretrained(plain_path))
    rows = [render([*c.prompt(), *c.completion()], codec) for c in training(999, 30)]

    def loss():
        with torch.no_grad():
            found = [model(torch.tensor([r]), labels=torch.tensor([r])).loss for r in rows]
        return float(torch.stack(found).mean())

    before, state = loss(), load_file(packed_path / "model.safetensors")
    for key in [k.removesuffix("_blocks") for k in state if k.endswith("_blocks")]:
        weight = unpack(state.pop(f"{key}_blocks"), state.pop(f"{key}_scales")).transpose(1, 2)
        state[key] = weight.to(torch.bfloat16)
    found = model.load_state_dict(state, strict=False)
    assert not found.unexpected_keys
    after = loss()
    print(f"loss {before:.3f} in bf16, {after:.3f} in MXFP4, {packed.num_bytes / 1e6:.0f} MB")
    assert after < before + 0.1

"""bf16 products by way of fp32, against fp64."""

import os
import platform
import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import linear

from gptoss_magic.model.wide import wide_linear

ROUNDING = 2**-8  # of a bf16 number, half of the last place


@settings(max_examples=30)
@given(st.integers(0, 2**31), st.integers(1, 9), st.integers(1, 40), st.booleans(), st.booleans())
def test_values_and_gradients_are_the_exact_ones_rounded_once(seed, rows, size, biased, turned):
    torch.manual_seed(seed)
    x = torch.randn(2, rows, size).bfloat16().requires_grad_()
    w = torch.randn(size, 7).bfloat16().T if turned else torch.randn(7, size).bfloat16()
    w = w.requires_grad_()
    bias = torch.randn(7).bfloat16().requires_grad_() if biased else None
    slopes = torch.randn(2, rows, 7).bfloat16()
    given = [tensor for tensor in (x, w, bias) if tensor is not None]
    y = wide_linear(x, w, bias)
    y.backward(slopes)
    exact = [tensor.detach().double().requires_grad_() for tensor in given]
    expected = linear(exact[0], exact[1], exact[2] if biased else None)
    expected.backward(slopes.double())
    assert y.dtype == torch.bfloat16
    close(y, expected)
    for ours, theirs in zip(given, exact, strict=True):
        assert ours.grad.dtype == torch.bfloat16
        close(ours.grad, theirs.grad)


def close(ours, exact):
    torch.testing.assert_close(ours.double(), exact.double(), rtol=ROUNDING, atol=1e-4)


WHOLE = """
import torch
from gptoss_magic.model.resident import make_resident
from gptoss_magic.model.wide import is_slow
from gptoss_magic.testing import tiny_model

every = {"num_experts_per_tok": 8}  # so that no rounding sends a token elsewhere
ids = torch.arange(40)[None] + 8
ours = tiny_model(**every)[0].bfloat16()
exact = tiny_model(**every)[0]
exact.load_state_dict({name: w.float() for name, w in ours.state_dict().items()})
make_resident(ours)
with torch.no_grad():
    expected, said = exact(ids).logits, ours(ids).logits.float()
assert (said - expected).abs().max() < 0.03 * expected.abs().max()
for model in (ours, exact):
    model(ids, labels=ids).loss.backward()
for (name, p), q in zip(ours.named_parameters(), exact.parameters(), strict=True):
    far = (p.grad.float() - q.grad).norm() / q.grad.norm()
    assert far < 0.1, (name, far)
print(is_slow(torch.zeros(1, dtype=torch.bfloat16)))
"""


@pytest.mark.parametrize(("capability", "is_slow"), [("default", False), ("avx2", True)])
def test_a_whole_model_says_what_fp32_says_up_to_rounding(capability, is_slow):
    if platform.machine() not in ("x86_64", "AMD64"):
        pytest.skip("torch takes these capabilities on x86 alone")
    around = {**os.environ, "ATEN_CPU_CAPABILITY": capability}
    run = subprocess.run(
        [sys.executable, "-c", WHOLE], env=around, capture_output=True, text=True, check=False
    )
    assert run.stdout.split() == [str(is_slow)], run.stderr

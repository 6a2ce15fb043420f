"""Whole models side by side: processes that stay, and the file that llama.cpp reads."""

import json
import subprocess
import sys
from contextlib import closing

import numpy as np
import psutil
import pytest
import torch

from benchmarks.__main__ import FIGURES, QUICK
from benchmarks.gguf_model import as_gguf
from benchmarks.models import Speed, middle, prompt, speeds
from benchmarks.process import Process, busy_neighbour, ours
from gptoss_magic.model.mxfp4 import unpack
from gptoss_magic.testing import tiny_checkpoint

NAMES = """
decode_vs_transformers decode_bandwidth_share decode_busy_share decode_vs_llamacpp
prefill_vs_llamacpp builtin_decode_vs_llamacpp builtin_prefill_vs_llamacpp decode_busy_vs_llamacpp
stream_overhead prefill_packed_vs_transformers load_peak_memory_vs_packed decode_with_adapter_share
"""


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return tiny_checkpoint(tmp_path_factory.mktemp("model") / "packed", packed=True)


def test_what_matters_is_in_the_quick_run():
    assert set(NAMES.split()) <= set(QUICK) <= set(FIGURES)


def test_our_side_answers_a_line_with_numbers(checkpoint, tmp_path):
    ids = prompt()[:12]
    with closing(ours(str(checkpoint))) as side:
        assert all(seconds > 0 for seconds in side.ask(3, *ids))
        assert all(seconds > 0 for seconds in side.ask("adapted", 3, *ids))
        vocabulary = json.loads((checkpoint / "config.json").read_text())["vocab_size"]
        assert side.ask("logits", tmp_path / "logits", *ids) == [vocabulary]
        active, total = side.ask("bytes")[0], (checkpoint / "model.safetensors").stat().st_size
    assert np.fromfile(tmp_path / "logits", np.float32).shape == (vocabulary,)
    assert 0 < active < total


def test_a_process_that_does_not_start_or_ends_is_named():
    with pytest.raises(RuntimeError, match="the peer did not start"):
        Process([sys.executable, "-c", "print('no')"], "the peer")
    with closing(Process([sys.executable, "-c", "print('ready')"], "the peer")) as process:
        process.process.wait()
        with pytest.raises(RuntimeError, match=r"the peer ended \(exit status 0\)"):
            process.ask("anything")


def test_a_busy_neighbour_is_there_and_goes():
    before = set(psutil.Process().children())  # another test's helper may still be there
    with busy_neighbour():
        (child,) = set(psutil.Process().children()) - before
    assert not child.is_running()


ECHO = "print('ready', flush=True)\nfor line in open(0): print(0.5, 2.0, flush=True)"


def test_sides_take_turns_alone_and_beside_a_busy_process():
    with closing(Process([sys.executable, "-c", ECHO], "echo")) as side:
        found = speeds({"echo": side}, 2)
        quiet = speeds({"echo": side}, 1, with_busy=False)
    assert found == {("echo", False): Speed(512.0, 12.0), ("echo", True): Speed(512.0, 4.0)}
    assert quiet == {("echo", False): Speed(512.0, 12.0)}
    assert middle([Speed(1, 9), Speed(2, 8), Speed(6, 1)]) == Speed(2, 8)


def test_a_gguf_has_the_values_of_its_checkpoint(checkpoint):
    from gguf import GGUFReader
    from gguf.quants import dequantize
    from safetensors.torch import load_file

    state = load_file(checkpoint / "model.safetensors")
    reader = GGUFReader(as_gguf(checkpoint))
    held = {t.name: torch.tensor(dequantize(t.data, t.tensor_type)) for t in reader.tensors}
    assert str(reader.fields["general.architecture"].contents()) == "gpt-oss"
    experts = "model.layers.1.mlp.experts"
    up, down = (
        unpack(state[f"{experts}.{name}_blocks"], state[f"{experts}.{name}_scales"], torch.float32)
        for name in ("gate_up_proj", "down_proj")
    )
    for name, theirs in (
        ("ffn_gate_exps.weight", up[:, ::2]),
        ("ffn_up_exps.weight", up[:, 1::2]),
        ("ffn_down_exps.weight", down),
        ("ffn_up_exps.bias", state[f"{experts}.gate_up_proj_bias"][:, 1::2]),
        ("ffn_gate_inp.weight", state["model.layers.1.mlp.router.weight"]),
        ("attn_sinks.weight", state["model.layers.1.self_attn.sinks"]),
        ("attn_q.bias", state["model.layers.1.self_attn.q_proj.bias"]),
        ("attn_output.weight", state["model.layers.1.self_attn.o_proj.weight"]),
        ("post_attention_norm.weight", state["model.layers.1.post_attention_layernorm.weight"]),
    ):
        assert torch.equal(held[f"blk.1.{name}"], theirs.float()), name
    assert torch.equal(held["output.weight"], state["lm_head.weight"].float())
    assert len(held) == len(state) - sum(key.endswith("_scales") for key in state) + 2 * (
        sum(key.endswith("gate_up_proj_blocks") for key in state)
    )


def test_an_unknown_option_of_the_bench_is_refused():
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--quicker"], capture_output=True, check=False
    )
    assert done.returncode == 2

"""The built-in model against its source, and what happens without it."""

import shutil
import subprocess

import pytest
import torch

from gptoss_magic.errors import CheckpointError, StorageError
from gptoss_magic.model import stand_in
from gptoss_magic.model.stand_in import convert
from gptoss_magic.model.stand_in.mixture import read_mixture
from gptoss_magic.model.stand_in.source import verified_source
from tests.warm import python
from tools.stand_in.blend import scaled


def test_converted_logits_of_experts_that_do_not_differ_agree_with_the_source():
    dense = convert.dense_model(verified_source())
    copies = scaled(read_mixture(), 0.0)
    ours = convert.in_memory(dense, convert.upcycled(dense, copies))
    ids = torch.randint(20, 40_000, (2, 48), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        want, got = dense(ids).logits, ours(ids).logits
    assert (want - got).abs().max() < 1e-3
    assert (want.argmax(-1) == got.argmax(-1)).all()


def test_a_wrong_source_is_refused():
    with pytest.raises(CheckpointError, match="force-reinstall"):
        verified_source("0" * 64)


def test_an_unwritable_cache_is_one_line(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("x")
    with pytest.raises(StorageError, match="GPTOSS_MAGIC_CACHE"):
        stand_in.checkpoint(blocked / "cache")


def test_an_interrupted_conversion_leaves_nothing(tmp_path):
    def interrupt(note, share):
        if note == "writing":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stand_in.checkpoint(tmp_path, progress=interrupt)
    assert [p.name for p in tmp_path.iterdir() if p.is_dir()] == []
    shutil.rmtree(tmp_path)


def test_script_answers_a_fact_greedily_like_transformers():
    code = (
        "import gptoss_magic as g, torch\n"
        "g.load('built-in')\n"
        "a = g.generate('What is the capital of France?', date='2025-08-05')\n"
        "from gptoss_magic.session import current\n"
        "resident, engine = current().require(), current().local_engine\n"
        "ids = torch.tensor([a.provenance['prompt_tokens']])\n"
        "out = resident.model.generate(ids, attention_mask=torch.ones_like(ids),\n"
        "    max_new_tokens=512, do_sample=False, eos_token_id=[5, 6], pad_token_id=0)\n"
        "assert out[0, ids.shape[1]:].tolist() == list(a.raw_tokens), 'differs'\n"
        "assert 'Paris' in a.final and a.analysis and a.finish == 'return'\n"
        "assert g.load('built-in').endswith('already')\n"
    )
    done = subprocess.run([python(), "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_script_scores_the_routing_of_sums_and_questions_apart():
    code = (
        "import gptoss_magic as g\n"
        "g.load('built-in')\n"
        "ask = {'max_tokens': 24, 'date': '2025-08-05'}\n"
        "sums = g.score_routing(['What is 12 + 30?', 'Add 15 and 16.'], **ask)\n"
        "more = g.score_routing(['What is 7 times 8?', 'Take 4 from 9.'], **ask)\n"
        "talk = g.score_routing(['Who wrote Faust?', 'Why is the sky blue?'], **ask)\n"
        "near, far = (g.compare_routing(sums, b).distance().mean() for b in (more, talk))\n"
        "assert near < 0.8 * far, (near, far)\n"
        "assert sums.share['analysis'].shape == (30, 4) and sums.reap, 'analysis'\n"
        "assert all(1 <= len(hot) <= 2 for hot in sums.hot(0.5)), sums.hot(0.5)\n"
        "a = g.generate('Who wrote Faust?', max_tokens=6, routing=True)\n"
        "assert len(a.routing.ids) == a.usage.prompt_tokens + 5\n"
        "b = g.generate('Who wrote Faust?', max_tokens=6, mask_experts='*:0', routing=True)\n"
        "assert (b.routing.ids != 0).all() and b.provenance['probe']\n"
        "print(near, far)\n"
    )
    done = subprocess.run([python(), "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

"""Every weight trained: in the base's place while attached, rounded by chance, kept as a model."""

import json
from importlib.util import find_spec

import pytest
import torch
from safetensors.torch import load_file, save_file

import gptoss_magic
from gptoss_magic.errors import DoesNotFit, InputError
from gptoss_magic.model.load import LoadSettings, load
from gptoss_magic.runs.prepare import resume
from gptoss_magic.runs.report import finish
from gptoss_magic.runs.whole_model import loss_in_mxfp4, write_model
from gptoss_magic.session import current
from gptoss_magic.testing import tiny_checkpoint, tiny_model
from gptoss_magic.tuning.control import Control
from gptoss_magic.tuning.dry_run import dry_run
from gptoss_magic.tuning.methods import make_parts, settings_of
from gptoss_magic.tuning.methods.context import Context
from gptoss_magic.tuning.plan import require_fit
from gptoss_magic.tuning.rounded import RoundedAdamW, rounded
from gptoss_magic.tuning.runs import read_run
from gptoss_magic.tuning.settings import TrainSettings
from gptoss_magic.tuning.streamed import write_streamed
from tests.ranks.cases import prepared
from tests.ranks.parity import apart
from tests.shell_cells import new_shell

CONTEXT = 16_384
IDS = torch.arange(8, 40)[None]


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    return tiny_checkpoint(
        tmp_path_factory.mktemp("packed") / "tiny", packed=True, max_position_embeddings=CONTEXT
    )


@pytest.fixture
def loaded(brief, packed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    gptoss_magic.load(packed, context=CONTEXT, replace=True)
    yield tmp_path
    gptoss_magic.unload()


def logits(model):
    with torch.no_grad():
        return model(IDS).logits[0].float()


def are_close(a, b):
    """Up to rounding in bf16, which sends some tokens of so small a model to another expert."""
    return apart(a, b) < 0.08


def parts_of(model):
    return make_parts(model, Context(settings_of("full")))


@pytest.mark.parametrize("is_tied", [False, True])
def test_the_parts_are_all_weights_and_change_nothing_until_they_are_trained(tmp_path, is_tied):
    path = tiny_checkpoint(tmp_path / "tiny", packed=True, tie_word_embeddings=is_tied)
    model = load(LoadSettings(str(path), "cpu"), lambda *_: None).model
    base = logits(model)
    parts = parts_of(model)
    dense, _ = tiny_model(tie_word_embeddings=is_tied)
    assert sum(p.num_parameters for p in parts) == sum(p.numel() for p in dense.parameters())
    undo = [part.attach(model) for part in parts]
    assert torch.allclose(logits(model), base, atol=0.05)
    with torch.no_grad():
        for part in parts:
            for p in part.parameters():
                p.mul_(1.25)
    changed = logits(model)
    assert (changed - base).abs().max() > 0.1
    for part in parts:
        part.scale = 0.0
    assert torch.equal(logits(model), base)
    for part in parts:
        part.scale = 0.5
    half = logits(model)
    assert not torch.equal(half, base)
    assert not torch.equal(half, changed)
    for part in parts:
        part.scale = 1.0
    assert torch.equal(logits(model), changed)
    for take_away in undo:
        take_away()
    assert torch.equal(logits(model), base)
    assert hasattr(model.get_decoder().layers[0].mlp.experts, "packed")


def test_what_stands_for_good_lets_the_base_go(packed):
    model = load(LoadSettings(str(packed), "cpu"), lambda *_: None).model
    for part in parts_of(model):
        part.stay(model)
        part.attach(model)()  # neither puts nor takes
    assert not hasattr(model.get_decoder().layers[0].mlp.experts, "packed")


def test_chance_is_right_on_average_and_the_same_for_the_same_step():
    draw = torch.Generator().manual_seed(3)
    value = torch.full((200_000,), 1.0 + 2**-9)  # a quarter of the way to the next bf16
    found = rounded(value, torch.bfloat16, draw)
    assert set(found.tolist()) == {1.0, 1.0 + 2**-7}
    assert float(found.double().mean()) == pytest.approx(1 + 2**-9, abs=1e-4)
    again = rounded(value, torch.bfloat16, torch.Generator().manual_seed(3))
    assert torch.equal(found, again)
    infinite = torch.tensor([float("inf"), -float("inf"), 0.0])
    assert torch.equal(rounded(infinite, torch.bfloat16, draw).float(), infinite)


def test_its_steps_are_adamw_s_but_for_the_rounding():
    draw = torch.Generator().manual_seed(0)
    start = torch.randn(4096, generator=draw).bfloat16().float()
    ours, theirs = (torch.nn.Parameter(start.clone()) for _ in range(2))
    half = torch.nn.Parameter(start.bfloat16())
    mine, peer = RoundedAdamW([ours]), torch.optim.AdamW([theirs], lr=0.0, weight_decay=0.0)
    low = RoundedAdamW([half])
    for optimizer in (mine, peer, low):
        optimizer.param_groups[0]["lr"] = 1e-4
    for _ in range(30):
        slope = torch.randn(4096, generator=draw) + 1
        ours.grad = theirs.grad = slope
        half.grad = slope.bfloat16()
        for optimizer in (mine, peer, low):
            optimizer.step()
    assert torch.allclose(ours, theirs, rtol=0, atol=1e-6)
    moved = float((theirs.detach() - start).mean())
    assert float((half.detach().float() - start).mean()) == pytest.approx(moved, rel=0.1)


def test_a_streamed_file_is_what_safetensors_writes(tmp_path):
    tensors = {
        "a": torch.randn(3, 5),
        "scalar": torch.tensor(7.0),
        "empty": torch.zeros(0, 4),
        "half": torch.randn(2, 3).bfloat16(),
        "bytes": torch.arange(7, dtype=torch.uint8),
    }
    about = [(name, t.dtype, t.shape) for name, t in tensors.items()]
    write_streamed(tmp_path / "ours.safetensors", about, iter(tensors.values()))
    save_file(tensors, tmp_path / "theirs.safetensors")
    ours, theirs = (load_file(tmp_path / f"{name}.safetensors") for name in ("ours", "theirs"))
    assert set(ours) == set(theirs)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def trained(name, steps=6, **settings):
    tuning = prepared(name, steps, method="full", **settings)
    for _ in tuning.steps(Control()):
        pass
    return tuning


def test_a_run_ends_as_a_model_that_loads_here_and_in_transformers(loaded, capsys):
    from transformers import GptOssForCausalLM

    tuning = trained("whole")
    assert tuning.trainer.progress.history[-1].loss < tuning.trainer.progress.history[0].loss
    report = finish(tuning)
    assert report.held_out[1] < report.held_out[0]
    assert "modules in full" in report.attached
    assert current().shelf.default == ("whole",)
    resident = current().require_local().model
    with current().shelf.active(("whole",)):
        wanted = logits(resident)
    assert not are_close(logits(resident), wanted)
    place = loaded / "runs/whole/model"
    theirs = GptOssForCausalLM.from_pretrained(place, dtype="auto").eval()
    assert theirs.dtype == torch.bfloat16
    held = theirs.state_dict()
    for part in tuning.trainer.parts:
        for name, value in part.own_tensors().items():
            assert torch.equal(held[name], value), name
    assert are_close(logits(theirs), wanted)
    shell = new_shell()
    shell.run_line_magic("gptoss", "runs export whole four --mxfp4 --runs runs")
    said = capsys.readouterr().out
    assert "whole written to four, its experts in MXFP4: %gptoss load four" in said
    assert "of what was learned is left" in said
    ours = load(LoadSettings(str(place), "cpu"), lambda *_: None).model
    assert are_close(logits(ours), wanted)
    four = load(LoadSettings("four", "cpu"), lambda *_: None).model
    assert hasattr(four.get_decoder().layers[0].mlp.experts, "packed")
    again = resume("whole", loaded / "runs", watched=False)
    loss = loss_in_mxfp4(again)
    undo = [part.attach(resident) for part in again.trainer.parts]
    assert are_close(logits(resident), logits(four))
    for take_away in undo:
        take_away()
    assert f"{loss:.3f} in MXFP4" in said


def test_it_goes_on_as_if_nothing_had_been(loaded):
    straight = trained("straight")
    first, control = prepared("cut", 6, method="full"), Control()
    for metrics in first.steps(control):
        if metrics.step == 3:
            control.stop()
    second = resume("cut", loaded / "runs", watched=False)
    for _ in second.steps(Control()):
        pass
    losses = [[m.loss for m in t.trainer.progress.history] for t in (straight, second)]
    assert losses[0] == losses[1]
    for a, b in zip(straight.trainer.weights, second.trainer.weights, strict=True):
        assert torch.equal(a, b)


def test_what_is_no_whole_model_is_not_written_as_one(loaded):
    tuning = prepared("small", 2, method="lora")
    with pytest.raises(InputError, match="small: an adapter by lora"):
        write_model(read_run(tuning.run.folder), loaded / "out")
    shell = new_shell()
    for line, words in (
        ("runs export small", "give the name of one run, and a new directory"),
        ("runs export small out --runs runs", "an adapter by lora"),
        ("runs show small --mxfp4 --runs runs", "beside export only"),
    ):
        with pytest.raises(InputError, match=words):
            shell.run_line_magic("gptoss", line)
    assert not (loaded / "out").exists()


def test_the_plan_refuses_it_in_words_where_memory_does_not_suffice():
    plan = dry_run("120b", 80 * 10**9, settings_of("full"), TrainSettings())
    said = r"120b by full needs \d{4}\.\d\d GB on cuda but 80\.00 GB are free; --method experts"
    with pytest.raises(DoesNotFit, match=said):
        require_fit(plan)
    assert [name for name, _ in plan.rows()][1] == "all weights, 16 bits"
    eight = dry_run("20b", 180 * 10**9, settings_of("full", adam="8-bit"), TrainSettings())
    assert eight.fits
    assert [name for name, _ in eight.rows()][3] == "optimizer, 8 bits"


@pytest.mark.skipif(find_spec("torchao") is not None, reason="torchao is here")
def test_8_bits_without_torchao_are_refused_in_one_line(loaded):
    with pytest.raises(InputError, match="torchao is not installed") as told:
        prepared("eight", 2, method="full", adam="8-bit")
    assert "\n" not in str(told.value)
    assert not (loaded / "runs").exists()


def test_8_bits_train_and_go_on(loaded):
    pytest.importorskip("torchao")
    straight = trained("straight", 4, adam="8-bit")
    first, control = prepared("eight", 4, method="full", adam="8-bit"), Control()
    for metrics in first.steps(control):
        if metrics.step == 2:
            control.stop()
    second = resume("eight", loaded / "runs", watched=False)
    kinds = {type(v) for one in second.trainer.optimizer.state_dict()["state"].values()
             for v in one.values()}  # fmt: skip
    assert len(kinds) > 1  # means of 8 bits among them
    for _ in second.steps(Control()):
        pass
    losses = [m.loss for m in second.trainer.progress.history]
    assert losses[-1] < losses[0]
    wanted = [m.loss for m in straight.trainer.progress.history]
    assert losses == pytest.approx(wanted, rel=0.01)  # means are rounded again as they are read
    assert json.loads((first.run.folder / "run.json").read_text())["method"]["adam"] == "8-bit"

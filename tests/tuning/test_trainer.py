"""The trainer, its loss, the methods and the checkpoints, on the tiny random model in fp32."""

import copy
import json
import math
import os
import resource
import signal
import subprocess
import textwrap
from dataclasses import asdict, fields, replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gptoss_magic.errors import CheckpointError, InputError, StorageError
from gptoss_magic.model.resident import make_resident
from gptoss_magic.records import Example
from gptoss_magic.testing import tiny_checkpoint, tiny_model
from gptoss_magic.tuning.checkpoints import latest_checkpoint, load_checkpoint, save_checkpoint
from gptoss_magic.tuning.drift import Drifting
from gptoss_magic.tuning.layout import layout, revive
from gptoss_magic.tuning.loss import sequence_loss, token_losses
from gptoss_magic.tuning.methods import METHODS, adalora, make_parts, settings_of
from gptoss_magic.tuning.methods.context import Context
from gptoss_magic.tuning.methods.heads import head_scores
from gptoss_magic.tuning.settings import TrainSettings
from gptoss_magic.tuning.trainer import Trainer, TrainingWork, scheduled
from tests.warm import python

HOT = [[5, 2, 1], [3]]


class Free:
    """Nobody touches the controls."""

    stopped, rate = False, None

    def wait(self):
        return True


def examples(count=6, length=24, seed=0):
    draw = torch.Generator().manual_seed(seed)
    made = []
    for i in range(count):
        ids = torch.randint(8, 264, (length + i,), generator=draw).tolist()
        made.append(Example(tuple(ids), tuple(n >= 8 for n in range(len(ids)))))
    return made


def resident(seed=3):
    model, _ = tiny_model(seed)
    make_resident(model)
    return model.requires_grad_(False)


def context(name="experts", **settings):
    small = {"rank": 2, "num_virtual": 4}
    has = {field.name for field in fields(METHODS[name].settings)}
    small = {option: value for option, value in small.items() if option in has}
    found = settings_of(name, **small, **settings)
    return Context(found, seed=7, hot=HOT, sequences=[examples(2)])


def steps(count=8):
    rows = examples()
    return [[[rows[i % 6], rows[(i + 1) % 6]], [rows[(i + 2) % 6]]] for i in range(count)]


SETTINGS = TrainSettings(learning_rate=1e-2, eval_every=4)


def trainer(model, name="experts", count=8, **settings):
    parts = make_parts(model, context(name, **settings))
    return Trainer(model, parts, TrainingWork(steps(count), [examples(2, seed=5)]), SETTINGS)


def loss_by_transformers(model, example):
    labels = torch.tensor(
        [[t if on else -100 for t, on in zip(example.ids, example.trained, strict=True)]]
    )
    out = model(torch.tensor([example.ids]), labels=labels, use_cache=False)
    return out.loss * sum(example.trained[1:])


def test_a_packed_sequence_has_the_losses_of_its_examples_alone():
    plain, _ = tiny_model(3)
    rows = examples(3)
    wanted = sum(loss_by_transformers(plain, row) for row in rows)
    got = sequence_loss(resident(), rows)
    torch.testing.assert_close(got, wanted, atol=1e-3, rtol=1e-5)
    alone = torch.cat([token_losses(resident(), [row]) for row in rows]).sum()
    torch.testing.assert_close(alone, wanted, atol=1e-3, rtol=1e-5)


def test_the_gradient_is_that_of_transformers():
    model, (plain, _) = resident(), tiny_model(3)
    parts = make_parts(model, context("lora"))
    for part in parts:
        torch.nn.init.normal_(part.b, std=0.1)
    row = examples(1)[0]
    run = Trainer(model, parts, TrainingWork([[[row]]]), SETTINGS)
    with run._training():  # noqa: SLF001
        run._mean_loss([[row]], backward=True)  # noqa: SLF001
        mine = [parts[0].a.grad.clone(), parts[0].b.grad.clone()]
    deltas = {p.target: (p.a.detach(), p.b.detach()) for p in parts}
    ab = [t.clone().requires_grad_() for t in deltas[parts[0].target]]
    state = {
        f"{target}.weight": plain.get_submodule(target).weight.detach()
        + parts[0].scaling * (b @ a if target != parts[0].target else ab[1] @ ab[0])
        for target, (a, b) in deltas.items()
    }
    ids = torch.tensor([row.ids])
    labels = torch.where(torch.tensor([row.trained]), ids, -100)
    out = torch.func.functional_call(plain, state, (ids,), {"labels": labels, "use_cache": False})
    (out.loss * sum(row.trained[1:]) / sum(row.trained)).backward()
    for got, wanted in zip(mine, ab, strict=True):
        assert (got - wanted.grad).norm() <= 1e-4 * wanted.grad.norm()


@pytest.mark.parametrize("name", sorted(METHODS))
def test_each_method_changes_nothing_at_first_and_then_learns(name):
    model = resident()
    probe = torch.tensor([examples(1, seed=9)[0].ids])
    before = model(probe).logits
    run = trainer(model, name, count=12)
    assert run.weights
    if name not in ("prompt", "prefix"):
        with run._attached():  # noqa: SLF001
            torch.testing.assert_close(model(probe).logits, before, atol=1e-5, rtol=1e-5)
    found = list(run.run(Free()))
    assert [m.step for m in found] == list(range(1, 13))
    assert found[-1].loss < found[0].loss
    assert found[0].eval_loss is not None
    assert found[1].eval_loss is None
    torch.testing.assert_close(model(probe).logits, before, atol=0, rtol=0)
    assert not any(p.requires_grad for p in model.parameters())


def test_checkpointing_gives_the_same_weights():
    def weights(checkpointing):
        model = resident()
        parts = make_parts(model, context("last-layers", num_layers=1))
        run = Trainer(model, parts, TrainingWork(steps(3)), SETTINGS, checkpointing=checkpointing)
        list(run.run(Free()))
        return torch.cat([p.detach().flatten() for p in run.weights])

    torch.testing.assert_close(weights(True), weights(False), atol=1e-6, rtol=1e-5)


def test_experts_are_chosen_as_asked():
    model = resident()
    parts = make_parts(model, context(num_experts=2))
    assert [p.experts for p in parts] == [(2, 5), (2, 5), (3,), (3,)]
    random = make_parts(model, context(choice="random"))
    assert [len(p.experts) for p in random] == [3, 3, 1, 1]
    assert len(make_parts(model, context(choice="all"))[0].experts) == 8
    with pytest.raises(InputError, match="a layer has 8"):
        make_parts(model, context(num_experts=9))
    with pytest.raises(InputError, match="at most 2"):
        make_parts(model, context("experts-full", num_experts=3))


def test_only_the_chosen_heads_move():
    model = resident()
    run = trainer(model, "heads", num_heads=3)
    list(run.run(Free()))
    scores = head_scores(model, [examples(2)])
    chosen = {divmod(i, 4) for i in scores.flatten().topk(3).indices.tolist()}
    for part in run.parts:
        layer, name = int(part.target.split(".")[2]), part.target.split(".")[-1]
        moved = (part.b if name == "q_proj" else part.a.T).abs().sum(1).view(4, 16).sum(1) > 0
        assert {(layer, head) for head in range(4) if moved[head]} == {
            place for place in chosen if place[0] == layer
        }


def test_only_the_chosen_heads_move_when_the_parts_are_made_again():
    run = trainer(resident(), "heads", num_heads=3)
    parts = revive(json.loads(json.dumps(layout(run.parts))), "cpu")
    torch.nn.ModuleList(parts).load_state_dict(run.parts.state_dict())
    again = Trainer(run.model, parts, run.work, SETTINGS)
    list(again.run(Free()))
    for part in again.parts:
        is_query = part.target.endswith("q_proj")
        moved = (part.b if is_query else part.a.T).abs().sum(1).view(4, 16).sum(1) > 0
        assert [head for head in range(4) if moved[head]] == part.heads


def test_head_importance_is_the_gates_gradient():
    model, row = resident(), examples(1)
    scores = head_scores(model, [row])
    gate = model.model.layers[0].self_attn.o_proj
    width = 1e-2
    found = []
    for sign in (1, -1):
        hook = gate.register_forward_pre_hook(
            lambda _m, x, s=sign: (
                torch.cat([x[0][..., :16] * (1 + s * width), x[0][..., 16:]], -1),
            )
        )
        found.append(float(sequence_loss(model, row)))
        hook.remove()
    slope = abs(found[0] - found[1]) / (2 * width)
    assert float(scores[0, 0]) == pytest.approx(slope, rel=0.02, abs=1e-3)


def test_adalora_ends_within_its_budget_and_becomes_plain_lora():
    model = resident()
    parts = make_parts(model, context("adalora"))
    work = TrainingWork(
        steps(12), [], None, adalora.after_backward(parts, 2), adalora.penalty(parts)
    )
    list(Trainer(model, parts, work, SETTINGS).run(Free()))
    kept = sum(int((part.lam != 0).sum()) for part in parts)
    assert kept == 2 * len(parts)
    assert len({int((part.lam != 0).sum()) for part in parts}) > 1  # shared out unevenly
    probe = torch.tensor([examples(1)[0].ids])
    outputs = []
    for chosen in (parts, [part.plain() for part in parts]):
        removes = [part.attach(model) for part in chosen]
        outputs.append(model(probe).logits)
        for remove in removes:
            remove()
    torch.testing.assert_close(*outputs, atol=1e-5, rtol=1e-5)


@given(st.integers(1, 500), st.floats(0, 0.5), st.floats(0, 1))
def test_the_rate_rises_then_falls_to_its_floor(num_steps, warmup, floor):
    settings = TrainSettings(warmup=warmup, floor=floor)
    rates = [scheduled(step, num_steps, settings) for step in range(num_steps)]
    warm = math.ceil(warmup * num_steps)
    rise, fall = rates[:warm], rates[warm:]
    assert all(0 < rate < 1 for rate in rise)
    assert rise == sorted(set(rise))
    assert fall == sorted(fall, reverse=True)
    if fall:
        assert fall[0] == pytest.approx(1)
    if len(fall) > 1:
        assert fall[-1] == pytest.approx(floor, abs=1e-9)


def test_the_controls_stop_a_run_and_set_its_rate():
    class Stopping(Free):
        def __init__(self):
            self.count = 0

        def wait(self):
            self.count += 1
            return self.count <= 3

        @property
        def rate(self):
            return 1e-4 if self.count > 2 else None

    found = list(trainer(resident()).run(Stopping()))
    assert len(found) == 3
    assert found[2].learning_rate == pytest.approx(1e-4 * scheduled(2, 8, SETTINGS))
    assert found[1].learning_rate == pytest.approx(1e-2 * scheduled(1, 8, SETTINGS))


@pytest.mark.parametrize("name", ["experts", "adalora", "router", "prompt", "heads"])
def test_a_run_resumed_equals_one_that_was_not_stopped(tmp_path, name):
    def made():
        model = resident()
        parts = make_parts(model, context(name))
        work = TrainingWork(steps(8), [examples(1)])
        if name == "adalora":
            work = replace(work, after_backward=adalora.after_backward(parts, 2))
        return Trainer(model, parts, work, SETTINGS)

    whole = made()
    list(whole.run(Free()))
    first = made()
    run = first.run(Free())
    for _ in range(3):
        next(run)
    run.close()
    save_checkpoint(tmp_path, first)
    second = made()
    second.parts = torch.nn.ModuleList(revive(json.loads(json.dumps(layout(first.parts))), "cpu"))
    second = Trainer(second.model, second.parts, second.work, SETTINGS)
    if name == "adalora":
        work = replace(second.work, after_backward=adalora.after_backward(second.parts, 2))
        second = Trainer(second.model, second.parts, work, SETTINGS)
    load_checkpoint(latest_checkpoint(tmp_path), second)
    list(second.run(Free()))
    for a, b in zip(whole.weights, second.weights, strict=True):
        assert torch.equal(a, b)
    times = ("tokens_per_s", "memory")
    plain = [
        [{k: v for k, v in asdict(m).items() if k not in times} for m in run.progress.history]
        for run in (whole, second)
    ]
    assert plain[0] == plain[1]


def test_damaged_and_absent_checkpoints(tmp_path):
    assert latest_checkpoint(tmp_path) is None
    run = trainer(resident())
    path = save_checkpoint(tmp_path, run)
    (path / "state.safetensors").write_bytes(b"nonsense")
    before = copy.deepcopy(run.parts.state_dict())
    with pytest.raises(CheckpointError, match="damaged"):
        load_checkpoint(path, run)
    for name, tensor in run.parts.state_dict().items():
        assert torch.equal(tensor, before[name])


def test_what_cannot_be_written_leaves_the_older_one(tmp_path):
    run = trainer(resident())
    loop = run.run(Free())
    next(loop)
    first = save_checkpoint(tmp_path, run)
    next(loop)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))  # as a full disk does
    try:
        with pytest.raises(StorageError, match="not written"):
            save_checkpoint(tmp_path, run)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert latest_checkpoint(tmp_path) == first
    assert [path.name for path in tmp_path.iterdir()] == [first.name]
    loop.close()


KILLED = """
    import sys
    from pathlib import Path
    from tests.tuning.test_trainer import Free, trainer, resident
    from gptoss_magic.tuning.checkpoints import latest_checkpoint, load_checkpoint, save_checkpoint
    folder, run = Path(sys.argv[1]), trainer(resident())
    if latest_checkpoint(folder): load_checkpoint(latest_checkpoint(folder), run)
    for metrics in run.run(Free()):
        save_checkpoint(folder, run)
        print(metrics.step, flush=True)
    save_checkpoint(folder, run)
"""


def test_a_killed_run_goes_on_to_the_same_weights(tmp_path):
    command = [python(), "-c", textwrap.dedent(KILLED), str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(["."])}
    first = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    for line in first.stdout:
        if int(line) >= 2:
            first.send_signal(signal.SIGKILL)
            break
    first.communicate()
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert int(done.stdout.split()[0]) >= 3
    whole, resumed = trainer(resident()), trainer(resident())
    list(whole.run(Free()))
    load_checkpoint(latest_checkpoint(tmp_path), resumed)
    for a, b in zip(whole.weights, resumed.weights, strict=True):
        assert torch.equal(a, b)


def test_drift_is_nought_for_the_base_and_grows_with_the_router():
    model = resident()
    drift = Drifting(model, examples(1)[0].ids, HOT)
    before = drift.measure()
    assert before.distance == 0
    assert 0 < before.share < 1
    run = trainer(model, "router")
    with torch.no_grad():
        run.parts[0].bias[0] = 5.0
    with run._attached():  # noqa: SLF001
        after = drift.measure()
    assert 0 < after.distance <= 1
    assert after.entropy < before.entropy


def test_packed_experts_train_too(tmp_path):
    from gptoss_magic.model.load import LoadSettings, load

    path = tiny_checkpoint(tmp_path / "packed", packed=True)
    found = load(LoadSettings(model=str(path), device="cpu"), lambda *_: None)
    run = trainer(found.model, "experts", count=10)
    losses = [metrics.loss for metrics in run.run(Free())]
    assert losses[-1] < losses[0]
